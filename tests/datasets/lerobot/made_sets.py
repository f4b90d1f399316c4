"""Small LeRobot data sets of every version, written by hand: pyarrow, PyAV and json, no code of ours and no lerobot."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SIZE = 64
TASKS = ("push the block", "pull the block")
Column = Callable[[int, int], Any]
"""(number of the episode, its length) -> what pa.array takes."""


def state_of(episode: int, length: int) -> np.ndarray:
    """Return the state of an episode: float32 (length, 3), other numbers in every episode."""
    return np.random.default_rng(episode).normal(size=(length, 3)).astype(np.float32)


def brightness(episode: int, frame: int) -> int:
    """Return the grey value of a frame: neighbours differ by more than any codec changes."""
    return 20 + (frame * 12 + episode * 5) % 200


def frames_of(episode: int, length: int) -> list[np.ndarray]:
    """Return the pictures of an episode: uint8 (SIZE, SIZE, 3), each of one grey value."""
    return [np.full((SIZE, SIZE, 3), brightness(episode, frame), np.uint8) for frame in range(length)]


def write_video(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    rate: Fraction | int = 10,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    is_streamable: bool = False,
) -> None:
    """Write an mp4 file with a key frame every four frames; `is_streamable` puts its index at the front."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"g": "4"} | ({"preset": "12"} if codec == "libsvtav1" else {})
    with av.open(str(path), "w", options={"movflags": "+faststart"} if is_streamable else {}) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], pixel_format
        for image in frames:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixel_format)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def listed(values: object) -> list[Any]:
    """Return the texts or encoded pictures of a feature."""
    assert isinstance(values, Sequence)
    return list(values)


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_lines(path: Path, records: Sequence[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def camera_entry(dtype: str, **notes: object) -> dict[str, object]:
    return {"dtype": dtype, "shape": [SIZE, SIZE, 3], "names": ["height", "width", "channels"], "info": notes}


def features(declared: Mapping[str, object] = {}) -> dict[str, object]:
    """Return what meta/info.json declares; an entry of None takes a usual one away."""
    usual: dict[str, object] = {
        "observation.state": {"dtype": "float32", "shape": [3], "names": ["x", "y", "z"]},
        "action": {"dtype": "float32", "shape": [3], "names": ["dx", "dy", "dz"]},
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        **{
            name: {"dtype": "int64", "shape": [1], "names": None}
            for name in ("frame_index", "episode_index", "index", "task_index")
        },
    }
    return {name: entry for name, entry in {**usual, **declared}.items() if entry is not None}


def rows_of(
    episode: int, length: int, fps: float, first_row: int, columns: Mapping[str, Column | None]
) -> dict[str, pa.Array]:
    """Return the columns of an episode; an entry of None takes a usual one away."""
    state = state_of(episode, length)
    usual: dict[str, Any] = {
        "observation.state": pa.array(state.tolist(), pa.list_(pa.float32(), 3)),
        "action": pa.array((state * 2).tolist(), pa.list_(pa.float32(), 3)),
        "timestamp": pa.array((np.arange(length) / fps).astype(np.float32)),
        "frame_index": pa.array(np.arange(length)),
        "episode_index": pa.array(np.full(length, episode)),
        "index": pa.array(np.arange(length) + first_row),
        "task_index": pa.array(np.full(length, episode % 2)),
    }
    for name, column in columns.items():
        usual.pop(name, None)
        if column is not None:
            values = column(episode, length)
            usual[name] = values if isinstance(values, pa.Array | pa.ExtensionArray) else pa.array(values)
    return usual


def _rate_of(fps: object) -> Fraction:
    """Return the rate of rows and videos: the stated one, or 10 where that is nonsense."""
    is_rate = type(fps) in (int, float) and 0 < fps < 1000  # type: ignore[operator]
    return Fraction(str(fps)) if is_rate else Fraction(10)


def write_v2(
    root: Path,
    *,
    lengths: Sequence[int] = (6, 4),
    version: str = "v2.1",
    fps: object = 10,
    declared: Mapping[str, object] = {},
    columns: Mapping[str, Column | None] = {},
    videos: Mapping[str, str] = {},
    info: Mapping[str, object] = {},
    episodes: Sequence[Mapping[str, object]] | None = None,
    tasks: Sequence[Mapping[str, object]] | None = None,
) -> Path:
    """Write a data set with one file per episode.

    Args:
        declared, columns: differences to the usual features and columns.
        videos: camera -> codec.
        info: differences to the usual meta/info.json.
        episodes, tasks: lines instead of the usual ones.
    """
    rate = _rate_of(fps)
    first_row = 0
    for number, length in enumerate(lengths):
        path = root / f"data/chunk-000/episode_{number:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(rows_of(number, length, float(rate), first_row, columns)), path)
        first_row += length
        for camera, codec in videos.items():
            video = root / f"videos/chunk-000/{camera}/episode_{number:06d}.mp4"
            write_video(video, frames_of(number, length), rate=rate, codec=codec)
    cameras = {camera: camera_entry("video") for camera in videos}
    record = {
        "codebase_version": version,
        "robot_type": "made",
        "total_episodes": len(lengths),
        "total_frames": sum(lengths),
        "chunks_size": 1000,
        "fps": fps,
        "splits": {"train": f"0:{len(lengths)}"},
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        "features": features({**cameras, **declared}),
    }
    write_json(root / "meta/info.json", {key: value for key, value in {**record, **info}.items() if value is not None})
    lines = [{"episode_index": n, "tasks": [TASKS[n % 2]], "length": length} for n, length in enumerate(lengths)]
    write_lines(root / "meta/episodes.jsonl", lines if episodes is None else episodes)
    task_lines = [{"task_index": number, "task": text} for number, text in enumerate(TASKS)]
    write_lines(root / "meta/tasks.jsonl", task_lines if tasks is None else tasks)
    if version == "v2.1":
        write_lines(
            root / "meta/episodes_stats.jsonl", [{"episode_index": n, "stats": {}} for n in range(len(lengths))]
        )
    return root


def write_v3(
    root: Path,
    *,
    files: Sequence[Sequence[int]] = ((6, 4), (5,)),
    fps: object = 10,
    declared: Mapping[str, object] = {},
    columns: Mapping[str, Column | None] = {},
    videos: Mapping[str, str] = {},
    info: Mapping[str, object] = {},
    episode_columns: Mapping[str, Sequence[object]] = {},
    rows_per_group: int | None = None,
) -> Path:
    """Write a data set with several episodes per file.

    Args:
        files: lengths of the episodes of every data file; videos are cut into files likewise.
        episode_columns: differences to the usual columns of the episode table.
        rows_per_group: of the data files; None makes one row group per episode.
    """
    rate = _rate_of(fps)
    table: dict[str, list[object]] = {}
    number = first_row = 0
    for file_number, lengths in enumerate(files):
        path = root / f"data/chunk-000/file-{file_number:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        tables, pictures, in_file = [], [], 0
        for length in lengths:
            tables.append(pa.table(rows_of(number, length, float(rate), first_row, columns)))
            pictures += frames_of(number, length)
            row: dict[str, object] = {
                "episode_index": number,
                "tasks": [TASKS[number % 2]],
                "length": length,
                "data/chunk_index": 0,
                "data/file_index": file_number,
                "dataset_from_index": first_row,
                "dataset_to_index": first_row + length,
                "stats/action/min": [0.0, 0.0, 0.0],
                "meta/episodes/chunk_index": 0,
            }
            for camera in videos:
                row[f"videos/{camera}/chunk_index"], row[f"videos/{camera}/file_index"] = 0, file_number
                row[f"videos/{camera}/from_timestamp"] = float(in_file / rate)
                row[f"videos/{camera}/to_timestamp"] = float((in_file + length) / rate)
            for name, value in row.items():
                table.setdefault(name, []).append(value)
            number, first_row, in_file = number + 1, first_row + length, in_file + length
        with pq.ParquetWriter(path, tables[0].schema) as writer:
            for part in tables if rows_per_group is None else [pa.concat_tables(tables)]:
                writer.write_table(part, row_group_size=rows_per_group)
        for camera, codec in videos.items():
            video = root / f"videos/{camera}/chunk-000/file-{file_number:03d}.mp4"
            write_video(video, pictures, rate=rate, codec=codec)
    cameras = {camera: camera_entry("video") for camera in videos}
    record = {
        "codebase_version": "v3.0",
        "robot_type": "made",
        "total_episodes": number,
        "total_frames": first_row,
        "chunks_size": 1000,
        "fps": fps,
        "splits": {"train": f"0:{number}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": features({**cameras, **declared}),
    }
    write_json(root / "meta/info.json", {key: value for key, value in {**record, **info}.items() if value is not None})
    episodes = root / "meta/episodes/chunk-000/file-000.parquet"
    episodes.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**table, **episode_columns}), episodes)
    tasks = pa.table({"task_index": list(range(len(TASKS))), "__index_level_0__": list(TASKS)})
    pq.write_table(tasks, root / "meta/tasks.parquet")
    return root
