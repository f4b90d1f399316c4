"""What a LeRobot data set holds: the declared features, held against the first readable data file and videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from qsft_datasets.lerobot.arrow_values import kind_of, numpy_name, pictures, step_shape
from qsft_datasets.lerobot.data_file import BATCH_ROWS, DataFile
from qsft_datasets.lerobot.dataset_info import DeclaredFeature
from qsft_datasets.lerobot.dimension_names import dimension_names
from qsft_datasets.lerobot.episode_features import episode_features
from qsft_datasets.lerobot.layout import CAMERA_TYPES, Layout
from qsft_datasets.lerobot.picture_header import picture_header
from qsft_datasets.source import SourceDescription, SourceFeature
from vlm_qsft.data.video_stretch import VideoFacts, video_facts
from vlm_qsft.errors import DatasetError

POSITIONS = ("episode_index", "frame_index", "index", "task_index")
"""Columns that number episodes, steps and tasks: checked, used, and given as order and as texts."""
TASK = "task"
DESCRIBED_FILES = 8
"""Files that are tried for the description: the first ones may be damaged, and the others still convert."""
DEPTH_NOTE = "depth map, no colour picture"
RATE_TOLERANCE = 5e-7
"""29.97 and 30000/1001 differ by 1e-6; one tick of the clock in a short video makes 2e-7."""


def describe(layout: Layout) -> SourceDescription:
    """Return the description; reads one batch of rows and the headers of one video per camera.

    Raises:
        DatasetError: none of the first data files is readable; the error of the first.
    """
    notes = list(layout.notes)
    path, first_rows = _first_rows(layout, notes)
    schema = first_rows.schema
    features: list[SourceFeature] = []
    declared = layout.info.features
    for key, entry in declared.items():
        if key in POSITIONS:
            continue
        if key in schema.names:
            feature = _column(layout, path, key, first_rows, entry, notes)
            features += [] if feature is None else [feature]
        elif key in layout.video_names:
            features.append(_video(layout, key, entry, notes))
        else:
            kind = "has no file" if entry.dtype in CAMERA_TYPES else f"is no column of {path.name}"
            notes.append(f"meta/info.json declares '{key}' ({entry.dtype}), which {kind}; it is left out.")
    for key in schema.names:
        if key not in declared and key not in POSITIONS:
            feature = _column(layout, path, key, first_rows, None, notes)
            features += [] if feature is None else [feature]
    features += _task(layout, schema.names, notes)
    return SourceDescription(
        format=f"lerobot-{layout.info.version}",
        name=dataset_name(layout.root),
        features=(*features, *episode_features(layout.episodes)),
        fps=layout.info.fps,
        robot_type=layout.info.robot_type,
        notes=tuple(notes),
    )


def _first_rows(layout: Layout, notes: list[str]) -> tuple[Path, pa.Table]:
    errors: list[DatasetError] = []
    for name in layout.first_existing(layout.data_names, DESCRIBED_FILES):
        try:
            with DataFile(layout.root / name) as file:
                return file.path, file.rows(0, min(file.n_rows, BATCH_ROWS))
        except DatasetError as error:
            errors.append(error)
            notes.append(str(error))
    raise errors[0]


def dataset_name(root: Path) -> str:
    """Return the name of the folder; in the cache of the Hugging Face hub the name that stands above the snapshot."""
    folder = root.absolute()
    repository = folder.parent.parent.name
    if folder.parent.name == "snapshots" and repository.startswith("datasets--"):
        return repository.rpartition("--")[2]
    return folder.resolve().name


def _column(
    layout: Layout, path: Path, key: str, rows: pa.Table, entry: DeclaredFeature | None, notes: list[str]
) -> SourceFeature | None:
    """Return a column as a feature; None for one that is empty."""
    note = "" if entry is not None else "not declared in meta/info.json"
    column = rows.column(key)
    what = kind_of(column.type, is_camera=entry is not None and entry.dtype in CAMERA_TYPES)
    if what == "empty":
        notes.append(f"Column '{key}' is empty in every row; it is left out.")
        return None
    if what == "image":
        return _image(layout, path, key, column, entry, notes)
    if what in ("text", "json"):
        note = note or ("a structure, given as JSON" if what == "json" else "")
        return SourceFeature(key, "text", "str", (), note=note)
    if what == "bytes":
        return SourceFeature(key, "bytes", "bytes", (), note=note)
    if is_task_reference(layout, key, column):
        return SourceFeature(key, "text", "str", (), note="a number of the list of tasks, given as its text")
    return _numbers(key, column, entry, note, notes)


def _numbers(
    key: str, column: pa.ChunkedArray, entry: DeclaredFeature | None, note: str, notes: list[str]
) -> SourceFeature:
    dtype, shape, names = numpy_name(column.type), step_shape(column), ()
    if entry is not None:
        width = int(np.prod(shape, dtype=np.int64))
        declared_width = int(np.prod(entry.shape, dtype=np.int64))
        if declared_width != width:
            notes.append(f"meta/info.json declares '{key}' as {list(entry.shape)}; the data have {list(shape)}.")
        elif shape and len(entry.shape) > len(shape):
            shape = entry.shape  # a matrix, stored as one list
        if entry.dtype != dtype:
            notes.append(f"meta/info.json declares '{key}' as {entry.dtype}; the data are {dtype}.")
        names = dimension_names(entry.names, width)
    if key == "next.done":
        note = note or "the end of the episode: says neither terminated nor truncated"
    is_picture = dtype == "uint8" and len(shape) == 3 and shape[2] == 3
    return SourceFeature(key, "image" if is_picture else "number", dtype, shape, names, note)


def _image(
    layout: Layout, path: Path, key: str, column: pa.ChunkedArray, entry: DeclaredFeature | None, notes: list[str]
) -> SourceFeature:
    declared = _declared_picture(entry)
    try:
        header = picture_header(pictures(column.slice(0, 1), key, root=layout.root, data_file=path)[0])
    except DatasetError as error:
        header = None
        notes.append(str(error))
    shape = header.shape if header is not None else declared or (None, None, 3)
    if header is not None and declared is not None and header.shape[:2] != declared[:2]:
        notes.append(f"meta/info.json declares '{key}' as {list(declared)}; its first picture is {list(header.shape)}.")
    is_depth = _is_depth(entry) or (header is not None and header.bits > 8)
    return SourceFeature(key, "image", "uint8", shape, note=DEPTH_NOTE if is_depth else "")


def _video(layout: Layout, key: str, entry: DeclaredFeature, notes: list[str]) -> SourceFeature:
    facts = _first_facts(layout, key, notes)
    if facts is None:
        shape = _declared_picture(entry) or (None, None, 3)
        return SourceFeature(key, "video", "uint8", shape, note="none of the first files is readable")
    notes += _video_differences(layout, key, entry, facts)
    is_depth = _is_depth(entry) or facts.is_depth
    note = DEPTH_NOTE if is_depth else f"{facts.codec} {facts.pixel_format}"
    return SourceFeature(key, "video", "uint8", (*facts.size, 1 if is_depth else 3), note=note)


def _first_facts(layout: Layout, key: str, notes: list[str]) -> VideoFacts | None:
    for name in layout.first_existing(layout.video_names[key], DESCRIBED_FILES):
        try:
            return video_facts(layout.root / name)
        except DatasetError as error:
            notes.append(str(error))
    return None


def _video_differences(layout: Layout, key: str, entry: DeclaredFeature, facts: VideoFacts) -> list[str]:
    notes = []
    written = entry.notes.get("video.codec")
    if isinstance(written, str) and codec_name(written) != facts.codec:
        notes.append(f"meta/info.json says '{key}' is {written}; its files are {facts.codec}.")
    declared = _declared_picture(entry)
    if declared is not None and declared[:2] != facts.size:
        notes.append(f"meta/info.json declares '{key}' as {list(declared)}; its files are {list(facts.size)}.")
    fps = layout.info.fps
    if fps is not None and facts.rate is not None and abs(facts.rate / fps - 1) > RATE_TOLERANCE:
        notes.append(f"meta/info.json says {fps} steps per second; the files of '{key}' say {facts.rate}.")
    return notes


def codec_name(written: str) -> str:
    """Return FFmpeg's name of a codec by the names that people write."""
    known = {
        "h264": ("avc", "avc1", "libx264", "x264", "h264_nvenc", "libopenh264"),
        "hevc": ("h265", "hvc1", "hev1", "libx265", "x265", "hevc_nvenc"),
        "av1": ("av01", "libsvtav1", "libaom-av1", "libdav1d", "av1_nvenc"),
        "mpeg4": ("mp4v", "xvid"),
        "vp9": ("libvpx-vp9", "vp09"),
    }
    lower = written.lower().replace(".", "")
    return next((name for name, others in known.items() if lower in others), lower)


