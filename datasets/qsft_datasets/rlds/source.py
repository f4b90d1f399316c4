"""RLDS folders as TensorFlow Datasets writes them, read without TensorFlow, one episode at a time."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

from qsft_datasets.rlds.array_record import ArrayRecordFile, ChunkPlace
from qsft_datasets.rlds.dataset_info import DatasetInfo, Shard, read_dataset_info
from qsft_datasets.rlds.decode import decode_episode_feature, decode_steps, n_steps
from qsft_datasets.rlds.example import parse_example
from qsft_datasets.rlds.export_metadata import ExportMetadata, read_export_metadata
from qsft_datasets.rlds.features import Leaf, read_features
from qsft_datasets.rlds.folder import dataset_folder
from qsft_datasets.rlds.record_table import RecordTable, ShardRecords
from qsft_datasets.rlds.stored_numbers import numpy_dtype
from qsft_datasets.rlds.tfrecord import RecordPlace, TfrecordFile
from qsft_datasets.source import (
    EpisodeReference,
    FeatureKind,
    Scalar,
    SourceDescription,
    SourceEpisode,
    SourceFeature,
    StepValues,
)
from vlm_qsft.errors import DatasetError

STEPS = "steps/"
MAX_LOST = 1000
"""Lost records of one shard that get a reference each; a larger number is damage, and one reference stands for all."""


class RldsSource:
    """A data set in RLDS: records of episodes, whose feature "steps" is a sequence.

    Features of steps are addressed without "steps/" ("observation/image", "action"); features of the whole episode by
    their own name ("episode_metadata/file_path"), or with "episode:" before it where a step has the same.

    A record that cannot be found any more, because the framing before it is damaged or the file ends too early, has a
    reference too: reading it raises what happened. So a conversion stops there, or counts it and goes on.
    """

    def __init__(self, root: Path) -> None:
        """Open the folder of a data set or of one of its versions.

        Raises:
            DatasetError: no RLDS data set, several versions, or a description that contradicts itself.
        """
        self.root = Path(root)
        self._folder = dataset_folder(self.root)
        leaves = read_features(self._folder)
        self._step_leaves = tuple(leaf for leaf in leaves if leaf.name.startswith(STEPS) and leaf.sequences)
        self._episode_leaves = tuple(leaf for leaf in leaves if leaf not in self._step_leaves)
        if not self._step_leaves:
            raise DatasetError(
                f"{self._folder} has no sequence 'steps', so its records are no episodes. "
                f"It has {', '.join(leaf.name for leaf in leaves) or 'no feature at all'}."
            )
        step_paths = {leaf.name.removeprefix(STEPS) for leaf in self._step_leaves}
        self._paths = {leaf.name: leaf.name.removeprefix(STEPS) for leaf in self._step_leaves}
        for leaf in self._episode_leaves:
            self._paths[leaf.name] = f"episode:{leaf.name}" if leaf.name in step_paths else leaf.name
        self._export = read_export_metadata(self._folder)
        self._open: TfrecordFile | ArrayRecordFile | None = None

    def __getstate__(self) -> dict[str, object]:
        # Worker processes open their own files.
        return {**self.__dict__, "_open": None}

    @cached_property
    def _info(self) -> DatasetInfo:
        return read_dataset_info(self._folder)

    @property
    def description(self) -> SourceDescription:
        """What features.json and dataset_info.json say; a frame rate only where our own export stored one.

        Raises:
            DatasetError: dataset_info.json is damaged.
        """
        export = self._export or ExportMetadata()
        return SourceDescription(
            format="rlds",
            name=self._info.name,
            features=tuple(
                described(leaf, self._paths[leaf.name], export) for leaf in (*self._step_leaves, *self._episode_leaves)
            ),
            fps=Fraction(export.fps) if export.fps else None,
            robot_type=export.robot_type or None,
        )

    def references(self) -> Sequence[EpisodeReference]:
        """Return every record of every split, from the framing alone.

        The records of a shard that is missing, and those behind the end of one that was cut off, are lost: a reference
        each, or one for all of a file where dataset_info.json does not say how many there are.

        Raises:
            DatasetError: a shard has more records than dataset_info.json announces.
        """
        return RecordTable([self._shard_records(shard) for shard in self._info.shards])

    def read(self, reference: EpisodeReference) -> SourceEpisode:
        """Return one episode: numbers in their declared types, pictures as they are encoded.

        Raises:
            DatasetError: the record is damaged or not as features.json declares; names file and record.
        """
        record = self._record(reference)
        try:
            example = parse_example(record)
            length = n_steps(example, self._step_leaves)
            steps: dict[str, StepValues] = {}
            for leaf in self._step_leaves:
                values = decode_steps(example, leaf, length)
                if values is not None:
                    steps[self._paths[leaf.name]] = values
            episode: dict[str, Scalar | np.ndarray] = {}
            for leaf in self._episode_leaves:
                value = decode_episode_feature(example, leaf)
                if leaf.name in (self._export or ExportMetadata()).optional and isinstance(value, np.ndarray):
                    value = value[0] if len(value) else None
                    value = value.item() if isinstance(value, np.generic) else value
                if value is not None:
                    episode[self._paths[leaf.name]] = value
        except DatasetError as error:
            raise DatasetError(f"{self.root / reference.file}, record {reference.position[0]}: {error}.") from error
        return SourceEpisode(key=reference.key, length=length, steps=steps, episode=episode)

    def _shard_records(self, shard: Shard) -> ShardRecords:
        path = self._folder / shard.file
        file = path.relative_to(self.root).as_posix()
        positions = array("q")
        loss = ""
        announced = shard.n_records
        if shard.missing:
            loss = f"{path} is missing: {shard.missing}. Copy it again."
            return ShardRecords(file, path.name, shard.split, 1, positions, loss, lost_references(announced, 0))
        if shard.format == "array_record":
            width = 4
            try:
                for chunk in self._opened(ArrayRecordFile, path).chunks():
                    for inside in range(chunk.n_records):
                        positions.extend((chunk.offset, chunk.end, chunk.n_records, inside))
            except DatasetError as error:
                loss = str(error)
        else:
            width = 2
            for place in self._opened(TfrecordFile, path).places():
                loss = place.damage
                if not loss:
                    positions.extend((place.offset, place.length))
        found = len(positions) // width
        if announced is not None and found > announced:
            raise DatasetError(
                f"{path} has {found} records or more; dataset_info.json announces {announced}. "
                "Correct the number, or copy the data set again."
            )
        if announced is not None and found < announced:
            loss = f"{loss or 'the file ends here'}; {announced - found} of its {announced} records are lost"
        elif loss:
            loss = f"{loss}; whatever follows in this file is lost"
        if loss:
            loss = f"{path}, record {found}: {loss}."
        return ShardRecords(file, path.name, shard.split, width, positions, loss, lost_references(announced, found))

    def _record(self, reference: EpisodeReference) -> bytes:
        path = self.root / reference.file
        if reference.lost:
            raise DatasetError(reference.lost)
        number, *place = reference.position
        numbers = [int(part) for part in place]
        if len(numbers) == 2:
            return self._opened(TfrecordFile, path).record(RecordPlace(int(number), numbers[0], numbers[1]))
        offset, end, n_records, inside = numbers
        file = self._opened(ArrayRecordFile, path)
        return file.record(ChunkPlace(offset, end, n_records), inside, int(number))

    def _opened[File: (TfrecordFile, ArrayRecordFile)](self, kind: type[File], path: Path) -> File:
        """Return an open file; one is kept open, because a conversion goes through one shard after the other."""
        if not isinstance(self._open, kind) or self._open.path != path:
            if self._open is not None:
                self._open.close()
                self._open = None
            self._open = kind(path)
        return self._open


def lost_references(announced: int | None, found: int) -> int:
    """Return how many references stand for the records that a shard lacks; one where their number is not known."""
    n_lost = (announced or 0) - found
    return n_lost if 1 <= n_lost <= MAX_LOST else 1


def described(leaf: Leaf, path: str, export: ExportMetadata) -> SourceFeature:
    """Return what a feature looks like to the outside: without the steps, sequences inside a step as axes."""
    is_step = leaf.name.startswith(STEPS) and bool(leaf.sequences)
    inner = leaf.sequences[1:] if is_step else leaf.sequences
    kind: FeatureKind = leaf.kind
    # Several pictures per step are no camera.
    if kind == "image" and (inner or not is_step):
        kind = "bytes"
    dtype = "uint8" if leaf.kind == "bytes" else "str" if leaf.kind == "text" else numpy_dtype(leaf.dtype).name
    return SourceFeature(
        path=path,
        kind=kind,
        dtype=dtype,
        shape=(*inner, *leaf.shape),
        names=export.names.get(leaf.name, ()),
        note=leaf.note,
        per_episode=not is_step,
    )
