from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vlm_qsft.data.reader import DatasetReader
from vlm_qsft.errors import CheckpointError, DatasetError, InvalidSetting
from vlm_qsft.model.checkpoint import load_checkpoint
from vlm_qsft.training import SuccessesOnlyWarning, TokenSettings, train_behavior, train_q
from vlm_qsft.training.frame_table import read_frame_table
from vlm_qsft.training.phase_data import fit_tokenizer
from vlm_qsft.training.splits import split_frames

from .recording import MODEL, SETTINGS, SETTINGS_Q, record

SHORT = replace(SETTINGS, steps=4)
SHORT_Q = replace(SETTINGS_Q, steps=4)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("recorded") / "data")


@pytest.fixture(scope="module")
def behavior(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_behavior(dataset, MODEL, SHORT, tmp_path_factory.mktemp("run") / "behavior")


def all_weights(policy: Path) -> dict[str, torch.Tensor]:
    return {
        f"{role}/{name}": tensor
        for role in ("behavior", "q_model")
        if (policy / role).exists()
        for name, tensor in load_file(policy / role / "weights.safetensors").items()
    }


def assert_same_weights(one: Path, other: Path) -> None:
    first, second = all_weights(one), all_weights(other)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_both_phases_leave_a_checkpoint_that_loads_and_nothing_that_only_a_resumption_needs(
    dataset: Path, behavior: Path, tmp_path: Path
) -> None:
    policy = train_q(dataset, behavior, SHORT_Q, tmp_path / "q")
    checkpoint = load_checkpoint(policy, "cpu")
    assert checkpoint.behavior is not None and checkpoint.q_model is not None
    assert sorted(path.name for path in policy.parent.iterdir()) == [
        "calibration.json", "metrics.jsonl", "policy", "settings.json", "targets.json", "tensorboard",
    ]  # fmt: skip
    # The behavior policy goes through the Q phase untouched; p_theta does not stay what it started as.
    before = load_file(behavior / "behavior/weights.safetensors")
    after = all_weights(policy)
    assert all(torch.equal(before[name], after[f"behavior/{name}"]) for name in before)
    assert any(not torch.equal(before[name], after[f"q_model/{name}"]) for name in before)
    assert checkpoint.metadata["train"]["backup"] == "max"


def test_the_uniform_remainder_begins_with_p_theta_equal_to_pi_phi(
    dataset: Path, behavior: Path, tmp_path: Path
) -> None:
    settings = replace(SHORT_Q, backup="monte_carlo", remainder="uniform", learning_rate=1e-6)
    policy = train_q(dataset, behavior, settings, tmp_path / "q")
    lines = [json.loads(line) for line in (policy.parent / "metrics.jsonl").read_text().splitlines()]
    # The overlap of equal distributions is 1; log pi_phi is cached in half precision.
    assert [line["value"] for line in lines] == pytest.approx([1.0] * len(lines), abs=5e-3)
    assert {line["split"] for line in lines} == {"train", "validation"}


def test_a_complete_phase_returns_at_once_and_other_settings_are_refused(dataset: Path, behavior: Path) -> None:
    out = behavior.parent
    stamp = (behavior / "manifest.json").stat().st_mtime_ns
    assert train_behavior(dataset, MODEL, SHORT, out) == behavior
    assert (behavior / "manifest.json").stat().st_mtime_ns == stamp
    with pytest.raises(InvalidSetting, match=r"train\.learning_rate was 0\.003, is 0\.1 now"):
        train_behavior(dataset, MODEL, replace(SHORT, learning_rate=0.1), out)
    with pytest.raises(InvalidSetting, match="weights was all, is successes now"):
        train_behavior(dataset, MODEL, SHORT, out, weights="successes")
    with pytest.raises(InvalidSetting, match=r"tokens\.n_bins was 256, is 16 now"):
        train_behavior(dataset, MODEL, SHORT, out, token_settings=TokenSettings(n_bins=16))


@pytest.mark.parametrize("phase", ["behavior", "q"])
def test_a_phase_killed_by_sigkill_and_started_again_equals_an_uninterrupted_one(
    dataset: Path, tmp_path: Path, phase: str
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    uninterrupted = train_behavior(dataset, MODEL, SETTINGS, whole / "behavior")
    if phase == "q":
        shutil.copytree(whole / "behavior", cut / "behavior")
        uninterrupted = train_q(dataset, uninterrupted, SETTINGS_Q, whole / "q")
    program = Path(__file__).with_name("recording.py")
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    killed = subprocess.run([sys.executable, program, phase, dataset, cut], env=environment)
    assert killed.returncode == -signal.SIGKILL
    assert (cut / phase / "checkpoint-8" / "complete.json").exists()
    if phase == "behavior":
        resumed = train_behavior(dataset, MODEL, SETTINGS, cut / "behavior")
    else:
        resumed = train_q(dataset, cut / "behavior/policy", SETTINGS_Q, cut / "q")
    assert_same_weights(uninterrupted, resumed)
    assert (whole / phase / "metrics.jsonl").read_text() == (cut / phase / "metrics.jsonl").read_text()


def test_the_table_agrees_with_the_reader_frame_by_frame(dataset: Path) -> None:
    reader = DatasetReader(dataset)
    tokenizer = fit_tokenizer(reader, TokenSettings(n_bins=16, chunk=3, gripper=("gripper",)))
    table = read_frame_table(reader, tokenizer, gamma=0.9)
    for frame in range(reader.n_frames):
        window = reader.window(frame, action_chunk=3, n_step=100, images=False)
        expected = tokenizer.encode(window.actions[None]).bins.reshape(-1)
        assert table.tokens(np.array([frame]))[0].tolist() == expected.tolist()
        assert table.instructions[table.instruction[frame]] == window.instruction
        assert window.rewards is not None
        discounted = sum(0.9**step * float(reward) for step, reward in enumerate(window.rewards))
        assert table.returns[frame] == pytest.approx(discounted, abs=1e-6)


def test_sft_on_successes_sees_the_frames_of_successful_episodes_alone(dataset: Path) -> None:
    reader = DatasetReader(dataset)
    table = read_frame_table(reader, fit_tokenizer(reader, TokenSettings()), gamma=0.9)
    everything, successes = (split_frames(table, SETTINGS, weights=weights) for weights in ("all", "successes"))
    assert set(successes.train) < set(everything.train)
    assert table.episode_success[table.episode[successes.train]].all()
    assert table.episode_success[table.episode[successes.validation]].all()
    assert set(table.episode[everything.train]).isdisjoint(table.episode[everything.validation])


def test_data_of_successes_only_are_answered_with_a_warning(tmp_path: Path) -> None:
    dataset = record(tmp_path / "data", successes=(True,) * 6)
    policy = train_behavior(dataset, MODEL, SHORT, tmp_path / "behavior")
    with pytest.warns(SuccessesOnlyWarning, match="All 6 episodes are successes.*Add failed episodes"):
        train_q(dataset, policy, SHORT_Q, tmp_path / "q")
    with pytest.warns(SuccessesOnlyWarning, match="Every frame has the return 1"):
        train_q(dataset, policy, replace(SHORT_Q, gamma=1.0), tmp_path / "q1")


def test_mixed_data_give_no_warning(dataset: Path, behavior: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", SuccessesOnlyWarning)
        train_q(dataset, behavior, SHORT_Q, tmp_path / "q")


def test_without_any_success_there_is_nothing_for_sft_on_successes(tmp_path: Path) -> None:
    dataset = record(tmp_path / "data", successes=(False,) * 6)
    with pytest.raises(DatasetError, match="No successful episode in the train split: 6 episodes, of which 0"):
        train_behavior(dataset, MODEL, SHORT, tmp_path / "sft_success", weights="successes")


def test_the_q_phase_refuses_a_folder_that_is_no_checkpoint(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No checkpoint folder"):
        train_q(dataset, tmp_path / "nothing", SHORT_Q, tmp_path / "q")
