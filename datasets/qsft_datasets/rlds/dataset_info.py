"""dataset_info.json of TensorFlow Datasets: splits, their shards, and how many records each shard has.

    {"name": "bridge", "version": "1.0.0", "fileFormat": "tfrecord", "splits": [{"name": "train",
     "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}", "shardLengths": ["25"]}]}

A stub, or no such file, is enough where the names of the files say it all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from qsft_datasets.rlds.json_file import Json, mapping, read_object, sequence, text, whole_number
from vlm_qsft.errors import DatasetError

FILE = "dataset_info.json"
TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
FORMATS = ("tfrecord", "array_record")
SUFFIXES = ("", ".gz", ".zlib")
"""What may follow the name of a shard that somebody has compressed."""
SHARD_NAME = re.compile(
    r"(?P<dataset>[A-Za-z]\w*)-(?P<split>[\w-]+)\.(?P<format>tfrecord|array_record)"
    r"-(?P<index>\d{5,})-of-(?P<count>\d{5,})(\.gz|\.zlib)?"
)


@dataclass(frozen=True)
class Shard:
    """One file of records.

    Attributes:
        file: below the folder of the version.
        split: name of the split it belongs to.
        format: "tfrecord" or "array_record".
        n_records: as announced; None where nothing is.
    """

    file: str
    split: str
    format: str
    n_records: int | None


@dataclass(frozen=True)
class DatasetInfo:
    """What is announced of a data set."""

    name: str
    shards: tuple[Shard, ...]


def read_dataset_info(folder: Path) -> DatasetInfo:
    """Return the name and the shards of a data set, every shard checked to be there.

    Raises:
        DatasetError: no valid description, no shard at all, or a shard is missing; names the file.
    """
    path = folder / FILE
    files = _file_names(folder)
    content = read_object(path) if FILE in files else {}
    try:
        name = text(content.get("name", ""), "its name")
        shards = _announced(content, name, folder, files) or _found(files, folder)
    except DatasetError as error:
        raise DatasetError(f"{path if content else folder}: {error}.") from error
    if not shards:
        raise DatasetError(
            f"{folder} has no records: {FILE} announces no shards and no file is named like name-train.tfrecord-"
            "00000-of-00001."
        )
    return DatasetInfo(name or shards[0].file.partition("-")[0], shards)


def _file_names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read: {error}.") from error


def _announced(content: Json, name: str, folder: Path, files: list[str]) -> tuple[Shard, ...]:
    file_format = text(content.get("fileFormat", "tfrecord"), "its fileFormat") or "tfrecord"
    shards: list[Shard] = []
    for entry in sequence(content.get("splits", []), "its list of splits"):
        entry = mapping(entry, "a split")
        split = text(entry.get("name", ""), "the name of a split")
        what = f"the shardLengths of split '{split}'"
        lengths = [whole_number(length, what) for length in sequence(entry.get("shardLengths", []), what)]
        template = text(entry.get("filepathTemplate", TEMPLATE), f"the filepathTemplate of split '{split}'") or TEMPLATE
        if lengths and file_format not in FORMATS:
            raise DatasetError(f"its records are in '{file_format}' files; this reader takes {' and '.join(FORMATS)}")
        if not lengths:
            shards += [shard for shard in _found(files, folder) if shard.split == split]
        for index, length in enumerate(lengths):
            file = _file_name(template, name, split, file_format, index, len(lengths))
            shards.append(Shard(_existing(folder, file), split, file_format, length))
    return tuple(shards)


def _existing(folder: Path, file: str) -> str:
    for suffix in SUFFIXES:
        if (folder / (file + suffix)).is_file():
            return file + suffix
    raise DatasetError(f"it announces {folder / file}, which is missing: copy the data set again")


def _file_name(template: str, name: str, split: str, file_format: str, index: int, count: int) -> str:
    digits = max(5, len(str(count)))
    values = {
        "{DATASET}": name,
        "{SPLIT}": split,
        "{FILEFORMAT}": file_format,
        "{SHARD_X_OF_Y}": f"{index:0{digits}d}-of-{count:0{digits}d}",
        "{SHARD_INDEX}": f"{index:0{digits}d}",
        "{NUM_SHARDS}": f"{count:0{digits}d}",
    }
    # An encoding may follow behind "%"; it is for writers.
    file = template.partition("%")[0]
    for variable, value in values.items():
        file = file.replace(variable, value)
    path = PurePosixPath(file)
    if not file.isprintable() or not file.isascii() or path.is_absolute() or ".." in path.parts or len(file) > 200:
        raise DatasetError(f"it names a shard {file[:200]!r}, which is no file below its folder")
    return file


def _found(files: list[str], folder: Path) -> tuple[Shard, ...]:
    """Return the shards by the names of the files; the number in their names says whether all are there."""
    matches = [match for file in files if (match := SHARD_NAME.fullmatch(file))]
    groups: dict[tuple[str, ...], dict[int, str]] = {}
    for match in matches:
        key = (match["split"], match["dataset"], match["format"], match["count"])
        groups.setdefault(key, {})[int(match["index"])] = match.string
    shards: list[Shard] = []
    for (split, dataset, file_format, count), present in groups.items():
        missing = next((index for index in range(int(count)) if index not in present), None)
        if missing is not None:
            name = _file_name(TEMPLATE, dataset, split, file_format, missing, int(count))
            raise DatasetError(f"{folder / name} is missing; the other shards say that there are {int(count)}")
        shards += [Shard(present[index], split, file_format, None) for index in sorted(present)]
    return tuple(shards)
