"""dataset_info.json of TensorFlow Datasets: splits, their shards, and how many records each shard has.

    {"name": "bridge", "version": "1.0.0", "fileFormat": "tfrecord", "splits": [{"name": "train",
     "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}", "shardLengths": ["25"]}]}

A stub, or no such file, is enough where the names of the files say it all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from qsft_datasets.rlds.json_values import Json, mapping, sequence, text, whole_number
from vlm_qsft.data.source_files import read_json
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
        missing: why the file should be there, where it is not.
    """

    file: str
    split: str
    format: str
    n_records: int | None
    missing: str = ""


@dataclass(frozen=True)
class DatasetInfo:
    """What is announced of a data set."""

    name: str
    shards: tuple[Shard, ...]


def read_dataset_info(folder: Path) -> DatasetInfo:
    """Return the name and the shards of a data set, and which of them are missing.

    Raises:
        DatasetError: no valid description, or no shard at all; names the file.
    """
    path = folder / FILE
    files = _file_names(folder)
    content = read_json(path) if FILE in files else {}
    try:
        name = text(content.get("name", ""), "its name")
        shards = _announced(content, name, folder, files) or _found(files)
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
            shards += [shard for shard in _found(files) if shard.split == split]
        for index, length in enumerate(lengths):
            file = _file_name(template, name, split, file_format, index, len(lengths))
            there = next((file + suffix for suffix in SUFFIXES if (folder / (file + suffix)).is_file()), "")
            missing = "" if there else f"{FILE} announces {length} records in it"
            shards.append(Shard(there or file, split, file_format, length, missing))
    return tuple(shards)


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
    is_plain = file.isprintable() and file.isascii() and not set("{}") & set(file)
    if not is_plain or path.is_absolute() or ".." in path.parts or len(file) > 200:
        raise DatasetError(f"it names a shard {file[:200]!r}, which is no file below its folder")
    return file


def _found(files: list[str]) -> tuple[Shard, ...]:
    """Return the shards by the names of the files; the number in their names says whether all are here."""
    matches = [match for file in files if (match := SHARD_NAME.fullmatch(file))]
    groups: dict[tuple[str, ...], dict[int, str]] = {}
    for match in matches:
        key = (match["split"], match["dataset"], match["format"], match["count"])
        groups.setdefault(key, {})[int(match["index"])] = match.string
    shards: list[Shard] = []
    for (split, dataset, file_format, count), present in groups.items():
        shards += [Shard(present[index], split, file_format, None) for index in sorted(present)]
        # One stands for all: the number in a name may be any.
        gap = next((index for index in range(int(count)) if index not in present), None)
        if gap is not None:
            name = _file_name(TEMPLATE, dataset, split, file_format, gap, int(count))
            missing = f"the names of the others say that there are {int(count)} shards, and {len(present)} are here"
            shards.append(Shard(name, split, file_format, None, missing))
    return tuple(shards)