def is_task_reference(layout: Layout, key: str, column: pa.ChunkedArray) -> bool:
    """Tell whether an `annotation.*` column numbers tasks, as GR00T's data sets do: by its first steps."""
    if layout.tasks is None or not key.startswith("annotation.") or not pa.types.is_integer(column.type):
        return False
    return all(value in layout.tasks for value in column.to_pylist())


def _task(layout: Layout, columns: list[str], notes: list[str]) -> list[SourceFeature]:
    """Return the instruction of every step as a feature, where the data set has one."""
    path = task_path(layout, columns)
    if layout.tasks is not None and "task_index" in columns:
        return [SourceFeature(path, "text", "str", (), note="the instruction, by task_index")]
    if any(len(episode.tasks) != 1 for episode in layout.episodes):
        notes.append("The instruction of a step is unknown: there is no list of tasks, or no column task_index.")
        return []
    return [SourceFeature(path, "text", "str", (), note="the instruction, by the list of episodes")]


def task_path(layout: Layout, columns: list[str]) -> str:
    """Return the path of the instruction; some data sets have a column of the usual name."""
    return "task_index" if TASK in columns or TASK in layout.video_names else TASK


def _declared_picture(entry: DeclaredFeature | None) -> tuple[int, ...] | None:
    """Return (height, width, channels) of a declared camera, whose axes may stand in either order."""
    if entry is None or len(entry.shape) != 3:
        return None
    names = entry.names if isinstance(entry.names, list) and entry.names else [""]
    first = str(names[0]).startswith("channel") or (entry.shape[0] in (1, 3) and entry.shape[2] not in (1, 3))
    return (*entry.shape[1:], entry.shape[0]) if first else entry.shape


def _is_depth(entry: DeclaredFeature | None) -> bool:
    notes = {} if entry is None else entry.notes
    return bool(notes.get("is_depth_map") or notes.get("video.is_depth_map"))
