"""write_rlds: a LeRobotDataset v3.0 as RLDS, in the files that `tfds.builder_from_directory` loads.

    out/1.0.0/name-train.tfrecord-00000-of-00007, features.json, dataset_info.json, metadata.json
    out/.staging/                                  plan and finished shards, until all of them are there

The folder 1.0.0 appears by one rename. Killed at any moment and called again, the export continues with the shards that
are not finished; their bytes depend on the data set alone, for any number of workers.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from qsft_datasets.rlds.canonical_rows import CanonicalRows
from qsft_datasets.rlds.dataset_info import FILE as INFO_FILE
from qsft_datasets.rlds.dataset_info import TEMPLATE
from qsft_datasets.rlds.example_encoder import encode_episode
from qsft_datasets.rlds.export_layout import ExportFeature, export_layout, features_json
from qsft_datasets.rlds.export_metadata import FILE as METADATA_FILE
from qsft_datasets.rlds.export_metadata import ExportMetadata
from qsft_datasets.rlds.features import FILE as FEATURES_FILE
from qsft_datasets.rlds.json_values import Json
from qsft_datasets.rlds.shard_plan import SHARD_BYTES, PlannedShard, plan_shards
from qsft_datasets.rlds.tfrecord import FOOTER_BYTES, HEADER_BYTES, MAX_RECORD_BYTES, framed
from vlm_qsft.data.folder_lock import FolderLock
from vlm_qsft.data.schema import ACTION_KEY, STATE_KEY
from vlm_qsft.data.source_files import read_json
from vlm_qsft.data.storage import partial_path, remove_partials, storage_errors, sync_path, write_durably
from vlm_qsft.errors import DatasetError
from vlm_qsft.processes import Progress, run_in_order

VERSION = "1.0.0"
STAGING = ".staging"
PLAN = "plan.json"


@dataclass
class ShardWriter:
    """Writes shards, in whichever process."""

    rows: CanonicalRows
    layout: tuple[ExportFeature, ...]
    target: Path
    attributes: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.attributes = tuple(self.rows.metadata.episodes.attributes)

    def __call__(self, shard: PlannedShard) -> PlannedShard:
        """Write the shard, whole or not at all, and return it.

        Raises:
            DatasetError: an episode cannot be read.
            StorageError: disk full.
        """
        path = self.target / shard.file
        partial = partial_path(path)
        with storage_errors(path):
            try:
                with open(partial, "wb") as file:
                    for index in range(shard.first, shard.end):
                        file.writelines(framed(self._record(index)))
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(partial, path)
                sync_path(self.target)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
        return shard

    def _record(self, index: int) -> bytes:
        table = self.rows.metadata.episodes
        facts = {name: table.attributes[name][index] for name in self.attributes}
        record = encode_episode(self.rows.episode(index), self.layout, {**facts, "episode_index": index})
        if len(record) > MAX_RECORD_BYTES:
            raise DatasetError(
                f"Episode {index} of {self.rows.root} has {len(record)} bytes; RLDS holds an episode in one record of "
                f"at most {MAX_RECORD_BYTES}. Cut it into shorter episodes first."
            )
        return record


def write_rlds(
    root: Path,
    out: Path,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Path:
    """Export a data set to RLDS; called again it continues, and returns at once where the export is complete.

    Args:
        root: a finalized LeRobotDataset v3.0.
        out: folder of the export; its name becomes that of the data set.
        workers: processes; 1 works in this one.
        progress: called with (complete, total) episodes.
        shard_bytes: what a shard holds at most, unless one episode is larger.
    Returns:
        the folder of the version, which `open_source` and TFDS take.
    Raises:
        DatasetError: no finalized data set, a feature without a place in RLDS, or `out` holds something else.
        InUse: another process writes it.
        StorageError: disk full or no permission; finished shards are kept.
        WorkerLost: a worker process was killed.
    """
    rows, out = CanonicalRows(Path(root)), Path(out)
    layout = export_layout(rows)
    shards = plan_shards(rows, dataset_name(out), shard_bytes=shard_bytes)
    metadata = export_metadata(rows, layout)
    final, staging = out / VERSION, out / STAGING
    if final.exists():
        refuse_other_export(final, metadata)
        if staging.exists():
            # A kill between the last two steps leaves it behind.
            with FolderLock(out):
                shutil.rmtree(staging, ignore_errors=True)
        return final
    target = staging / VERSION
    with FolderLock(out):
        with storage_errors(target):
            target.mkdir(parents=True, exist_ok=True)
        remove_partials(target)
        agree_on_plan(staging / PLAN, shards, metadata)
        write_shards(rows, layout, target, shards, workers=workers, progress=progress)
        write_descriptions(target, dataset_name(out), shards, layout, metadata)
        with storage_errors(final):
            os.replace(target, final)
            sync_path(out)
        shutil.rmtree(staging)
    return final


def dataset_name(out: Path) -> str:
    """Return the name of the export: TFDS takes letters, digits and "_", a letter first."""
    name = re.sub(r"\W+", "_", out.resolve().name, flags=re.ASCII).strip("_").lower()
    return name if name[:1].isalpha() else f"dataset_{name}".rstrip("_")


def export_metadata(rows: CanonicalRows, layout: Sequence[ExportFeature]) -> ExportMetadata:
    """Return what metadata.json says."""
    schema = rows.metadata.schema
    names = {STATE_KEY: schema.state_names, ACTION_KEY: schema.action_names}
    return ExportMetadata(
        fps=str(schema.fps),
        robot_type=schema.robot_type,
        names={feature.name: names[feature.key] for feature in layout if feature.key in names},
        optional=tuple(feature.name for feature in layout if feature.is_optional),
        labels=rows.labels,
        fingerprint=rows.metadata.fingerprint,
    )


def write_shards(
    rows: CanonicalRows,
    layout: tuple[ExportFeature, ...],
    target: Path,
    shards: Sequence[PlannedShard],
    *,
    workers: int,
    progress: Progress | None,
) -> None:
    """Write the shards that are not finished."""
    waiting = [shard for shard in shards if not (target / shard.file).exists()]
    total = sum(shard.n_episodes for shard in shards)
    complete = total - sum(shard.n_episodes for shard in waiting)
    make_writer = partial(ShardWriter, rows, layout, target)
    for shard in run_in_order(make_writer, waiting, workers=workers):
        complete += shard.n_episodes
        if progress is not None:
            progress(complete, total)


def write_descriptions(
    target: Path, name: str, shards: Sequence[PlannedShard], layout: Sequence[ExportFeature], metadata: ExportMetadata
) -> None:
    """Write the files by which TFDS finds its way.

    Raises:
        StorageError: disk full.
    """
    splits: dict[str, list[PlannedShard]] = {}
    for shard in shards:
        splits.setdefault(shard.split, []).append(shard)
    info = {
        "name": name,
        "version": VERSION,
        "description": "Exported from a LeRobotDataset v3.0. Every step has an action and the reward for it.",
        "fileFormat": "tfrecord",
        "splits": [
            {
                "name": split,
                "filepathTemplate": TEMPLATE,
                "shardLengths": [str(shard.n_episodes) for shard in parts],
                "numBytes": str(sum(content_bytes(target, shard) for shard in parts)),
            }
            for split, parts in splits.items()
        ],
    }
    for file, content in (
        (FEATURES_FILE, features_json(layout)),
        (METADATA_FILE, metadata.to_json()),
        (INFO_FILE, info),
    ):
        write_durably(target / file, (json.dumps(content, indent=2) + "\n").encode())
    with storage_errors(target):
        sync_path(target)


def content_bytes(target: Path, shard: PlannedShard) -> int:
    """Return the size of a shard without its frames, as TFDS counts it."""
    return (target / shard.file).stat().st_size - shard.n_episodes * (HEADER_BYTES + FOOTER_BYTES)


def agree_on_plan(path: Path, shards: Sequence[PlannedShard], metadata: ExportMetadata) -> None:
    """Store what is being written, or refuse to continue something else.

    Raises:
        DatasetError: the export was begun from another data set or with other shards.
    """
    plan: Json = {"shards": [[shard.file, shard.first, shard.end] for shard in shards], **metadata.to_json()}
    if not path.exists():
        write_durably(path, json.dumps(plan, indent=2).encode())
    elif read_json(path) != plan:
        raise DatasetError(
            f"{path.parents[1]} was begun from another data set or with shards of another size. "
            f"Remove {path.parent}, or write to another folder."
        )


def refuse_other_export(final: Path, metadata: ExportMetadata) -> None:
    """Refuse to take a finished folder for the export that is asked for.

    Raises:
        DatasetError: it is none of ours, or of another data set.
    """
    path = final / METADATA_FILE
    if not path.exists() or read_json(path) != metadata.to_json():
        raise DatasetError(f"{final} holds another data set already. Write to another folder.")
