"""Outcome of an episode: whether it succeeded, how it ended, and who says so; and whose word counts first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vlm_qsft.errors import DatasetError

ASSUMED = "assumed"
PRIORITY = ("flag", "path", "reward", "csv", "review", ASSUMED)
"""Sources of outcomes, the most trusted first. A word that is not here is a recorder's own and counts as a flag."""
COUNTERFACTUAL = "counterfactual"
"""Source of the outcome of a counterfactual copy, and the attribute that is True for copies alone."""
SHOWN_EPISODES = 10


@dataclass(frozen=True)
class Verdict:
    """What one source says of one episode.

    Attributes:
        success: the task was accomplished.
        source: who says so: a name of PRIORITY.
        terminated, truncated: how it ended; None where the source does not know.
    """

    success: bool
    source: str
    terminated: bool | None = None
    truncated: bool | None = None


@dataclass(frozen=True)
class Outcome:
    """What counts for one episode.

    Attributes:
        success: the task was accomplished.
        terminated: the episode ended because the task did; truncated: it was cut off.
        source: who decided.
    """

    success: bool
    terminated: bool
    truncated: bool
    source: str


Verdicts = Sequence[Verdict | None]
"""One entry per episode, None where the source does not know."""


def rank(source: str) -> int:
    """Return the place of a source among PRIORITY, 0 the most trusted."""
    return PRIORITY.index(source) if source in PRIORITY else 0


def decide(candidates: Sequence[Verdicts], recorded: Verdicts) -> list[Outcome]:
    """Return the outcome of every episode: that of the most trusted verdict, of equal ones the first.

    Args:
        candidates: what each consulted source says.
        recorded: what was recorded; it knows how an episode ended that has the recorded success.
    Raises:
        DatasetError: nobody decides on some episodes; lists them.
    """
    outcomes: list[Outcome] = []
    undecided: list[int] = []
    for episode, record in enumerate(recorded):
        known = [verdict for source in candidates if (verdict := source[episode]) is not None]
        if not known:
            undecided.append(episode)
            continue
        outcomes.append(complete(min(known, key=lambda verdict: rank(verdict.source)), record))
    if undecided:
        raise DatasetError(
            f"Nothing decides on the success of {listed(undecided)} ({len(undecided)} of {len(recorded)}). "
            "Add a source: --outcome flag, path, reward, csv FILE, review, assume-success or assume-failure."
        )
    return outcomes


def complete(verdict: Verdict, record: Verdict | None) -> Outcome:
    """Return the outcome that a verdict amounts to.

    Whoever decides may not know how the episode ended. Then the record does if it agrees on the success; else a
    success terminated and everything else was cut off, so that no failure counts as final without a word for it.
    """
    success, terminated, truncated = verdict.success, verdict.terminated, verdict.truncated
    if terminated is None and record is not None and record.success == success:
        terminated, truncated = record.terminated, record.truncated
    if terminated is None:
        terminated = success
    if truncated is None or not (terminated or truncated):
        truncated = not terminated
    return Outcome(success, terminated, truncated, verdict.source)


def listed(episodes: Sequence[int], kind: str = "episode") -> str:
    """Return `episode 3` or `episodes 3, 5, 8`, cut short where there are many."""
    numbers = ", ".join(str(episode) for episode in episodes[:SHOWN_EPISODES])
    more = f" and {len(episodes) - SHOWN_EPISODES} more" if len(episodes) > SHOWN_EPISODES else ""
    return f"{kind}{'s' if len(episodes) > 1 else ''} {numbers}{more}"
