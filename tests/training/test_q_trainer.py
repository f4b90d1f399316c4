"""The Q phase: targets against a slow formula, the target network, what a resumption needs."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from vlm_qsft import qsft
from vlm_qsft.model.action_logits import renormalise_bins
from vlm_qsft.model.scorer import TokenScorer
from vlm_qsft.training.backup_needs import backup_needs, horizon, needs_target_network, value_needs_behavior
from vlm_qsft.training.dataset import FrameDataset, FrameSource
from vlm_qsft.training.frame_table import FrameTable
from vlm_qsft.training.q_columns import QColumns
from vlm_qsft.training.q_trainer import TARGET_NETWORK_FILE, QTrainer, likelihood_model
from vlm_qsft.training.sampler import BatchRequest
from vlm_qsft.training.settings import TrainSettings
from vlm_qsft.training.splits import split_frames
from vlm_qsft.training.step_folder import latest_complete
from vlm_qsft.training.transition_table import transition_table

from .frames import CPU, GAMMA, LENGTHS, N_TOKENS, SETTINGS, SUCCESSES, frame_source, frame_table, small_scorer

BACKUPS = [(backup, remainder) for remainder in ("dummy", "uniform") for backup in sorted(qsft.BACKUPS)]


@dataclass(frozen=True)
class LogPiInMemory:
    """log pi_phi of every frame of a source, with nothing cached on disk."""

    log_pi: np.ndarray
    tokens: np.ndarray

    @classmethod
    def of(cls, behavior: TokenScorer, source: FrameSource) -> LogPiInMemory:
        frames = np.arange(len(source.table))
        tokens = source.table.tokens(frames)
        with torch.no_grad():
            log_pi = renormalise_bins(behavior.log_probs(source.inputs(frames), torch.from_numpy(tokens)))
        return cls(log_pi.numpy(), tokens)

    def logged(self, rows: np.ndarray) -> np.ndarray:
        return np.take_along_axis(self.log_pi[rows], self.tokens[rows][..., None], -1)[..., 0]

    def first(self, rows: np.ndarray) -> np.ndarray:
        return self.log_pi[rows, 0]

    def whole(self, rows: np.ndarray) -> np.ndarray:
        return self.log_pi[rows]


def q_trainer(out: Path, settings: TrainSettings, *, table: FrameTable | None = None) -> QTrainer:
    behavior = small_scorer(settings.seed).eval()
    source = frame_source(behavior, table)
    needs = backup_needs(settings, N_TOKENS)
    transitions = None
    if needs_target_network(needs):
        table = source.table
        transitions = transition_table(
            table.reward, table.terminated, table.stop, gamma=GAMMA, horizon=horizon(settings, table.chunk)
        )
    columns = QColumns(LogPiInMemory.of(behavior, source), transitions, needs, value_needs_behavior(settings))
    splits = split_frames(source.table, settings, weights="all")
    return QTrainer(
        likelihood_model(behavior, settings.remainder),
        settings=settings,
        reward_rule="binary01",
        train_frames=FrameDataset(source, splits.train, q_columns=columns),
        validation_frames=FrameDataset(source, splits.validation, q_columns=columns),
        out=out,
        device=CPU,
        precision="float32",
    )


def p_theta(trainer: QTrainer) -> TokenScorer:
    return cast(TokenScorer, trainer.model)


def log_p_of(scorer: TokenScorer, source: FrameSource, frame: int) -> np.ndarray:
    frames = np.array([frame])
    with torch.no_grad():
        log_p = scorer.log_probs(source.inputs(frames), torch.from_numpy(source.table.tokens(frames)))
    return log_p[0].double().numpy()


def slow_value(settings: TrainSettings, log_p: np.ndarray, log_pi: np.ndarray) -> float:
    """The value of one state (or prefix), bin by bin."""
    p, pi = np.exp(log_p), np.exp(log_pi)
    ratios = [min(1.0, p[b] / pi[b]) for b in range(len(pi))]
    if settings.backup == "max":
        return max(ratio for ratio, share in zip(ratios, pi, strict=True) if share >= settings.support / len(pi))
    if settings.remainder == "dummy":
        return 1.0 - p[-1]
    return sum(share * ratio for ratio, share in zip(ratios, pi, strict=True))


def slow_targets(settings: TrainSettings, trainer: QTrainer, source: FrameSource, frame: int) -> list[float]:
    """Walk through the episode of one frame step by step."""
    stops = np.cumsum(LENGTHS).tolist()
    episode = next(e for e, stop in enumerate(stops) if frame < stop)
    stop, success = stops[episode], SUCCESSES[episode]
    steps = {"monte_carlo": 10**6, "nstep": settings.n_step}.get(settings.backup, 1)
    total, discount, at = 0.0, 1.0, frame
    for _ in range(steps):
        if at == stop:
            break
        total += discount * (1.0 if success and at == stop - 1 else 0.0)
        discount, at = discount * GAMMA, at + 1
    if settings.backup == "monte_carlo":
        return [total] * N_TOKENS
    assert trainer.target_network is not None
    target = trainer.target_network.module
    log_pi = LogPiInMemory.of(small_scorer(settings.seed).eval(), source).log_pi
    if not (at == stop and success):
        landing = min(at, stop - 1)  # a truncated episode bootstraps from its last row
        total += discount * slow_value(settings, log_p_of(target, source, landing)[0], log_pi[landing][0])
    if settings.backup == "nstep":
        return [total] * N_TOKENS
    log_p = log_p_of(target, source, frame)
    return [slow_value(settings, log_p[i], log_pi[frame][i]) for i in range(1, N_TOKENS)] + [total]


@pytest.mark.parametrize(("backup", "remainder"), BACKUPS)
def test_targets_of_every_backup_equal_a_walk_through_the_episode(tmp_path: Path, backup: str, remainder: str) -> None:
    settings = replace(SETTINGS, backup=backup, remainder=remainder, n_step=2, augmentation=2, colour_jitter=0.2)
    trainer = q_trainer(tmp_path, settings)
    source = cast(FrameDataset, trainer.validation_frames).source
    frames = np.arange(len(source.table))
    shifts = np.random.default_rng(0).integers(-2, 3, (len(frames), 2))
    targets = trainer.targets(trainer.train_frames[BatchRequest(frames, shifts)])
    expected = [slow_targets(settings, trainer, source, int(frame)) for frame in frames]
    np.testing.assert_allclose(targets.numpy(), expected, atol=2e-6)


def test_the_target_network_follows_by_the_polyak_average(tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=1, backup="nstep", target_update_rate=0.25, warmup_fraction=0.0)
    trainer = q_trainer(tmp_path, settings)
    assert trainer.target_network is not None
    before = copy.deepcopy(trainer.target_network.state_dict())
    online = dict(trainer.run().named_parameters())
    moved = 0.0
    for name, parameter in trainer.target_network.module.named_parameters():
        torch.testing.assert_close(parameter, 0.75 * before[name] + 0.25 * online[name].detach())
        moved += float((parameter - before[name]).abs().sum())
    assert moved > 0.0


class InterruptedRunError(Exception):
    pass


@pytest.mark.parametrize("backup", ["monte_carlo", "nstep", "max"])
def test_a_resumed_q_phase_equals_an_uninterrupted_one_with_its_target_network(tmp_path: Path, backup: str) -> None:
    settings = replace(SETTINGS, backup=backup, target_update_rate=0.1, n_step=2, augmentation=1)
    whole = q_trainer(tmp_path / "whole", settings)
    expected = whole.run().state_dict()
    cut = q_trainer(tmp_path / "cut", settings)
    report = cut.report_progress

    def raise_at_step() -> None:
        report()
        if cut.state.global_step == 8:
            raise InterruptedRunError

    cut.report_progress = raise_at_step  # type: ignore[method-assign]
    with pytest.raises(InterruptedRunError):
        cut.run()
    folder = latest_complete(tmp_path / "cut")
    assert folder is not None and folder.name == "checkpoint-4"
    assert (folder / TARGET_NETWORK_FILE).exists() == (backup != "monte_carlo")
    resumed = q_trainer(tmp_path / "cut", settings)
    found = resumed.run().state_dict()
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name
    if whole.target_network is not None and resumed.target_network is not None:
        for name, tensor in whole.target_network.state_dict().items():
            assert torch.equal(tensor, resumed.target_network.state_dict()[name]), name
    assert (tmp_path / "whole/metrics.jsonl").read_text() == (tmp_path / "cut/metrics.jsonl").read_text()


def test_the_q_phase_writes_targets_and_calibration_for_the_report(tmp_path: Path) -> None:
    trainer = q_trainer(tmp_path, replace(SETTINGS, steps=20, eval_every=10))
    trainer.run()
    n_held_out = len(trainer.validation_frames)
    targets = json.loads((tmp_path / "targets.json").read_text())
    assert len(targets["edges"]) == len(targets["counts"]) + 1
    assert sum(targets["counts"]) == n_held_out * N_TOKENS
    calibration = json.loads((tmp_path / "calibration.json").read_text())
    assert sum(one["count"] for one in calibration["bins"]) == n_held_out
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    wanted = {"mean_target", "share_saturated", "value", "ratio_q50", "logged_action_value", "share_capped"}
    assert all(wanted <= line.keys() and line["phase"] == "q" for line in lines)


def test_p_theta_starts_at_the_reset_value_and_learns_the_mean_return(tmp_path: Path) -> None:
    # Frames drawn alike: in a prioritised batch the mean target carries importance weights, the mean value does not.
    settings = replace(SETTINGS, steps=150, eval_every=150, save_every=150, priority_share=0.0)
    trainer = q_trainer(tmp_path, settings)
    begun = [trainer.held_out_metrics()["value"]]
    trainer.run()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    train = [line for line in lines if line["split"] == "train"]
    assert begun[0] == pytest.approx(0.05, abs=1e-5)
    assert train[-1]["value"] == pytest.approx(train[-1]["mean_target"], abs=0.05)


UNIFORM = replace(SETTINGS, backup="monte_carlo", remainder="uniform")


def test_with_the_uniform_remainder_p_theta_starts_as_pi_phi_and_the_dummy_token_is_gone(tmp_path: Path) -> None:
    trainer = q_trainer(tmp_path, UNIFORM)
    source, frames = cast(FrameDataset, trainer.train_frames).source, np.arange(sum(LENGTHS))
    log_pi = LogPiInMemory.of(small_scorer(UNIFORM.seed).eval(), source).log_pi
    log_p = np.stack([log_p_of(p_theta(trainer), source, int(frame)) for frame in frames])
    np.testing.assert_allclose(log_p[..., :-1], log_pi, atol=1e-5)
    assert np.exp(log_p[..., -1]).max() < 1e-5
    begun = trainer.held_out_metrics()
    assert begun["value"] == pytest.approx(1.0, abs=1e-4)
    assert begun["ratio_q05"] == pytest.approx(1.0, abs=1e-4)


def test_with_the_uniform_remainder_the_held_out_value_is_the_overlap_with_pi_phi(tmp_path: Path) -> None:
    trainer = q_trainer(tmp_path, UNIFORM)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in p_theta(trainer).parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    held_out = trainer.validation_frames
    log_pi = LogPiInMemory.of(small_scorer(UNIFORM.seed).eval(), cast(FrameDataset, held_out).source).log_pi
    expected = [
        slow_value(UNIFORM, log_p_of(p_theta(trainer), cast(FrameDataset, held_out).source, frame)[0], log_pi[frame][0])
        for frame in held_out.frames.tolist()
    ]
    assert max(expected) < 0.95
    assert trainer.held_out_metrics()["value"] == pytest.approx(np.mean(expected), abs=1e-5)
    bins = json.loads((tmp_path / "calibration.json").read_text())["bins"]
    predicted = sum(one["predicted"] * one["count"] for one in bins) / sum(one["count"] for one in bins)
    assert predicted == pytest.approx(np.mean(expected), abs=1e-5)


def test_a_return_just_below_zero_is_never_drawn_for_its_return(tmp_path: Path) -> None:
    table = frame_table()
    failed = np.isin(table.episode, np.flatnonzero(~table.episode_success))
    below = replace(table, returns=np.where(failed, np.float32(-5e-5), table.returns))
    priority = q_trainer(tmp_path, SETTINGS, table=below).priority()
    assert priority is not None
    frames = q_trainer(tmp_path, SETTINGS, table=below).train_frames.frames
    np.testing.assert_array_equal(priority.odds, np.where(failed, 0.0, table.returns)[frames])
    nothing = replace(table, returns=np.where(failed, np.float32(-5e-5), np.float32(0.0)))
    assert q_trainer(tmp_path, SETTINGS, table=nothing).priority() is None
