"""Evaluation: a policy on seeded scenes, in several processes, one durable line per episode."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from qsft_sim.engine import mujoco
from qsft_sim.environment import EnvironmentSettings, TabletopEnvironment
from qsft_sim.journal import Journal
from qsft_sim.randomisation import variant_named
from qsft_sim.rendering import choose_back_end
from qsft_sim.results import LINE_BEGINS, EpisodeResult, Setting
from qsft_sim.rollout import roll_out
from qsft_sim.scene import Scene, draw_scene
from qsft_sim.seeds import scene_seed
from qsft_sim.tasks import task_named
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.processes import Progress, run_in_order
from vlm_qsft.settings_record import refuse_other_settings
from vlm_qsft.types import Policy

IDENTITY_SHOWN = 16
"""Characters of a checkpoint's identity that tell it from any other."""


@dataclass(frozen=True)
class EvaluationJob:
    """One episode to run.

    Attributes:
        task: its name.
        base: see `seeds`.
        episode: number of the scene.
        other_target: give the instruction for another object of the same scene.
    """

    task: str
    base: int
    episode: int
    other_target: bool = False


@dataclass(frozen=True)
class Evaluator:
    """Makes the function that runs jobs, in whatever process it is called: there the policy is loaded, once.

    Attributes:
        make_policy: gives the policy; picklable, and it must depend on nothing but itself.
        environment: what the policy sees and does.
        settings: of the policy, stored with every result.
        identity: of the policy, see `EpisodeResult.policy`.
    """

    make_policy: Callable[[], Policy]
    environment: EnvironmentSettings = field(default_factory=EnvironmentSettings)
    settings: Mapping[str, Setting] = field(default_factory=dict)
    identity: str = ""

    @property
    def simulator(self) -> dict[str, Setting]:
        """What results depend on beyond policy and seed; lists and tuples as JSON text."""
        record: dict[str, Setting] = {}
        for name, value in asdict(self.environment).items():
            record[name] = value if isinstance(value, str | int | float) else json.dumps(value)
        cameras = self.environment.cameras
        record["back_end"] = choose_back_end(self.environment.back_end).name if cameras else "none"
        record["mujoco"] = mujoco.__version__
        return record

    def __call__(self) -> Callable[[EvaluationJob], EpisodeResult]:
        """Return the function that runs one job."""
        policy = self.make_policy()
        environment = TabletopEnvironment(self.environment)
        simulator = self.simulator

        def run(job: EvaluationJob) -> EpisodeResult:
            return roll_out(
                environment,
                policy,
                task=job.task,
                base=job.base,
                episode=job.episode,
                settings=self.settings,
                simulator=simulator,
                identity=self.identity,
                scene=self.scene_of(job) if job.other_target else None,
            )

        return run

    def scene_of(self, job: EvaluationJob) -> Scene:
        """Return the scene of a job, drawn as the environment draws it."""
        scene = draw_scene(
            np.random.default_rng(scene_seed(job.base, job.task, job.episode)),
            job.task,
            variant=variant_named(self.environment.variant),
            n_distractors=self.environment.n_distractors,
        )
        return scene.with_target(_other_target(scene)) if job.other_target else scene


def _other_target(scene: Scene) -> int:
    """Return an object that the instruction does not name, or the reference where it names all."""
    named = {scene.target, scene.reference} if task_named(scene.task).n_named == 2 else {scene.target}
    unnamed = [number for number in range(len(scene.objects)) if number not in named]
    if unnamed:
        return unnamed[0]
    if scene.reference == scene.target:
        raise InvalidSetting("The scene has one object only: another instruction needs at least one distractor.")
    return scene.reference


def evaluate(
    make_policy: Callable[[], Policy],
    *,
    task: str,
    episodes: int,
    base: int,
    out: Path,
    variant: str | None = None,
    environment: EnvironmentSettings | None = None,
    settings: Mapping[str, Setting] | None = None,
    identity: str = "",
    workers: int = 1,
    progress: Progress | None = None,
) -> list[EpisodeResult]:
    """Run the episodes 0 to `episodes` - 1 of a task and return their results; every policy meets the same scenes.

    Killed at any moment and called again it continues after the last complete line of `out`; the content of `out`
    is then the same as without the kill, and the same for any number of workers.

    Args:
        make_policy: gives the policy, once per process; picklable for more than one worker.
        task: name of the task.
        episodes: how many.
        base: `seeds.TUNING` or `seeds.EVALUATION`.
        out: JSON Lines file, one `EpisodeResult` per line.
        variant: of the scenes; takes the place of the environment's.
        environment: what the policy sees and does.
        settings: of the policy, stored in every line.
        identity: of the policy, likewise; see `EpisodeResult.policy`.
        workers: processes.
        progress: called with (episodes complete, episodes in all).

    Raises:
        InvalidSetting: `out` holds results of another policy or other settings, or something else.
        StorageError: disk full; the lines before are kept.
    """
    chosen = environment or EnvironmentSettings()
    if variant is not None:
        chosen = replace(chosen, variant=variant)
    task_named(task)
    jobs = [EvaluationJob(task, base, episode) for episode in range(episodes)]
    evaluator = Evaluator(make_policy, chosen, settings or {}, identity)
    return run_jobs(evaluator, jobs, out=out, workers=workers, progress=progress)


def run_jobs(
    evaluator: Evaluator,
    jobs: Sequence[EvaluationJob],
    *,
    out: Path,
    workers: int,
    progress: Progress | None,
) -> list[EpisodeResult]:
    """Run jobs and return their results, in order; line i of `out` is job i. See `evaluate`."""
    with Journal(out, line_begins=LINE_BEGINS) as journal:
        results = parse_results(journal.lines(), out)[: len(jobs)]
        for result, job in zip(results, jobs, strict=False):
            _refuse_other(result, job, evaluator, out)
        if progress is not None and results:
            progress(len(results), len(jobs))
        for result in run_in_order(evaluator, jobs[len(results) :], workers=workers):
            journal.append(result.to_json())
            results.append(result)
            if progress is not None:
                progress(len(results), len(jobs))
    return results


def read_results(path: Path) -> list[EpisodeResult]:
    """Return the whole lines of a file of results.

    Raises:
        InvalidSetting: a line is none.
    """
    content = path.read_text(encoding="utf-8")
    return parse_results(content[: content.rfind("\n") + 1].splitlines(), path)


def parse_results(lines: Sequence[str], path: Path) -> list[EpisodeResult]:
    """Return the results in lines of a file.

    Raises:
        InvalidSetting: names the file and the line.
    """
    results = []
    for number, line in enumerate(lines, start=1):
        try:
            results.append(EpisodeResult.from_json(line))
        except InvalidSetting as error:
            raise InvalidSetting(f"{path}, line {number}: {error}") from error
    return results


def _refuse_other(result: EpisodeResult, job: EvaluationJob, evaluator: Evaluator, out: Path) -> None:
    """Refuse to continue a file that other settings began.

    Raises:
        InvalidSetting: names every difference.
    """
    before: dict[str, Setting] = {"task": result.task, "base": result.base, "episode": result.episode}
    before["policy"] = result.policy[:IDENTITY_SHOWN] or "absent"
    before |= {**result.settings, **result.simulator}
    now: dict[str, Setting] = {"task": job.task, "base": job.base, "episode": job.episode}
    now["policy"] = evaluator.identity[:IDENTITY_SHOWN] or "absent"
    now |= {**evaluator.settings, **evaluator.simulator}
    refuse_other_settings(out, begun=before, asked=now)
