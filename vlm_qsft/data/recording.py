"""write_episodes: a whole data set from independent jobs, in any number of processes, with the same bytes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vlm_qsft.data.episode import Episode
from vlm_qsft.data.labels import LabelSettings
from vlm_qsft.data.schema import DatasetSchema
from vlm_qsft.data.source_files import read_json
from vlm_qsft.data.staging import FOLDER, stage_episode
from vlm_qsft.data.writer import LABELS_PATH, DatasetWriter, Recipe, is_finalized
from vlm_qsft.errors import DatasetError
from vlm_qsft.processes import Progress, run_in_order
from vlm_qsft.settings_record import refuse_other_settings


@dataclass(frozen=True)
class JobStager[Job]:
    """Makes and stages the episodes of jobs, in whatever process it is made."""

    root: Path
    schema: DatasetSchema
    labels: LabelSettings
    image_format: str
    make_episode: Callable[[Job], Episode]

    def __call__(self, numbered: tuple[int, Job]) -> int:
        """Make the episode of (index, job), stage it and return the index."""
        index, job = numbered
        stage_episode(
            self.root,
            index,
            self.make_episode(job),
            schema=self.schema,
            labels=self.labels,
            image_format=self.image_format,
        )
        return index


def write_episodes[Job](
    root: Path,
    schema: DatasetSchema,
    jobs: Sequence[Job],
    make_episode: Callable[[Job], Episode],
    *,
    labels: LabelSettings,
    workers: int = 1,
    progress: Progress | None = None,
    image_format: str = "png",
    recipe: Recipe | None = None,
) -> None:
    """Write one episode per job and finalize the data set.

    Episode i is `make_episode(jobs[i])`, which must depend on its job alone: then the bytes on the disk are the same
    for any number of workers, and after any interruption. Called again it continues with the jobs that are not
    complete, and returns at once where the data set is finalized with the same labels and recipe.

    Args:
        make_episode: picklable (a function of a module, a functools.partial of one); with more than one worker it
            runs in fresh processes, so it may keep an environment alive between its calls.
        workers: processes; 1 works in this one.
        progress: called with (complete, total) episodes.
        recipe: whatever decides the content besides the jobs (seed, task, mixture): a different one is refused. The
            number of episodes is added to it.
    Raises:
        InvalidSetting: begun or finalized with other settings.
        DatasetError: finalized by something else, or a folder with other files in it.
        InUse: another process writes it.
        WorkerLost: a worker process was killed.
        StorageError: disk full; complete episodes are kept.
        QsftError: whatever an episode that does not fit raises.
    """
    root = Path(root)
    recipe = {**(recipe or {}), "episodes": len(jobs)}
    if is_finalized(root):
        refuse_other_result(root, labels, recipe)
        # A kill between the last two steps of finalizing leaves it behind.
        shutil.rmtree(root / FOLDER, ignore_errors=True)
        return
    with DatasetWriter(root, schema, labels=labels, image_format=image_format, recipe=recipe) as writer:
        waiting = [(index, job) for index, job in enumerate(jobs) if not writer.has_episode(index)]
        stage_jobs = partial(JobStager, root, schema, labels, image_format, make_episode)
        staged = run_in_order(stage_jobs, waiting, workers=workers)
        for complete, index in enumerate(staged, start=len(jobs) - len(waiting) + 1):
            writer.note_staged(index)
            if progress is not None:
                progress(complete, len(jobs))
        writer.finalize()


def refuse_other_result(root: Path, labels: LabelSettings, recipe: Recipe) -> None:
    """Refuse to take a finalized data set for the one that is asked for.

    Raises:
        InvalidSetting: names every difference.
        DatasetError: it does not say how it was made.
    """
    path = root / LABELS_PATH
    if not path.exists():
        raise DatasetError(f"{root} holds a finalized data set of another origin. Write to another folder.")
    record = read_json(path)
    asked = {**labels.to_record(), "recipe": dict(recipe)}
    begun = {name: record.get(name, "absent") for name in asked}
    refuse_other_settings(root, begun=begun, asked=asked)
