from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import TrainerCallback

from vlm_qsft.errors import NotFinite
from vlm_qsft.training.behavior_trainer import BehaviorTrainer
from vlm_qsft.training.dataset import FrameDataset, FrameSource
from vlm_qsft.training.settings import OPTIMIZERS, TrainSettings
from vlm_qsft.training.splits import split_frames
from vlm_qsft.training.step_folder import MARKER, latest_complete, step_folders

from .frames import CPU, SETTINGS, frame_source, small_scorer


def behavior_trainer(
    out: Path, settings: TrainSettings = SETTINGS, source: FrameSource | None = None, *, precision: str = "float32"
) -> BehaviorTrainer:
    scorer = small_scorer(settings.seed)
    source = source or frame_source(scorer)
    splits = split_frames(source.table, settings, weights="all")
    return BehaviorTrainer(
        scorer,
        phase="behavior",
        settings=settings,
        train_frames=FrameDataset(source, splits.train),
        validation_frames=FrameDataset(source, splits.validation),
        out=out,
        device=CPU,
        precision=precision,
    )


def weights(scorer: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in scorer.state_dict().items()}


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_training_lowers_the_loss_and_logs_both_splits(tmp_path: Path) -> None:
    behavior_trainer(tmp_path, replace(SETTINGS, steps=40, eval_every=20)).run()
    train = [line for line in lines(tmp_path) if line["split"] == "train"]
    held_out = [line for line in lines(tmp_path) if line["split"] == "validation"]
    assert train[-1]["loss"] < train[0]["loss"] - 0.3
    assert [line["step"] for line in held_out] == [20, 40]
    assert {"step", "phase", "split", "loss", "nll", "accuracy", "learning_rate", "grad_norm"} <= train[0].keys()
    assert list((tmp_path / "tensorboard").iterdir())


def test_the_same_seed_gives_the_same_curve_and_another_seed_another(tmp_path: Path) -> None:
    first = weights(behavior_trainer(tmp_path / "a").run())
    again = weights(behavior_trainer(tmp_path / "b").run())
    assert_same(first, again)
    assert lines(tmp_path / "a") == lines(tmp_path / "b")
    behavior_trainer(tmp_path / "c", replace(SETTINGS, seed=4)).run()
    assert lines(tmp_path / "a") != lines(tmp_path / "c")


class GradientRecorder(TrainerCallback):
    """Keeps the gradient of every optimiser step."""

    def __init__(self) -> None:
        self.gradients: list[Tensor] = []

    def on_pre_optimizer_step(self, args, state, control, **kwargs: Any) -> None:
        parts = [p.grad.flatten() for p in kwargs["model"].parameters() if p.grad is not None]
        self.gradients.append(torch.cat(parts).clone())


def test_four_pieces_of_two_frames_are_one_batch_of_eight(tmp_path: Path) -> None:
    # Gradients, not weights: Adam turns the rounding noise of a gradient that is zero (the dummy token has one in this
    # phase) into whole steps.
    settings = replace(SETTINGS, steps=4, augmentation=2)
    recorders = {}
    for accumulation in (1, 4):
        trainer = behavior_trainer(tmp_path / str(accumulation), replace(settings, accumulation=accumulation))
        recorders[accumulation] = GradientRecorder()
        trainer.add_callback(recorders[accumulation])
        trainer.run()
    assert len(recorders[1].gradients) == len(recorders[4].gradients) == 4
    for whole, pieces in zip(recorders[1].gradients, recorders[4].gradients, strict=True):
        assert float((whole - pieces).norm()) < 1e-4 * float(whole.norm())
    for one, other in zip(lines(tmp_path / "1"), lines(tmp_path / "4"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


class InterruptedRunError(Exception):
    pass


def interrupt_at(trainer: BehaviorTrainer, step: int) -> None:
    """Let the trainer raise after `step`, as if the process had ended there."""
    report = trainer.report_progress

    def raise_at_step() -> None:
        report()
        if trainer.state.global_step == step:
            raise InterruptedRunError

    trainer.report_progress = raise_at_step  # type: ignore[method-assign]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_half_written_checkpoint_is_skipped(tmp_path: Path, optimizer: str) -> None:
    settings = replace(SETTINGS, optimizer=optimizer)
    uninterrupted = weights(behavior_trainer(tmp_path / "whole", settings).run())
    trainer = behavior_trainer(tmp_path / "cut", settings)
    interrupt_at(trainer, 12)
    with pytest.raises(InterruptedRunError):
        trainer.run()
    complete = latest_complete(tmp_path / "cut")
    assert complete is not None and complete.name == "checkpoint-8"
    for name in ("checkpoint-10", "checkpoint-11"):
        (tmp_path / "cut" / name).mkdir()
    (tmp_path / "cut" / "checkpoint-10" / "model.safetensors").write_bytes(b"half")
    (tmp_path / "cut" / "checkpoint-11" / MARKER).write_text(json.dumps({"model.safetensors": 100}))
    resumed = weights(behavior_trainer(tmp_path / "cut", settings).run())
    assert_same(uninterrupted, resumed)
    assert lines(tmp_path / "whole") == lines(tmp_path / "cut")
    assert [folder.name for folder in step_folders(tmp_path / "cut")] == ["checkpoint-12"]


def test_early_stopping_restores_the_weights_of_the_lowest_held_out_nll(tmp_path: Path) -> None:
    # The bins are noise: the held-out NLL rises as soon as the few training frames are learned by heart.
    settings = replace(SETTINGS, steps=400, eval_every=2, save_every=10, patience=3, learning_rate=3e-2)
    trainer = behavior_trainer(tmp_path, settings)
    trainer.run()
    held_out = {int(line["step"]): line["nll"] for line in lines(tmp_path) if line["split"] == "validation"}
    best = min(held_out, key=held_out.__getitem__)
    assert max(held_out) == best + 3 * settings.eval_every < settings.steps
    assert trainer.held_out.best_step == best
    assert trainer.held_out_metrics()["nll"] == pytest.approx(held_out[best], rel=1e-6)


def test_a_run_that_early_stopping_ended_is_not_continued(tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=400, eval_every=2, save_every=10, patience=3, learning_rate=3e-2)
    first = weights(behavior_trainer(tmp_path, settings).run())
    written = lines(tmp_path)
    assert_same(first, weights(behavior_trainer(tmp_path, settings).run()))
    assert lines(tmp_path) == written


def test_a_loss_that_is_no_number_stops_the_run_and_says_what_to_do(tmp_path: Path) -> None:
    scorer = small_scorer()
    source = frame_source(scorer)
    source.table.state[:] = np.nan
    with pytest.raises(NotFinite, match=r"behavior phase.*learning_rate"):
        behavior_trainer(tmp_path, source=source).run()


def test_bfloat16_changes_the_numbers_a_little_and_keeps_weights_and_loss_in_float32(tmp_path: Path) -> None:
    full = behavior_trainer(tmp_path / "float32")
    half = behavior_trainer(tmp_path / "bfloat16", precision="bfloat16")
    full.run()
    scorer = half.run()
    assert {parameter.dtype for parameter in scorer.parameters()} == {torch.float32}
    first, second = lines(tmp_path / "float32")[0], lines(tmp_path / "bfloat16")[0]
    assert first["loss"] != second["loss"]
    assert first["loss"] == pytest.approx(second["loss"], rel=0.02)
    log_probs, _ = next(half.held_out_batches())
    assert log_probs.dtype == torch.float32
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(log_probs.shape[:2]), rtol=0, atol=1e-5)
