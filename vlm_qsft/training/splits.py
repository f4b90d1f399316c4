"""Which frames are trained on and which are held out: by episode, never by frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int64

from vlm_qsft.data.split import split_episodes
from vlm_qsft.errors import DatasetError
from vlm_qsft.training.settings import TrainSettings, Weights


@runtime_checkable
class EpisodeFrames(Protocol):
    """Which frames, or contexts of text, belong to which episode."""

    @property
    def n_episodes(self) -> int:
        """Return the number of episodes."""
        ...

    @property
    def episode_success(self) -> Bool[np.ndarray, " episode"]:
        """Return whether each episode accomplished its task."""
        ...

    @property
    def recorded_as(self) -> Int64[np.ndarray, " episode"]:
        """Return each episode itself, or the one that it is a counterfactual copy of."""
        ...

    def frames_of(self, episodes: Int64[np.ndarray, " chosen"]) -> Int64[np.ndarray, " frame"]:
        """Return the indices of all frames of these episodes, ascending."""
        ...


@dataclass(frozen=True)
class Splits:
    """Global frame indices.

    Attributes:
        fitted: every frame of the training episodes; statistics are measured on these, whatever the weights.
        train: those of them with weight.
        validation: held-out frames with weight, at most `validation_frames`, evenly spread.
    """

    fitted: Int64[np.ndarray, " fitted"]
    train: Int64[np.ndarray, " train"]
    validation: Int64[np.ndarray, " validation"]


def split_frames(table: EpisodeFrames, settings: TrainSettings, *, weights: Weights) -> Splits:
    """Split a data set, the same way for every phase with the same seed.

    Frames of weight 0 are left out instead of being carried through the model.

    Args:
        weights: "all" frames, or those of "successes".

    Raises:
        DatasetError: nothing is left to train on, or to hold out.
    """
    recorded = np.flatnonzero(table.recorded_as == np.arange(table.n_episodes))
    train, held_out = split_episodes(len(recorded), settings.validation_fraction, settings.seed)
    # A copy shows the frames of its original: both are on the same side.
    train, held_out = (np.flatnonzero(np.isin(table.recorded_as, recorded[part])) for part in (train, held_out))
    chosen = {"train": train, "validation": held_out}
    if weights == "successes":
        chosen = {name: episodes[table.episode_success[episodes]] for name, episodes in chosen.items()}
    for name, episodes in chosen.items():
        if len(episodes) == 0:
            kind = "successful episode" if weights == "successes" else "episode"
            raise DatasetError(
                f"No {kind} in the {name} split: {table.n_episodes} episodes, of which "
                f"{int(table.episode_success.sum())} successful; {settings.validation_fraction:g} of them held out. "
                "Record more episodes or change validation_fraction."
            )
    frames = table.frames_of(chosen["validation"])
    spread = np.linspace(0, len(frames) - 1, min(len(frames), settings.validation_frames)).round().astype(np.int64)
    return Splits(table.frames_of(train), table.frames_of(chosen["train"]), frames[spread])
