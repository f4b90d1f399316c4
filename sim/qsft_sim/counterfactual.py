"""The counterfactual instruction test: the same table under two instructions. Who ignores the words fails one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qsft_sim.environment import EnvironmentSettings
from qsft_sim.evaluation import EvaluationJob, Evaluator, run_jobs
from qsft_sim.results import EpisodeResult, Setting
from qsft_sim.statistics import wilson_interval
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.types import Policy


@dataclass(frozen=True)
class CounterfactualSummary:
    """What the test says about a policy.

    Attributes:
        scenes: scenes run under both instructions.
        both_followed: share of scenes in which both instructions were followed.
        interval: 95 % Wilson interval of it.
        same_object: of the scenes in which both runs handled an object, the share in which it was the same one; NaN
            where there is no such scene. A policy that does not read the instruction is at 1.
    """

    scenes: int
    both_followed: float
    interval: tuple[float, float]
    same_object: float


def evaluate_counterfactual(
    make_policy: Callable[[], Policy],
    *,
    task: str,
    scenes: int,
    base: int,
    out: Path,
    environment: EnvironmentSettings | None = None,
    settings: Mapping[str, Setting] | None = None,
    identity: str = "",
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[EpisodeResult]:
    """Run every scene under its own instruction and under that for another object: two lines per scene, in turn.

    Resumes and raises as `evaluation.evaluate` does.
    """
    jobs = [
        EvaluationJob(task, base, episode, other_target) for episode in range(scenes) for other_target in (False, True)
    ]
    evaluator = Evaluator(make_policy, environment or EnvironmentSettings(), settings or {}, identity)
    return run_jobs(evaluator, jobs, out=out, workers=workers, progress=progress)


def summarise_counterfactual(results: Sequence[EpisodeResult]) -> CounterfactualSummary:
    """Return the summary of what `evaluate_counterfactual` gave.

    Raises:
        InvalidSetting: the results are not pairs of runs of one scene.
    """
    pairs = list(zip(results[::2], results[1::2], strict=False))
    if not pairs or len(results) % 2 or any(own.seed != other.seed for own, other in pairs):
        raise InvalidSetting(f"{len(results)} results: expected two of every scene, one after the other.")
    both = sum(own.success and other.success for own, other in pairs)
    handled = [(own.handled, other.handled) for own, other in pairs if own.handled and other.handled]
    return CounterfactualSummary(
        scenes=len(pairs),
        both_followed=both / len(pairs),
        interval=wilson_interval(both, len(pairs)),
        same_object=sum(own == other for own, other in handled) / len(handled) if handled else float("nan"),
    )
