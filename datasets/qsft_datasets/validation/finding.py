"""Finding and Fact: what a check says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from qsft_datasets.validation.subject import Layout, Subject

Level = Literal["error", "warning"]
"""An error makes training or LeRobot fail, or teaches something false; a warning asks for a look."""
NAMED_EPISODES = 10


@dataclass(frozen=True)
class Finding:
    """Something wrong or doubtful.

    Attributes:
        level: see `Level`.
        message: expected and found.
        remedy: what to do.
        episode, frame: the first place; the frame counts from the start of the episode. None where it concerns all.
        episodes: all episodes concerned, at most NAMED_EPISODES of them.
        count: how many episodes, frames or files in all.
    """

    level: Level
    message: str
    remedy: str
    episode: int | None = None
    frame: int | None = None
    episodes: tuple[int, ...] = ()
    count: int = 1

    @property
    def place(self) -> str:
        """Where it is, for people."""
        if self.episode is None:
            return "data set"
        return f"episode {self.episode}" + ("" if self.frame is None else f", frame {self.frame}")


@dataclass(frozen=True)
class Fact:
    """Something measured that a person should look at, neither good nor bad by itself."""

    name: str
    value: str


Result = Finding | Fact
Check = Callable[["Subject"], Iterator[Result]]


def error(message: str, remedy: str, **place: object) -> Finding:
    """Return an error; `place` takes the fields of `Finding`."""
    return Finding("error", message, remedy, **place)  # type: ignore[arg-type]


def warning(message: str, remedy: str, **place: object) -> Finding:
    """Return a warning; `place` takes the fields of `Finding`."""
    return Finding("warning", message, remedy, **place)  # type: ignore[arg-type]


def at_episodes(episodes: Sequence[int] | np.ndarray, frame: int | None = None) -> dict[str, object]:
    """Return the fields of a finding that concerns these episodes, ascending.

    Args:
        frame: of the first one.
    """
    numbers = [int(episode) for episode in episodes]
    return {
        "episode": numbers[0] if numbers else None,
        "frame": frame,
        "episodes": tuple(numbers[:NAMED_EPISODES]),
        "count": len(numbers),
    }


def at_frames(layout: Layout, rows: np.ndarray) -> dict[str, object]:
    """Return the fields of a finding that concerns these frames.

    Args:
        rows: of the data set, ascending, at least one.
    """
    episode, frame = layout.place(int(rows[0]))
    return {
        "episode": episode,
        "frame": frame,
        "episodes": tuple(layout.episodes_of(rows)[:NAMED_EPISODES].tolist()),
        "count": len(rows),
    }
