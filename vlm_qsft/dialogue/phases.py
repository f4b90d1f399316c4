"""The two phases on logged conversations, by the trainers, losses and backups that robots are trained with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64

from vlm_qsft.dialogue.augmentation import check_copies, with_copies
from vlm_qsft.dialogue.checkpoint import load_text_checkpoint, read_text_format, save_text_checkpoint
from vlm_qsft.dialogue.conversation import Conversation
from vlm_qsft.dialogue.logs import fingerprint, read_conversations, read_recording
from vlm_qsft.dialogue.rendering import tokenize
from vlm_qsft.dialogue.text_dataset import TextDataset, TextSource
from vlm_qsft.dialogue.text_format import TextFormat
from vlm_qsft.dialogue.text_table import TextTable, text_table
from vlm_qsft.errors import CheckpointError, InvalidSetting
from vlm_qsft.model.language_model import chat_tokenizer, model_source
from vlm_qsft.model.manifest import read_manifest
from vlm_qsft.model.text_build import build_text_scorer
from vlm_qsft.model.text_settings import TextModelSettings
from vlm_qsft.training.backup_needs import backup_needs, needs_target_network, uses_n_steps
from vlm_qsft.training.behavior_trainer import BehaviorTrainer
from vlm_qsft.training.critic_trainer import q_trainer, value_model
from vlm_qsft.training.device import resolve_device, resolve_precision
from vlm_qsft.training.phase_data import warn_if_nothing_to_learn
from vlm_qsft.training.phase_run import outcome, run_phase
from vlm_qsft.training.progress import ProgressListener
from vlm_qsft.training.q_columns import build_q_columns
from vlm_qsft.training.settings import TrainSettings, Weights
from vlm_qsft.training.splits import split_frames

CACHED_ROWS = 8192
"""Action tokens between whose logits memory is freed when pi_phi is cached."""


def train_text_behavior(
    logs: Path,
    model_settings: TextModelSettings,
    train_settings: TrainSettings,
    out: Path,
    *,
    task: str | None = None,
    weights: Weights = "all",
    observed_weight: float = 0.0,
    augmented_copies: int = 0,
    progress: ProgressListener | None = None,
) -> Path:
    """Train pi_phi by SFT on every action token and return its checkpoint folder, `out/policy`.

    Called again with the same arguments it continues after the last checkpoint, or returns at once when it is complete.

    Args:
        logs: folder of `qsft record`, or a JSON Lines file.
        out: phase folder: checkpoints, metrics.jsonl, tensorboard/, policy/.
        task: the language task; None where the logs say it.
        weights: "all" conversations, or the "successes".
        observed_weight: of the mean loss on what was observed beside that on the action tokens; see `TextDataset`.
        augmented_copies: of each training conversation, by `LanguageTask.augmenter`, to train on besides.
        progress: see `ProgressListener`.

    Raises:
        InvalidSetting: `out` was begun with other settings, nothing says which task the logs are of, it knows no
            augmentation, or a number is below 0.
        InUse: another process trains in `out`.
        DatasetError: the logs cannot be read.
        StorageError: disk full.
        NotFinite: the loss is no number any more.
    """
    if not (math.isfinite(observed_weight) and observed_weight >= 0):
        raise InvalidSetting(f"observed_weight must be a number of at least 0; got {observed_weight}.")
    asked = {
        "phase": "behavior",
        "weights": weights,
        "observed_weight": observed_weight,
        "augmented_copies": augmented_copies,
        "data": {"fingerprint": fingerprint(logs), "task": task_of(logs, task)},
        "model": model_settings.to_json(),
        "train": train_settings.compared("behavior"),
    }
    check_copies(asked["data"]["task"], next(read_conversations(logs), None), augmented_copies)

    def train(policy: Path) -> None:
        conversations = list(read_conversations(logs))
        games, recorded_as = with_copies(asked["data"]["task"], conversations, train_settings, augmented_copies)
        text_format = _format(asked["data"]["task"], model_settings, games)
        table = read_text_table(games, text_format, horizon=None, recorded_as=recorded_as)
        splits = split_frames(table, train_settings, weights=weights)
        torch.manual_seed(train_settings.seed)
        scorer = build_text_scorer(model_settings, n_words=text_format.n_words, parts=text_format.parts)
        scorer.check_length(max(map(len, table.contents)))  # not after hours, when the longest is drawn
        source = TextSource(table)
        device = resolve_device(train_settings.device)
        trainer = BehaviorTrainer(
            scorer,
            phase="behavior",
            settings=train_settings,
            train_frames=TextDataset(source, splits.train, observed_weight=observed_weight),
            validation_frames=TextDataset(source, splits.validation),
            out=out,
            device=device,
            precision=resolve_precision(train_settings.precision, device),
            progress=progress,
        )
        trainer.run()
        save_text_checkpoint(
            policy,
            behavior=scorer,
            q_model=None,
            text_format=text_format,
            metadata={**asked, **outcome(trainer, table, splits)},
        )

    return run_phase(out, asked, train)


def train_text_q(
    logs: Path,
    behavior: Path,
    train_settings: TrainSettings,
    out: Path,
    *,
    augmented_copies: int = 0,
    cache: Path | None = None,
    progress: ProgressListener | None = None,
) -> Path:
    """Train p_theta on top of a behavior policy and return the checkpoint folder with both, `out/policy`.

    Args:
        behavior: checkpoint folder of `train_text_behavior`; its task and its tokens are used.
        augmented_copies: see there; what a copy returns is what `LanguageTask.augmenter` says.
        cache: folder of what can be computed again; by default `cache` beside `out`.
        others: see `train_text_behavior`.

    Raises:
        CheckpointError: `behavior` is no checkpoint of a behavior policy of text.
        TargetOutOfRange: with this discount a return leaves [0, 1].
        InvalidSetting, InUse, DatasetError, StorageError, NotFinite: see `train_text_behavior`.
    """
    needs = backup_needs(train_settings, 1)  # a name that does not exist is found before anything is written
    behavior_identity = read_manifest(behavior).identity
    check_copies(read_text_format(behavior).task, next(read_conversations(logs), None), augmented_copies)
    asked = {
        "phase": "q",
        "augmented_copies": augmented_copies,
        "data": {"fingerprint": fingerprint(logs)},
        "behavior": {"identity": behavior_identity},
        "train": train_settings.compared("q"),
    }

    def train(policy: Path) -> None:
        device = resolve_device(train_settings.device)
        precision = resolve_precision(train_settings.precision, device)
        checkpoint = load_text_checkpoint(behavior, device)
        if checkpoint.behavior is None:
            raise CheckpointError(
                f"{behavior} holds no behavior policy. Give the folder that the behavior phase wrote."
            )
        text_format = checkpoint.text_format.with_gamma(train_settings.gamma)
        horizon = train_settings.n_step if uses_n_steps(train_settings) else None
        games, recorded_as = with_copies(
            text_format.task, list(read_conversations(logs)), train_settings, augmented_copies
        )
        table = read_text_table(games, text_format, horizon=horizon, recorded_as=recorded_as)
        warn_if_nothing_to_learn(table.returns, table.episode_success, train_settings.gamma)
        splits = split_frames(table, train_settings, weights="all")
        source = TextSource(table)
        columns = build_q_columns(
            checkpoint.behavior,
            source,
            table.transitions if needs_target_network(needs) else None,
            train_settings,
            (cache or out.parent / "cache")
            / "-".join(["log-pi", behavior_identity[:16], table.fingerprint[:16], precision]),
            batch_size=CACHED_ROWS,
            device=device,
            precision=precision,
            progress=progress,
        )
        q_model = value_model(checkpoint.behavior, train_settings)
        trainer = q_trainer(
            q_model,
            settings=train_settings,
            reward_rule=text_format.scale.name,
            train_frames=TextDataset(source, splits.train, q_columns=columns),
            validation_frames=TextDataset(source, splits.validation, q_columns=columns),
            out=out,
            device=device,
            precision=precision,
            progress=progress,
        )
        trainer.run()
        save_text_checkpoint(
            policy,
            behavior=checkpoint.behavior,
            q_model=q_model,
            text_format=text_format,
            metadata={**asked, "behavior_metadata": dict(checkpoint.metadata), **outcome(trainer, table, splits)},
        )

    return run_phase(out, asked, train)


def read_text_table(
    conversations: Sequence[Conversation],
    text_format: TextFormat,
    *,
    horizon: int | None,
    recorded_as: Int64[np.ndarray, " episode"] | None = None,
) -> TextTable:
    """Return the table of conversations; see `text_table`.

    Raises:
        DatasetError, ShapeMismatch: see `tokenize`.
        TargetOutOfRange: see `text_table`.
    """
    tokenized = [
        tokenize(conversation, text_format.renderer, context_turns=text_format.context_turns)
        for conversation in conversations
    ]
    successes = np.array([bool(conversation.attributes.get("success")) for conversation in conversations])
    return text_table(
        tokenized, successes, text_format.scale, gamma=text_format.gamma, horizon=horizon, recorded_as=recorded_as
    )


def task_of(logs: Path, task: str | None) -> str:
    """Return the language task of logs.

    Args:
        task: as the user says; None where the logs say it.

    Raises:
        InvalidSetting: nobody says it.
    """
    recorded = read_recording(logs).get("settings", {}).get("task") if logs.is_dir() else None
    if task is None and recorded is None:
        raise InvalidSetting(f"Nothing in {logs} says which language task it is of: give --task.")
    return str(recorded if task is None else task)


def _format(task: str, model: TextModelSettings, conversations: Sequence[Conversation]) -> TextFormat:
    """Return the format of a small model, made of the logs, or that of a language model, which brings its own."""
    if model.source is None:
        return TextFormat.fit(task, conversations)
    return TextFormat.of_chat(task, chat_tokenizer(model_source(model.source), allow_download=model.allow_download))
