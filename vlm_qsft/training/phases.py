"""The two phases of a robot from a data set on disk to a checkpoint folder; each continues where it was interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from vlm_qsft.data.reader import DatasetReader
from vlm_qsft.errors import CheckpointError, DatasetError
from vlm_qsft.model.build import build_scorer
from vlm_qsft.model.checkpoint import load_checkpoint, save_checkpoint
from vlm_qsft.model.manifest import read_manifest
from vlm_qsft.model.settings import ModelSettings
from vlm_qsft.model.state_statistics import StateStatistics
from vlm_qsft.training.backup_needs import backup_needs, horizon, needs_target_network
from vlm_qsft.training.behavior_trainer import BehaviorTrainer
from vlm_qsft.training.critic_trainer import q_trainer, value_model
from vlm_qsft.training.dataset import FrameDataset
from vlm_qsft.training.device import resolve_device, resolve_precision
from vlm_qsft.training.frame_table import FrameTable, read_frame_table
from vlm_qsft.training.phase_data import (
    check_same_robot,
    fit_tokenizer,
    frame_source,
    warn_if_nothing_to_learn,
)
from vlm_qsft.training.phase_run import outcome, run_phase
from vlm_qsft.training.progress import ProgressListener
from vlm_qsft.training.q_columns import build_q_columns
from vlm_qsft.training.settings import TokenSettings, TrainSettings, Weights
from vlm_qsft.training.splits import split_frames
from vlm_qsft.training.transition_table import TransitionTable, transition_table


def train_behavior(
    dataset: Path,
    model_settings: ModelSettings,
    train_settings: TrainSettings,
    out: Path,
    *,
    token_settings: TokenSettings | None = None,
    weights: Weights = "all",
    cache: Path | None = None,
    workers: int = 1,
    progress: ProgressListener | None = None,
) -> Path:
    """Train pi_phi by SFT and return its checkpoint folder, `out/policy`.

    Called again with the same arguments it continues after the last checkpoint, or returns at once when it is complete.

    Args:
        dataset: folder of the data set.
        out: phase folder: checkpoints, metrics.jsonl, tensorboard/, policy/.
        token_settings: how actions become tokens; the default is `TokenSettings()`.
        weights: "all" frames, or the "successes": SFT on successful episodes alone.
        cache: folder of what can be computed again (decoded pictures); by default `cache` beside `out`, so that the
            phases of a run share it.
        workers: processes that decode pictures.
        progress: see `ProgressListener`.

    Raises:
        InvalidSetting: `out` was begun with other settings, named with both values, or holds something else.
        InUse: another process trains in `out`.
        DatasetError: the data set is unreadable, or lacks what is asked for.
        StorageError: disk full.
        NotFinite: the loss is no number any more.
    """
    dataset, out, token_settings = Path(dataset), Path(out), token_settings or TokenSettings()
    reader = DatasetReader(dataset)
    asked = {
        "phase": "behavior",
        "weights": weights,
        "data": {"fingerprint": reader.fingerprint},
        "model": model_settings.to_json(),
        "tokens": token_settings.to_json(),
        "train": train_settings.compared("behavior"),
    }

    def train(policy: Path) -> None:
        device = resolve_device(train_settings.device)
        precision = resolve_precision(train_settings.precision, device)
        tokenizer = fit_tokenizer(reader, token_settings)
        table = read_frame_table(reader, tokenizer, gamma=train_settings.gamma)
        splits = split_frames(table, train_settings, weights=weights)
        torch.manual_seed(train_settings.seed)
        statistics = StateStatistics.from_states(table.state[splits.fitted])
        scorer = build_scorer(model_settings, reader.schema, tokenizer, table.instructions, statistics)
        source = frame_source(reader, scorer, table, cache or out.parent / "cache", workers=workers, progress=progress)
        trainer = BehaviorTrainer(
            scorer,
            phase="behavior",
            settings=train_settings,
            train_frames=FrameDataset(source, splits.train),
            validation_frames=FrameDataset(source, splits.validation),
            out=out,
            device=device,
            precision=precision,
            progress=progress,
        )
        trainer.run()
        save_checkpoint(
            policy,
            behavior=scorer,
            q_model=None,
            action_tokenizer=tokenizer,
            schema=reader.schema,
            metadata={**asked, **outcome(trainer, table, splits), **facts(table)},
        )

    return run_phase(out, asked, train)


def train_q(
    dataset: Path,
    behavior: Path,
    train_settings: TrainSettings,
    out: Path,
    *,
    cache: Path | None = None,
    workers: int = 1,
    progress: ProgressListener | None = None,
) -> Path:
    """Train p_theta on top of a behavior policy and return the checkpoint folder with both, `out/policy`.

    Called again with the same arguments it continues after the last checkpoint, or returns at once when it is complete.

    Args:
        behavior: checkpoint folder of `train_behavior`.
        others: see `train_behavior`.

    Raises:
        CheckpointError: `behavior` is no checkpoint of a behavior policy, or one for another robot.
        DatasetError: the data set has no labels.
        TargetOutOfRange: its rewards are not scaled.
        InvalidSetting, InUse, StorageError, NotFinite: see `train_behavior`.
    """
    dataset, out, behavior = Path(dataset), Path(out), Path(behavior)
    reader = DatasetReader(dataset)
    backup_needs(train_settings, 1)  # a name that does not exist is found before anything is written
    behavior_identity = read_manifest(behavior).identity
    asked = {
        "phase": "q",
        "data": {"fingerprint": reader.fingerprint},
        "behavior": {"identity": behavior_identity},
        "train": train_settings.compared("q"),
    }

    def train(policy: Path) -> None:
        labels = reader.metadata.labels
        if labels is None or not reader.has_labels:
            raise DatasetError(
                f"{dataset} has no labels (next.reward, next.terminated, ...): the Q phase learns from rewards. "
                "Label the data set first."
            )
        device = resolve_device(train_settings.device)
        precision = resolve_precision(train_settings.precision, device)
        checkpoint = load_checkpoint(behavior, device)
        if checkpoint.behavior is None:
            raise CheckpointError(
                f"{behavior} holds no behavior policy. Give the folder that the behavior phase wrote."
            )
        check_same_robot(behavior, checkpoint.schema, reader.schema)
        table = read_frame_table(reader, checkpoint.action_tokenizer, gamma=train_settings.gamma)
        warn_if_nothing_to_learn(table.returns, table.episode_success, train_settings.gamma)
        splits = split_frames(table, train_settings, weights="all")
        kept = cache or out.parent / "cache"
        source = frame_source(reader, checkpoint.behavior, table, kept, workers=workers, progress=progress)
        columns = build_q_columns(
            checkpoint.behavior,
            source,
            frame_transitions(table, train_settings),
            train_settings,
            kept / f"log-pi-{behavior_identity[:16]}-{reader.fingerprint[:16]}-{precision}",
            batch_size=train_settings.micro_batch_size,
            device=device,
            precision=precision,
            progress=progress,
        )
        q_model = value_model(checkpoint.behavior, train_settings)
        trainer = q_trainer(
            q_model,
            settings=train_settings,
            reward_rule=labels.reward_rule,
            train_frames=FrameDataset(source, splits.train, q_columns=columns),
            validation_frames=FrameDataset(source, splits.validation, q_columns=columns),
            out=out,
            device=device,
            precision=precision,
            progress=progress,
        )
        trainer.run()
        metadata = {**asked, "behavior_metadata": dict(checkpoint.metadata), **outcome(trainer, table, splits)}
        save_checkpoint(
            policy,
            behavior=checkpoint.behavior,
            q_model=q_model,
            action_tokenizer=checkpoint.action_tokenizer,
            schema=checkpoint.schema,
            metadata={**metadata, **facts(table)},
        )

    return run_phase(out, asked, train)


def facts(table: FrameTable) -> dict[str, Any]:
    """Return what a checkpoint of a robot says about its data: clipped numbers, and what one can tell the robot."""
    return {"clipped_action_numbers": table.n_clipped, "instructions": sorted(table.instructions)}


def frame_transitions(table: FrameTable, settings: TrainSettings) -> TransitionTable | None:
    """Return the transitions of every frame; None where the backup does not bootstrap."""
    if not needs_target_network(backup_needs(settings, table.action_bins.shape[1] * table.chunk)):
        return None
    return transition_table(
        table.reward, table.terminated, table.stop, gamma=settings.gamma, horizon=horizon(settings, table.chunk)
    )
