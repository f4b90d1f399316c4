"""The counterfactual instruction test: the same table under two instructions. Who ignores the words fails one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from qsft_sim.environment import EnvironmentSettings
from qsft_sim.evaluation import EvaluationJob, Evaluator, run_jobs
from qsft_sim.results import EpisodeResult, Setting
from vlm_qsft.processes import Progress
from vlm_qsft.types import Policy


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
    progress: Progress | None = None,
) -> list[EpisodeResult]:
    """Run every scene under its own instruction and under that for another object: two lines per scene, in turn.

    Resumes and raises as `evaluation.evaluate` does; `statistics.summarise_counterfactual` says what the results mean.
    """
    jobs = [
        EvaluationJob(task, base, episode, other_target) for episode in range(scenes) for other_target in (False, True)
    ]
    evaluator = Evaluator(make_policy, environment or EnvironmentSettings(), settings or {}, identity)
    return run_jobs(evaluator, jobs, out=out, workers=workers, progress=progress)
