"""label_dataset: a data set gets other labels in place. Interrupted anywhere, the same call continues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qsft_datasets.labeling.copy_files import CopiedEpisode, FileNumbers, Original, write_copies
from qsft_datasets.labeling.data_files import Note, has_labels, link_or_copy, write_labelled
from qsft_datasets.labeling.episode_files import number_of, starts_of, write_episode_files
from qsft_datasets.labeling.exchange import begin, commit, discard, finish, locked
from qsft_datasets.labeling.label_frames import Frames, label_frames, refuse_no_frames
from qsft_datasets.labeling.meta_files import write_meta_files
from qsft_datasets.labeling.outcome import ASSUMED
from qsft_datasets.labeling.plan import LabelPlan, make_plan
from qsft_datasets.labeling.request import LabelRequest
from vlm_qsft.data.labels import LabelSettings
from vlm_qsft.data.reader import DatasetReader
from vlm_qsft.data.source_files import read_json
from vlm_qsft.errors import DatasetError

Progress = Callable[[str, int, int], None]
"""Called with (what, complete, total)."""


@dataclass(frozen=True)
class LabelSummary:
    """What a call did.

    Attributes:
        settings: rule, gamma, mapping of returns.
        changed: False where the data set had these labels already.
        episodes, successes: recorded ones.
        by_source: source of outcomes -> episodes.
        copies: counterfactual episodes.
        overruled: episodes whose recorded outcome is another one; an assumption is no record.
    """

    settings: LabelSettings
    changed: bool
    episodes: int
    successes: int
    by_source: dict[str, int]
    copies: int
    overruled: int


def label_dataset(root: Path, request: LabelRequest, *, progress: Progress | None = None) -> LabelSummary:
    """Label a data set in place: a canonical one, or any LeRobotDataset v3.0.

    The same request twice gives the same bytes, and the second call changes nothing. Pictures keep their bytes and
    videos are not touched. The old labels stay readable until the new ones are complete and on the disk; then folders
    are renamed.

    Raises:
        DatasetError: no readable data set of format v3.0, or outcomes that it does not have; names episodes.
        InvalidSetting, UnknownName, TargetOutOfRange: a rule or a number that does not fit.
        InUse: another process labels it.
        StorageError: disk full; the data set is what it was, and the same call continues.
    """
    root = Path(root)
    with locked(root):
        finish(root)
        refuse_old_format(root)
        reader = DatasetReader(root)
        plan = make_plan(reader, request)
        refuse_no_frames(plan)
        changed = stored_digest(root) != plan.digest()
        if changed:
            write_labels(reader, plan, progress or _silent)
        discard(root)
    return LabelSummary(
        settings=plan.settings,
        changed=changed,
        episodes=plan.n_recorded,
        successes=sum(outcome.success for outcome in plan.outcomes),
        by_source=dict(Counter(outcome.source for outcome in plan.outcomes)),
        copies=len(plan.copies),
        overruled=sum(
            verdict is not None and verdict.source != ASSUMED and verdict.success != outcome.success
            for verdict, outcome in zip(plan.recorded, plan.outcomes, strict=True)
        ),
    )


def write_labels(reader: DatasetReader, plan: LabelPlan, progress: Progress) -> None:
    """Write the labelled data set beside the old one and exchange them. Raises as `label_dataset`."""
    root = reader.root
    frames = label_frames(reader, plan)
    target = begin(root, {"labels": plan.digest(), "data": reader.fingerprint})
    info = read_json(root / "meta/info.json")
    chunk_size, template = int(info.get("chunks_size", 1000)), str(info["data_path"])
    total, complete = int(plan.all_lengths.sum()), 0

    def note(rows: int) -> None:
        nonlocal complete
        complete += rows
        progress("frames", complete, total)

    files = write_recorded(reader, target, plan, frames, note)
    numbers = FileNumbers(max(number_of(path, chunk_size) for path in files), chunk_size)
    copies = copied_episodes(plan, files)
    places = write_copies(target, template, copies, numbers=numbers, frames=frames, note=note)
    data_files = [*files, *dict.fromkeys(target / template.format(chunk_index=c, file_index=f) for c, f in places)]
    write_episode_files(root, target, plan, frames, places=places, chunk_size=chunk_size)
    write_meta_files(reader, target, plan, frames, data_files=data_files)
    commit(root)


def write_recorded(reader: DatasetReader, target: Path, plan: LabelPlan, frames: Frames, note: Note) -> dict[Path, int]:
    """Write the data files with recorded episodes and return each with its first frame. Raises as `label_dataset`."""
    root, table = reader.root, reader.episodes
    written: dict[Path, int] = {}
    in_file = table.data_file[: plan.n_recorded]
    for number in sorted(set(in_file.tolist())):
        source = reader.metadata.data_files[number]
        episodes = np.flatnonzero(in_file == number)
        if not np.array_equal(episodes, np.arange(episodes[0], episodes[0] + len(episodes))):
            raise DatasetError(f"{source} holds episodes out of order. Convert the data set again.")
        first, n_rows = int(table.first_frame[episodes[0]]), int(plan.lengths[episodes].sum())
        path = target / source.relative_to(root)
        written[path] = first
        part = {key: values[first : first + n_rows] for key, values in frames.items()}
        if path.exists():  # complete before a kill
            note(n_rows)
        elif has_labels(source, part, preserved=plan.preserved, n_rows=n_rows):
            link_or_copy(source, path)
            note(n_rows)
        else:
            write_labelled(source, path, frames=part, preserved=plan.preserved, n_rows=n_rows, note=note)
    for path in sorted((root / "data").rglob("*")):
        if path.is_file() and path not in reader.metadata.data_files:
            link_or_copy(path, target / path.relative_to(root))
    return written


def copied_episodes(plan: LabelPlan, files: dict[Path, int]) -> list[CopiedEpisode]:
    """Return where every copy finds its frames and which numbers it gets."""
    starts, lengths = starts_of(plan), plan.all_lengths
    paths, firsts = list(files), np.array(list(files.values()))
    copies = []
    for place, copy in enumerate(plan.copies):
        episode = plan.n_recorded + place
        file = int(np.searchsorted(firsts, starts[copy.of], side="right")) - 1
        original = Original(paths[file], int(starts[copy.of] - firsts[file]))
        copies.append(CopiedEpisode(original, episode, int(starts[episode]), int(lengths[episode]), copy.task))
    return copies


def stored_digest(root: Path) -> str | None:
    """Return the digest of the plan by which a data set was labelled; None where it was not."""
    path = root / "meta/labels.json"
    return read_json(path).get("digest") if path.exists() else None


def refuse_old_format(root: Path) -> None:
    """Send data sets of older formats to the converter.

    Raises:
        DatasetError: format v2.
    """
    path = root / "meta/info.json"
    version = str(read_json(path).get("codebase_version", "")) if path.exists() else ""
    if version.startswith("v2"):
        raise DatasetError(f"{root} has format version {version}: convert first (`qsft convert {root} NEW_FOLDER`).")


def _silent(what: str, complete: int, total: int) -> None:
    pass
