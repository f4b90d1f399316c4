"""Augmented copies: further games made of each logged one, by what a language task knows of its games."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from vlm_qsft.data.split import split_episodes
from vlm_qsft.dialogue.conversation import Conversation
from vlm_qsft.dialogue.tasks import language_task
from vlm_qsft.errors import DatasetError, InvalidSetting
from vlm_qsft.training.settings import TrainSettings


def check_copies(task: str, first: Conversation | None, copies: int) -> None:
    """Refuse what would fail later, before anything is written.

    Args:
        first: conversation of the logs; None where there is none.

    Raises:
        InvalidSetting: a number below 0, or a task that knows no augmentation.
        DatasetError: the first conversation cannot be augmented.
    """
    if copies < 0:
        raise InvalidSetting(f"augmented_copies must be at least 0; got {copies}.")
    if copies and first is not None:
        augmented(task, [first], np.arange(1), copies=1, seed=0)


def with_copies(
    task: str, conversations: Sequence[Conversation], settings: TrainSettings, copies: int
) -> tuple[list[Conversation], Int64[np.ndarray, " episode"]]:
    """Return conversations and copies of those that are trained on; what is held out is never copied.

    Args:
        settings: of the phase: which are held out, and the seed of the copies.

    Returns:
        All of them, the logged ones first, and of each the number of the logged one that it was made of.

    Raises:
        InvalidSetting, DatasetError: see `augmented`.
    """
    logged = np.arange(len(conversations))
    if not copies:
        return list(conversations), logged
    chosen, _ = split_episodes(len(conversations), settings.validation_fraction, settings.seed)
    made, made_of = augmented(task, conversations, chosen, copies=copies, seed=settings.seed)
    return [*conversations, *made], np.append(logged, made_of)


def augmented(
    task: str, conversations: Sequence[Conversation], chosen: Int64[np.ndarray, " chosen"], *, copies: int, seed: int
) -> tuple[list[Conversation], Int64[np.ndarray, " copy"]]:
    """Return augmented copies of the chosen conversations: all of them once, then all of them again.

    Returns:
        The copies, and of each the number of the conversation that it was made of. Of some there may be none.

    Raises:
        InvalidSetting, DatasetError: see `LanguageTask.augmenter`; the latter names the conversation.
    """
    augmenter = language_task(task).augmenter([conversations[number] for number in chosen.tolist()])
    generator = np.random.default_rng(seed)
    copied: list[Conversation] = []
    made_of: list[int] = []
    for number in np.tile(chosen, copies).tolist():
        try:
            copy = augmenter(conversations[number], generator)
        except DatasetError as error:
            raise DatasetError(
                f"Conversation {number} of the logs cannot be augmented: {error} With --augmented-copies 0 it is "
                "trained on as it is."
            ) from error
        if copy is not None:
            copied.append(copy)
            made_of.append(number)
    return copied, np.array(made_of, np.int64)
