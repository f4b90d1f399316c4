"""meta/info.json of a LeRobot data set: version, rate, features and where files lie."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, cast

from vlm_qsft.data.source_files import read_json
from vlm_qsft.errors import DatasetError

Version = Literal["v2.0", "v2.1", "v3.0"]
Family = Literal["v2", "v3"]
"""One file per episode listed in meta/episodes.jsonl, or several episodes per file listed in parquet tables."""
VERSIONS: tuple[Version, ...] = ("v2.0", "v2.1", "v3.0")
USUAL_CHUNK_SIZE = 1000
MAX_FPS = 100_000
MAX_AXIS = 1 << 24
"""No axis of a feature is longer; a larger number is damage, and would be allocated."""


@dataclass(frozen=True)
class DeclaredFeature:
    """One entry of `features`.

    Attributes:
        dtype: NumPy's name, "image", "video", "string" or "language".
        shape: of one step; empty where none is given.
        names: as written: a list, nested lists, a dictionary or None.
        notes: the entry "info" or "video_info".
    """

    dtype: str
    shape: tuple[int, ...]
    names: object
    notes: Mapping[str, object]


@dataclass(frozen=True)
class DatasetInfo:
    """What meta/info.json says.

    Attributes:
        fps: exactly the written number; None where there is none.
        data_path, video_path: templates of file names, None where none is written.
        chunk_size: episodes per folder (v2).
        splits: name -> (first, one past the last) episode.
        totals: "total_episodes" and the like, where they are whole numbers.
        notes: what is odd in the file.
    """

    version: Version
    fps: Fraction | None
    robot_type: str | None
    features: Mapping[str, DeclaredFeature]
    data_path: str | None
    video_path: str | None
    chunk_size: int
    splits: Mapping[str, tuple[int, int]]
    totals: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def stated_family(self) -> Family:
        """What the version promises."""
        return "v3" if self.version == "v3.0" else "v2"


def load_info(root: Path) -> DatasetInfo:
    """Read meta/info.json.

    Raises:
        DatasetError: missing, no JSON, of an unknown version, or with features that say nothing.
    """
    path = root / "meta/info.json"
    record = read_json(path)
    version = record.get("codebase_version")
    if version not in VERSIONS:
        raise DatasetError(f"{path} has format version {version!r:.40}; known are {', '.join(VERSIONS)}.")
    features = record.get("features")
    if not isinstance(features, dict) or not features:
        raise DatasetError(f"{path} declares no features.")
    splits, notes = _splits(record.get("splits"))
    robot_type = record.get("robot_type")
    return DatasetInfo(
        version=version,
        fps=_exact_fps(root, record.get("fps")),
        robot_type=robot_type if isinstance(robot_type, str) and robot_type else None,
        features={key: _feature(path, key, entry) for key, entry in features.items()},
        data_path=_template(path, "data_path", record.get("data_path")),
        video_path=_template(path, "video_path", record.get("video_path")),
        chunk_size=_chunk_size(path, record.get("chunks_size")),
        splits=splits,
        totals={key: n for key, n in record.items() if key.startswith("total_") and type(n) is int},
        notes=notes,
    )


def parse_fps(written: object, path: Path) -> Fraction | None:
    """Return the number exactly as written: 12.5 is 25/2, "30000/1001" stays a fraction; nothing is rounded.

    Raises:
        DatasetError: no number above 0.
    """
    if written is None:
        return None
    text = repr(written) if type(written) in (int, float) else written
    if isinstance(text, str) and re.fullmatch(r"\d{1,20}(\.\d{1,20})?(/\d{1,20})?", text):
        numerator, _, denominator = text.partition("/")
        fps = Fraction(numerator) / Fraction(denominator or 1) if Fraction(denominator or 1) else Fraction(0)
        if 0 < fps <= MAX_FPS:
            return fps
    raise DatasetError(f"{path} states fps {written!r:.40}; expected steps per second above 0 and at most {MAX_FPS}.")


def _exact_fps(root: Path, written: object) -> Fraction | None:
    labels = root / "meta/labels.json"
    if labels.exists():
        # Data sets of ours: info.json has the nearest float for lerobot, this file the exact rate.
        exact = read_json(labels).get("fps")
        if exact is not None:
            return parse_fps(exact, labels)
    return parse_fps(written, root / "meta/info.json")


def _feature(path: Path, key: str, entry: object) -> DeclaredFeature:
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        raise DatasetError(f"{path}: feature '{key}' has no dtype.")
    record = cast("dict[str, object]", entry)
    shape = record.get("shape")
    sides = [shape] if type(shape) is int else [] if shape is None else shape
    if not isinstance(sides, list) or len(sides) > 8 or not all(type(n) is int and 0 <= n <= MAX_AXIS for n in sides):
        raise DatasetError(f"{path}: feature '{key}' has shape {shape!r:.40}; expected whole numbers.")
    notes = record.get("info") or record.get("video_info") or {}
    return DeclaredFeature(
        dtype=str(record["dtype"]),
        shape=tuple(cast("list[int]", sides)),
        names=record.get("names"),
        notes=notes if isinstance(notes, dict) else {},
    )


def _template(path: Path, key: str, written: object) -> str | None:
    if written is None or isinstance(written, str):
        return written or None
    raise DatasetError(f"{path}: {key} is {written!r:.40}; expected a pattern of file names.")


def _chunk_size(path: Path, written: object) -> int:
    if written is None:
        return USUAL_CHUNK_SIZE
    if type(written) is not int or written < 1:
        raise DatasetError(f"{path}: chunks_size is {written!r:.40}; expected a whole number above 0.")
    return written


def _splits(written: object) -> tuple[dict[str, tuple[int, int]], tuple[str, ...]]:
    """Return the splits that can be read; the others become notes."""
    splits: dict[str, tuple[int, int]] = {}
    notes: list[str] = []
    for name, text in written.items() if isinstance(written, dict) else ():
        match = re.fullmatch(r"\s*(\d{1,15})\s*:\s*(\d{1,15})\s*", text) if isinstance(text, str) else None
        if match is None:
            notes.append(f"meta/info.json: split '{name}' is {text!r:.40}, not 'first:end'; it is not used.")
        else:
            splits[str(name)] = (int(match[1]), int(match[2]))
    return splits, tuple(notes)
