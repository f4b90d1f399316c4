"""Recording: demonstrators of mixed quality into the canonical data set, in several processes, resumable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from qsft_sim.demonstrators import Demonstrator
from qsft_sim.engine import mujoco
from qsft_sim.environment import CONTROL_HZ, STATE_NAMES, EnvironmentSettings, TabletopEnvironment
from qsft_sim.qualities import quality_named
from qsft_sim.seeds import RECORDING, policy_seed, quality_seed, scene_seed
from qsft_sim.tasks import task_named
from vlm_qsft.data import DatasetSchema, Episode, LabelSettings, write_episodes
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.processes import Progress
from vlm_qsft.types import Observation


@dataclass(frozen=True)
class RecordingSettings:
    """What is recorded; equal settings give equal bytes, in any number of processes.

    Attributes:
        episodes: how many, over all tasks.
        mixture: quality name -> weight; the quality of each episode is drawn with these odds.
        tasks: names, taken in turn.
        seed: another one gives other scenes and other demonstrations.
        gamma: discount per control step of the Monte-Carlo returns.
        n_distractors: smallest and largest number of objects that the instruction does not name.
        cameras: which are recorded.
        image_size: height and width, pixels.
        variant: name of a scene variant.
        action_dim: 5 or 7.
        back_end: which draws the pictures.
    """

    episodes: int
    mixture: Mapping[str, float] = field(default_factory=lambda: {"expert": 0.15, "noisy": 0.5, "poor": 0.35})
    tasks: tuple[str, ...] = ("pick",)
    seed: int = 0
    gamma: float = 0.97
    n_distractors: tuple[int, int] = (1, 2)
    cameras: tuple[str, ...] = ("front", "wrist")
    image_size: tuple[int, int] = (64, 64)
    variant: str = "standard"
    action_dim: int = 5
    back_end: str = "auto"

    def __post_init__(self) -> None:
        if self.episodes < 1 or not self.tasks or self.seed < 0:
            raise InvalidSetting(
                f"episodes is {self.episodes}, tasks {self.tasks}, seed {self.seed}: "
                "expected at least one episode, at least one task, a seed that is not negative."
            )
        for task in self.tasks:
            task_named(task)
        for name in self.mixture:
            quality_named(name)
        if not self.mixture or min(self.mixture.values()) < 0 or sum(self.mixture.values()) <= 0:
            raise InvalidSetting(f"mixture is {dict(self.mixture)}: expected weights >= 0 that are not all 0.")
        if not self.cameras:
            raise InvalidSetting("cameras is empty: expected at least one, pictures are what the policy learns from.")
        _ = self.environment

    @property
    def environment(self) -> EnvironmentSettings:
        """The settings of the environment that is recorded."""
        return EnvironmentSettings(
            cameras=self.cameras,
            image_size=self.image_size,
            action_dim=self.action_dim,
            n_distractors=self.n_distractors,
            variant=self.variant,
            back_end=self.back_end,
        )

    @property
    def schema(self) -> DatasetSchema:
        """The schema of the data set."""
        return DatasetSchema(
            cameras=dict.fromkeys(self.cameras, self.image_size),
            state_names=STATE_NAMES,
            action_names=self.environment.action_names,
            fps=Fraction(CONTROL_HZ),
            robot_type="qsft_sim_tabletop",
        )


@dataclass(frozen=True)
class RecordingJob:
    """One episode to record: its task, its number within the task, the demonstrator's quality, the run's seed."""

    task: str
    episode: int
    quality: str
    seed: int


def recording_jobs(settings: RecordingSettings) -> list[RecordingJob]:
    """Return the episodes of a recording; episode i stays the same when more are asked for."""
    names = list(settings.mixture)
    weights = np.array([settings.mixture[name] for name in names], dtype=np.float64)
    jobs = []
    for index in range(settings.episodes):
        task = settings.tasks[index % len(settings.tasks)]
        episode = index // len(settings.tasks)
        generator = np.random.default_rng(quality_seed(RECORDING, task, episode, seed=settings.seed))
        quality = names[generator.choice(len(names), p=weights / weights.sum())]
        jobs.append(RecordingJob(task, episode, quality, settings.seed))
    return jobs


def record(root: Path, settings: RecordingSettings, *, workers: int = 1, progress: Progress | None = None) -> None:
    """Record a data set; killed at any moment and called again it continues, with the same result.

    Args:
        root: folder of the data set.
        settings: what to record.
        workers: processes; one per core is best.
        progress: called with (episodes complete, episodes in all).

    Raises:
        InvalidSetting: the folder was begun with other settings.
        DatasetError: it holds a data set of another origin.
        RenderingUnavailable: the wanted back end does not work here.
        StorageError: disk full; complete episodes are kept.
    """
    write_episodes(
        root,
        settings.schema,
        recording_jobs(settings),
        partial(record_episode, settings.environment),
        labels=LabelSettings("binary01", settings.gamma, "simulator"),
        workers=workers,
        progress=progress,
        recipe=_recipe(settings),
    )


def record_episode(environment_settings: EnvironmentSettings, job: RecordingJob) -> Episode:
    """Return one demonstration; depends on its arguments alone."""
    environment = _environment(environment_settings)
    environment.reset(seed=scene_seed(RECORDING, job.task, job.episode, seed=job.seed), options={"task": job.task})
    demonstrator = Demonstrator(job.quality)
    demonstrator.watch(environment)
    noise_seed = policy_seed(RECORDING, job.task, job.episode, seed=job.seed)
    demonstrator.reset(environment.instruction, seed=noise_seed)
    observations: list[Observation] = []
    actions: list[np.ndarray] = []
    rewards: list[float] = []
    terminated = truncated = False
    facts: dict[str, bool] = {}
    while not (terminated or truncated):
        observations.append(environment.observation())
        actions.append(demonstrator.act(observations[-1]).action[0])
        _, reward, terminated, truncated, facts = environment.step(actions[-1])
        rewards.append(reward)
        truncated = not terminated and (truncated or demonstrator.has_finished)
    return Episode(
        images={
            camera: np.stack([observation.images[camera] for observation in observations])
            for camera in environment_settings.cameras
        },
        state=np.stack([observation.state for observation in observations]),
        action=np.stack(actions),
        reward=np.array(rewards, np.float32),
        terminated=terminated,
        truncated=truncated,
        success=terminated,
        instruction=environment.instruction,
        attributes={
            "task": job.task,
            "quality": job.quality,
            "scene_episode": job.episode,
            "seed": noise_seed,
            "wrong_object": bool(facts["wrong_object"]),
        },
    )


# A worker records hundreds of episodes of one kind: compiling the model and opening a context take a second.
@lru_cache(maxsize=1)
def _environment(settings: EnvironmentSettings) -> TabletopEnvironment:
    return TabletopEnvironment(settings)


def _recipe(settings: RecordingSettings) -> dict[str, str | int | float | bool]:
    """Return what decides the content of the data set, with what draws and moves it: versions move pixels."""
    recipe: dict[str, str | int | float | bool] = {}
    for name, value in asdict(settings).items():
        recipe[name] = value if isinstance(value, str | int | float) else json.dumps(value)
    recipe["back_end"] = _environment(settings.environment).back_end_name
    recipe["mujoco"] = mujoco.__version__
    return recipe
