"""`qsft train` and `qsft evaluate` on conversations: the verbs of robots, and which flags are not for text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlm_qsft.cli.main import USER_ERROR, main
from vlm_qsft.dialogue.checkpoint import load_text_checkpoint
from vlm_qsft.dialogue.recipes import RECIPES
from vlm_qsft.policy import POLICY_FILE, PolicySettings

TINY = ["--steps", "2", "--batch-size", "4", "--device", "cpu", "--validation-fraction", "0.2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with logs and both phases, made by the commands a user gives."""
    root = tmp_path_factory.mktemp("run")
    logs = ["--data", f"{root}/logs"]
    for words in (
        ["record", "--task", "wordle", "--episodes", "20", "--out", f"{root}/logs", "--workers", "1"],
        ["train", "behavior", *logs, "--out", f"{root}/b", *TINY, "--width", "32", "--layers", "1"],
        ["train", "q", *logs, "--behavior", f"{root}/b/policy", "--out", f"{root}/q", *TINY],
    ):
        assert main(words) == 0
    return root


def test_the_recipe_of_the_task_fills_in_what_flags_do_not_say(run: Path) -> None:
    checkpoint = load_text_checkpoint(run / "q" / "policy", "cpu")
    train = checkpoint.metadata["train"]
    assert (train["steps"], train["batch_size"]) == (2, 4)
    recipe = RECIPES["wordle"]
    assert (train["backup"], train["learning_rate"]) == (recipe.q.backup, recipe.q.learning_rate)
    assert checkpoint.metadata["behavior_metadata"]["model"]["width"] == 32
    stored = json.loads((run / "q" / "policy" / POLICY_FILE).read_text())
    assert PolicySettings.from_json(stored) == recipe.policy


def test_a_text_policy_is_evaluated_in_the_games_of_its_task(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run / "games.jsonl"
    words = ["evaluate", f"{run}/q/policy", "--out", str(out), "--episodes", "3", "--extraction", "sft"]
    assert main([*words, "--temperature", "0.5", "--candidates", "2"]) == 0
    begun, *games = [json.loads(line) for line in out.read_text().splitlines()]
    mean = sum(game["total_reward"] for game in games) / 3
    assert (begun["policy"]["extraction"], begun["policy"]["candidates"]) == ("sft", 2)
    assert f"Mean return {mean:.3f} (95 % interval" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "behavior", "--chunk", "2"], "--chunk belongs to robots"),
        (["train", "behavior", "--gripper", "g"], "--gripper belongs to robots"),
        (["train", "behavior", "--preset", "demo"], "--preset belongs to robots"),
        (["train", "behavior", "--source", "x", "--width", "64"], "--width belongs to the small model"),
        (["train", "behavior", "--task", "chess"], "'chess' is not known"),
    ],
)
def test_flags_of_robots_are_refused_for_conversations(
    run: Path, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--data", f"{run}/logs", "--out", f"{tmp_path}/out"]) == USER_ERROR
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--variant", "camera_shift"], "--variant belongs to robots"),
        (["--task", "maze"], "plays 'wordle', not 'maze'"),
        (["--extraction", "ratios"], "Did you mean 'ratio'?"),
        (["--candidates", "0"], "expected a whole number from 1"),
    ],
)
def test_flags_that_do_not_fit_a_text_policy_are_refused(
    run: Path, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", f"{run}/q/policy", "--out", f"{tmp_path}/games.jsonl", *words]) == USER_ERROR
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--task", "wordle"),
        ("--observed-weight", "1"),
        ("--augmented-copies", "1"),
        ("--head-width", "16"),
        ("--rope-theta", "50"),
        ("--learned-positions", "64"),
    ],
)
def test_a_data_set_of_a_robot_takes_no_flag_of_conversations(
    data: Path, flag: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "behavior", "--data", str(data), "--out", f"{data}-run", flag, value]
    assert main(words) == USER_ERROR
    assert f"{flag} belongs to logged conversations" in capsys.readouterr().err


def test_copies_that_cannot_be_made_are_refused_in_the_q_phase_too(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "q", "--data", f"{run}/logs", "--behavior", f"{run}/b/policy", "--out", f"{tmp_path}/out"]
    assert main([*words, "--augmented-copies", "-1"]) == USER_ERROR
    assert "augmented_copies must be at least 0; got -1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--observed-weight", "-1"], "observed_weight must be a number of at least 0; got -1.0"),
        (["--observed-weight", "nan"], "observed_weight must be a number of at least 0"),
        (["--augmented-copies", "-1"], "augmented_copies must be at least 0; got -1"),
        (["--task", "maze", "--augmented-copies", "1"], "Games of 'maze' cannot be augmented"),
        (["--head-width", "15"], "head_width must be even"),
        (["--head-width", "0"], "head_width must be at least 2"),
        (["--width", "72", "--head-width", "16"], "width must be a multiple of head_width, 16; got 72"),
        (["--rope-theta", "1"], "rope_theta must be a number above 1"),
        (["--rope-theta", "inf"], "rope_theta must be a number above 1"),
        (["--learned-positions", "-1"], "learned_positions must be at least 0"),
    ],
)
def test_sizes_and_weights_that_cannot_be_are_refused_before_anything_is_written(
    run: Path, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "behavior", "--data", f"{run}/logs", "--out", f"{tmp_path}/out", *words]) == USER_ERROR
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
