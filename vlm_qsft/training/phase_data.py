"""What both phases do with a data set before they train on it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32

from vlm_qsft.data.reader import DatasetReader
from vlm_qsft.data.schema import DatasetSchema
from vlm_qsft.errors import CheckpointError
from vlm_qsft.model.robot_scorer import RobotScorer
from vlm_qsft.tokens import ActionTokenizer
from vlm_qsft.training.dataset import FrameSource
from vlm_qsft.training.frame_table import FrameTable
from vlm_qsft.training.pictures import open_pictures
from vlm_qsft.training.progress import ProgressListener
from vlm_qsft.training.settings import TokenSettings


class SuccessesOnlyWarning(UserWarning):
    """The outcomes in the data leave Q-SFT little or nothing to learn from."""


def fit_tokenizer(reader: DatasetReader, settings: TokenSettings) -> ActionTokenizer:
    """Fit the tokenizer to every logged action, good and bad, of every split: all policies of a run share it.

    Raises:
        InvalidSetting, UnknownName, NotFinite: see `ActionTokenizer.fit`.
    """
    return ActionTokenizer.fit(
        reader.column("action"),
        action_names=reader.schema.action_names,
        n_bins=settings.n_bins,
        strategy=settings.strategy,
        limits={name: (low, high) for name, low, high in settings.limits},
        gripper=settings.gripper,
        chunk=settings.chunk,
    )


def frame_source(
    reader: DatasetReader,
    scorer: RobotScorer,
    table: FrameTable,
    cache: Path,
    *,
    workers: int,
    progress: ProgressListener | None,
) -> FrameSource:
    """Return everything the scorer sees: pictures decoded once, instructions encoded once."""
    pictures = open_pictures(reader, scorer.spec, cache, workers=workers, progress=progress)
    text, text_mask = scorer.encode_instructions(list(table.instructions))
    return FrameSource(table, pictures, text, text_mask)


def check_same_robot(behavior: Path, trained_on: DatasetSchema, given: DatasetSchema) -> None:
    """Refuse a checkpoint of another robot.

    Raises:
        CheckpointError: names what differs.
    """
    pairs = {
        "actions": (trained_on.action_names, given.action_names),
        "state": (trained_on.state_names, given.state_names),
        "cameras": (tuple(trained_on.cameras), tuple(given.cameras)),
    }
    for what, (expected, found) in pairs.items():
        if expected != found:
            raise CheckpointError(
                f"{behavior} was trained on the {what} {', '.join(expected)}; the data set has {', '.join(found)}."
            )


def warn_if_nothing_to_learn(
    returns: Float32[np.ndarray, " row"], episode_success: Bool[np.ndarray, " episode"], gamma: float
) -> None:
    """Warn about data on which Q-SFT cannot do better than SFT."""
    successes = int(episode_success.sum())
    if np.ptp(returns) == 0.0:
        warnings.warn(
            f"Every frame has the return {returns[0]:g}: Q-SFT has nothing to learn from and will equal SFT. "
            "Add episodes with other outcomes.",
            SuccessesOnlyWarning,
            stacklevel=3,
        )
    elif successes == len(episode_success):
        warnings.warn(
            f"All {successes} episodes are successes: with gamma = 1 Q-SFT would be SFT, and with gamma = {gamma:g} "
            "only the time to success tells good actions from bad ones. Add failed episodes.",
            SuccessesOnlyWarning,
            stacklevel=3,
        )
