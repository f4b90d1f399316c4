"""Everything that `evaluation/<policy>/` holds about one policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vlm_qsft.report.episode_results import EpisodeSet, load_episode_set, load_tunings
from vlm_qsft.report.missing import Missing
from vlm_qsft.report.policy_names import in_order

TRACES = ("success", "failure")


@dataclass(frozen=True)
class PolicyResults:
    """One policy's evaluation.

    Attributes:
        policy: name of its folder.
        final: outcomes on the evaluation seeds.
        tunings: outcomes on the tuning seeds, one set per setting tried.
        counterfactual: outcomes with another instruction in the same scenes.
        traces: "success" and "failure" -> path of the trace, which may not exist.
        videos: MP4 files, by name.
    """

    policy: str
    final: EpisodeSet | Missing
    tunings: tuple[EpisodeSet, ...]
    counterfactual: EpisodeSet | Missing
    traces: Mapping[str, Path]
    videos: tuple[Path, ...]


def load_policies(run_folder: Path) -> tuple[PolicyResults, ...]:
    """Return the results of every policy folder in `evaluation/`, in the order of the page's tables."""
    evaluation = run_folder / "evaluation"
    folders = [path.name for path in evaluation.iterdir() if path.is_dir()] if evaluation.is_dir() else []
    return tuple(_load_policy(run_folder, policy) for policy in in_order(folders))


def _load_policy(run_folder: Path, policy: str) -> PolicyResults:
    folder = run_folder / "evaluation" / policy
    return PolicyResults(
        policy,
        final=load_episode_set(folder / "final.jsonl", run_folder=run_folder),
        tunings=load_tunings(folder, run_folder=run_folder),
        counterfactual=load_episode_set(folder / "counterfactual.jsonl", run_folder=run_folder),
        traces={ending: folder / f"trace-{ending}.npz" for ending in TRACES},
        videos=tuple(sorted((folder / "videos").glob("*.mp4"))),
    )
