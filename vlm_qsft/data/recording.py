"""write_episodes: a whole data set from independent jobs, in any number of processes, with the same bytes."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vlm_qsft.data.episode import Episode
from vlm_qsft.data.labels import LabelSettings
from vlm_qsft.data.metadata import read_labels
from vlm_qsft.data.schema import DatasetSchema
from vlm_qsft.data.source_files import read_json
from vlm_qsft.data.staging import FOLDER, PLAN_NAME, refuse_episode, stage_episode
from vlm_qsft.data.writer import LABELS_PATH, DatasetWriter, Recipe, is_finalized
from vlm_qsft.errors import DatasetError, NotFinite, ShapeMismatch, StorageError
from vlm_qsft.processes import Progress, run_in_order
from vlm_qsft.settings_record import refuse_other_settings

BAD_EPISODE = (DatasetError, ShapeMismatch, NotFinite)
"""Errors that lie in one episode; all others (a full disk, a wrong setting) would meet every episode."""
Run = Callable[[Callable[[], Callable[[Any], Any]], Sequence[Any]], Iterator[Any]]
"""Called with what makes a runner and with the jobs, as `run_in_order` is; gives the results in any order."""


@dataclass(frozen=True)
class JobStager[Job]:
    """Makes and stages the episodes of jobs, in whichever process or machine.

    Raises:
        StorageError: the data set's folder is not on this machine.
    """

    root: Path
    schema: DatasetSchema
    labels: LabelSettings
    image_format: str
    make_episode: Callable[[Job], Episode]
    name_of: Callable[[Job], str] | None
    skip_bad: bool

    def __post_init__(self) -> None:
        if not (self.root / FOLDER / PLAN_NAME).exists():
            raise StorageError(
                f"{self.root} is not there on machine {socket.gethostname()}: all machines that work on a data set "
                "must see its folder under the same path."
            )

    def __call__(self, item: tuple[int, Job]) -> tuple[int, bool]:
        """Make the episode of (index, job) and stage it; return the index and whether the episode is there.

        Raises:
            QsftError: the episode does not fit, and bad ones are not skipped.
        """
        index, job = item
        name = str(index) if self.name_of is None else self.name_of(job)
        try:
            stage_episode(
                self.root,
                index,
                self.make_episode(job),
                schema=self.schema,
                labels=self.labels,
                image_format=self.image_format,
            )
        except BAD_EPISODE as error:
            if not self.skip_bad:
                if self.name_of is None or name in str(error):
                    raise
                raise type(error)(f"Episode '{name}': {error}") from error
            refuse_episode(self.root, index, name=name, reason=str(error))
            return index, False
        return index, True


class Waiting[Job](Sequence[tuple[int, Job]]):
    """The jobs that are to be done, with their indices; a job is asked for when its turn comes.

    Some sources have millions of episodes and make their references as they are asked for.
    """

    def __init__(self, jobs: Sequence[Job], indices: list[int]) -> None:
        self._jobs, self._indices = jobs, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        index = self._indices[place]
        return index, self._jobs[index]


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
    skip_bad: bool = False,
    name_of: Callable[[Job], str] | None = None,
    documents: Mapping[str, str] | None = None,
    run: Run | None = None,
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
        skip_bad: an episode that is damaged or does not fit is noted in meta/refused.json and left out; without it the
            first one ends the work. A later call tries those that were left out again, until the data set is finalized.
        name_of: how people call a job, in errors and in the list of refused episodes.
        documents: file name -> text of more files of meta/.
        run: what spreads the jobs over machines, instead of over `workers` processes here.
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
        # What was refused before is tried again: a file that was missing may be there by now.
        waiting = Waiting(jobs, [index for index in range(len(jobs)) if not writer.has_episode(index)])
        stage_jobs = partial(JobStager, root, schema, labels, image_format, make_episode, name_of, skip_bad)
        run = run or partial(run_in_order, workers=workers)
        for complete, (index, is_there) in enumerate(run(stage_jobs, waiting), start=len(jobs) - len(waiting) + 1):
            (writer.note_staged if is_there else writer.note_refused)(index)
            if progress is not None:
                progress(complete, len(jobs))
        writer.finalize(documents)


def refuse_other_result(root: Path, labels: LabelSettings, recipe: Recipe) -> None:
    """Refuse to take a finalized data set for the one that is asked for.

    Raises:
        InvalidSetting: names every difference.
        DatasetError: it does not say how it was made.
    """
    path = root / LABELS_PATH
    if not path.exists():
        raise DatasetError(f"{root} holds a finalized data set of another origin. Write to another folder.")
    stored = read_labels(root)
    begun = {**(stored.to_record() if stored else {}), "recipe": read_json(path).get("recipe", "absent")}
    refuse_other_settings(root, begun=begun, asked={**labels.to_record(), "recipe": dict(recipe)})
