"""review_episodes: shows what nothing more trusted decides, until a person has decided on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qsft_datasets.labeling.exchange import finish, locked
from qsft_datasets.labeling.outcome import PRIORITY
from qsft_datasets.labeling.outcome_sources import asked
from qsft_datasets.labeling.recorded import n_recorded_episodes, recorded_verdicts
from qsft_datasets.labeling.request import OutcomeRequest
from qsft_datasets.labeling.review.decisions import Decisions, read_decisions
from qsft_datasets.labeling.review.server import ReviewServer
from qsft_datasets.labeling.review.view import ReviewView
from vlm_qsft.data.reader import DatasetReader

BEFORE_REVIEW = PRIORITY[: PRIORITY.index("review")]


def review_episodes(root: Path, request: OutcomeRequest, *, port: int, announce: Callable[[str], None]) -> Decisions:
    """Serve the page of a review until it is over and return the decisions.

    Every decision is on the disk before the page shows the next episode; interrupted, the same call continues. Where
    everything is decided already no page is shown.

    Args:
        request: the sources of the same command; episodes that a more trusted one decides are not shown.
        port: 0 takes a free one.
        announce: takes lines for the terminal: where the page is.
    Raises:
        InvalidSetting: the port is taken.
        DatasetError, StorageError: the data set or the decisions cannot be read or written.
    """
    root = Path(root)
    with locked(root):
        finish(root)
    reader = DatasetReader(root)
    decisions = read_decisions(reader, n_recorded_episodes(reader))
    episodes = undecided_otherwise(reader, request, decisions.n_episodes)
    if not still_open(episodes, decisions, request):
        announce(f"Every episode is decided already: {decisions.path}")
        return decisions
    view = ReviewView(reader, episodes, decisions)
    with ReviewServer(view, port=port) as server:
        announce(
            f"{len(episodes)} episodes to review, {sum(e in decisions.of for e in episodes)} of them decided. Open\n"
            f"  {server.address}\nKeys: s success, f failure, space skip. Decisions are kept in {decisions.path}"
        )
        server.serve_until_over()
    return decisions


def undecided_otherwise(reader: DatasetReader, request: OutcomeRequest, n_episodes: int) -> list[int]:
    """Return the episodes on which no more trusted source of the same command decides. Raises as `decide_outcomes`."""
    trusted = [source for source in request.sources if source in BEFORE_REVIEW]
    recorded = recorded_verdicts(reader, n_episodes)
    known = [asked(reader, n_episodes, request, source=source, recorded=recorded) for source in trusted]
    return [
        episode
        for episode in range(n_episodes)
        if all((verdict := source[episode]) is None or verdict.source not in BEFORE_REVIEW for source in known)
    ]


def still_open(episodes: list[int], decisions: Decisions, request: OutcomeRequest) -> bool:
    """Tell whether a person has something left to decide: what was skipped counts unless it may be assumed."""
    may_skip = any(source.startswith("assume") for source in request.sources)
    closed = ("success", "failure", "skip") if may_skip else ("success", "failure")
    return any(decisions.of.get(episode) not in closed for episode in episodes)
