"""Staged episodes: each finished episode is one durable parquet file until the data set is finalized.

root/staging/plan.json                 what is being written; a second start must agree
root/staging/episode-000123.parquet    one complete episode; exists whole or not at all
root/staging/refused-000124.json       an episode that was refused, and why; it leaves no gap in the numbering
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64

from vlm_qsft.data.episode import Attribute, Episode, VideoClip, check_episode, label_columns
from vlm_qsft.data.labels import LabelSettings
from vlm_qsft.data.schema import ACTION_KEY, ARROW_IMAGE, STATE_KEY, DatasetSchema, image_key
from vlm_qsft.data.source_files import read_json
from vlm_qsft.data.statistics import picture_histogram, sampled_frames
from vlm_qsft.data.storage import write_durably
from vlm_qsft.data.video_clips import check_clip, frame_times_s
from vlm_qsft.data.video_pictures import VideoPictures
from vlm_qsft.errors import DatasetError, ShapeMismatch
from vlm_qsft.images import decode, encode_jpeg, encode_png

FOLDER = "staging"
PLAN_NAME = "plan.json"
"""File of the staging folder that says what is being written."""
NOTE_KEY = b"vlm_qsft.episode"
LOCAL_TASK = "local_task"
"""Column of staged files: which entry of the note's instructions holds in a frame; absent where there is one."""
ENCODERS = {"png": encode_png, "jpeg": encode_jpeg}


@dataclass(frozen=True)
class EpisodeNote:
    """What is known of a staged episode besides its columns.

    Attributes:
        instructions: those of its frames, in the order of their first appearance.
        clips: camera -> stretch of video; empty where pictures are stored.
        histograms: camera -> how often each channel value occurs in the sampled pictures.
        n_sampled: sampled pictures per camera.
    """

    instructions: tuple[str, ...]
    terminated: bool
    truncated: bool
    success: bool
    attributes: dict[str, Attribute]
    clips: dict[str, VideoClip]
    histograms: dict[str, Int64[np.ndarray, "3 256"]]
    n_sampled: int


@dataclass(frozen=True)
class StagedEpisode:
    """A staged episode as read back."""

    table: pa.Table
    note: EpisodeNote


def staged_path(root: Path, index: int) -> Path:
    """Return where episode `index` is staged."""
    return root / FOLDER / f"episode-{index:06d}.parquet"


def staged_indices(root: Path) -> list[int]:
    """Return the indices of the complete staged episodes, ascending."""
    return sorted(int(path.stem.removeprefix("episode-")) for path in (root / FOLDER).glob("episode-*.parquet"))


def refused_path(root: Path, index: int) -> Path:
    """Return where the refusal of episode `index` is noted."""
    return root / FOLDER / f"refused-{index:06d}.json"


def refuse_episode(root: Path, index: int, *, name: str, reason: str) -> None:
    """Note durably that an episode is left out, and why.

    Raises:
        StorageError: disk full or no permission.
    """
    write_durably(refused_path(root, index), json.dumps({"episode": name, "reason": reason}).encode())


def refused_episodes(root: Path) -> dict[int, dict[str, str]]:
    """Return index -> {"episode": name, "reason": text} of the refused episodes, ascending.

    Raises:
        DatasetError: one of the notes is damaged.
    """
    paths = sorted((root / FOLDER).glob("refused-*.json"))
    return {int(path.stem.removeprefix("refused-")): read_json(path) for path in paths}


def stage_episode(
    root: Path, index: int, episode: Episode, *, schema: DatasetSchema, labels: LabelSettings, image_format: str
) -> None:
    """Check an episode and store it durably under its index. The bytes depend on nothing but the arguments.

    Raises:
        DatasetError, UnknownName, ShapeMismatch, NotFinite, TargetOutOfRange: the episode does not fit.
        StorageError: disk full or no permission.
    """
    check_episode(episode, schema)
    columns = label_columns(episode, labels)
    arrays: dict[str, pa.Array] = {}
    histograms: dict[str, Int64[np.ndarray, "3 256"]] = {}
    sampled = sampled_frames(episode.length)
    clips: dict[str, dict[str, str | float]] = {}
    for camera, size in schema.cameras.items():
        pictures = episode.images[camera]
        if isinstance(pictures, VideoClip):
            check_clip(pictures, episode.length, fps=schema.fps, size=size)
            times_s = frame_times_s(pictures, episode.length, schema.fps)[sampled]
            histograms[camera] = picture_histogram(VideoPictures(schema.fps).frames(pictures.path, times_s.tolist()))
            clips[camera] = {"path": str(pictures.path), "from_s": pictures.from_s}
            continue
        encoded = encode_pictures(pictures, image_format)
        decoded = pictures if isinstance(pictures, np.ndarray) else decode_pictures(encoded, camera, size)
        histograms[camera] = picture_histogram([decoded[frame] for frame in sampled])
        arrays[image_key(camera)] = pa.StructArray.from_arrays(
            [pa.array(encoded, pa.binary()), pa.nulls(len(encoded), pa.string())], fields=list(ARROW_IMAGE)
        )
    if schema.state_names:
        arrays[STATE_KEY] = number_array(episode.state, schema.state_dtype)
    arrays[ACTION_KEY] = number_array(episode.action, schema.action_dtype)
    arrays |= {key: number_array(episode.kept[key], column.dtype) for key, column in schema.kept.items()}
    arrays["next.reward"] = pa.array(columns.reward)
    arrays["next.terminated"] = pa.array(columns.terminated)
    arrays["next.truncated"] = pa.array(columns.truncated)
    arrays["next.success"] = pa.array(columns.success)
    arrays["mc_return"] = pa.array(columns.mc_return)
    told = [episode.instruction] if isinstance(episode.instruction, str) else list(episode.instruction)
    instructions = list(dict.fromkeys(told))
    if len(instructions) > 1:
        place = {text: number for number, text in enumerate(instructions)}
        arrays[LOCAL_TASK] = pa.array([place[text] for text in told], pa.int64())
    note = {
        "instructions": instructions,
        "terminated": bool(episode.terminated),
        "truncated": bool(episode.truncated),
        "success": bool(episode.success),
        "attributes": {name: plain(value) for name, value in sorted(episode.attributes.items())},
        "clips": clips,
        "histograms": {camera: counts.tolist() for camera, counts in histograms.items()},
        "n_sampled": len(sampled),
    }
    table = pa.table(arrays).replace_schema_metadata({NOTE_KEY: json.dumps(note)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="none", use_dictionary=False, write_statistics=False)
    write_durably(staged_path(root, index), buffer.getvalue())


def read_staged(root: Path, index: int) -> StagedEpisode:
    """Read a staged episode.

    Raises:
        DatasetError: the file is not what `stage_episode` wrote.
    """
    path = staged_path(root, index)
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(use_threads=False)
        return StagedEpisode(table, parsed_note(json.loads((table.schema.metadata or {})[NOTE_KEY])))
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        raise unreadable(path, error) from error


def read_note(root: Path, index: int) -> EpisodeNote:
    """Read what is known of a staged episode, without its columns.

    Raises:
        DatasetError: the file is not what `stage_episode` wrote.
    """
    path = staged_path(root, index)
    try:
        return parsed_note(json.loads((pq.read_schema(path).metadata or {})[NOTE_KEY]))
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        raise unreadable(path, error) from error


def parsed_note(note: dict) -> EpisodeNote:
    """Return the note that a staged file carries."""
    note["instructions"] = tuple(note["instructions"])
    note["clips"] = {camera: VideoClip(Path(clip["path"]), clip["from_s"]) for camera, clip in note["clips"].items()}
    note["histograms"] = {camera: np.array(counts, np.int64) for camera, counts in note["histograms"].items()}
    return EpisodeNote(**note)


def unreadable(path: Path, error: Exception) -> DatasetError:
    """Return the error of a staged file that something else has altered."""
    return DatasetError(f"{path} is no readable staged episode ({error}). Delete this file and run the command again.")


def encode_pictures(pictures: np.ndarray | Sequence[bytes], image_format: str) -> list[bytes]:
    """Return encoded pictures; bytes pass through unchanged."""
    if isinstance(pictures, np.ndarray):
        return [ENCODERS[image_format](picture) for picture in pictures]
    return [bytes(picture) for picture in pictures]


def decode_pictures(encoded: list[bytes], camera: str, size: tuple[int, int]) -> list[np.ndarray]:
    """Decode pictures that a source had encoded, all of them: a broken one must not be found by the trainer.

    Raises:
        DatasetError: a picture cannot be decoded.
        ShapeMismatch: a picture of another size than declared.
    """
    decoded = []
    for frame, content in enumerate(encoded):
        try:
            picture = decode(content)
        except DatasetError as error:
            raise DatasetError(f"Camera '{camera}', frame {frame}: {error}") from error
        if picture.shape[:2] != size:
            raise ShapeMismatch(
                f"Camera '{camera}', frame {frame} is {picture.shape[0]} x {picture.shape[1]}; "
                f"declared are {size[0]} x {size[1]} (height x width)."
            )
        decoded.append(picture)
    return decoded


def number_array(values: np.ndarray, dtype: str) -> pa.Array:
    """Return numbers as an arrow column of a type: scalars for one dimension, else lists of fixed length."""
    numbers = np.ascontiguousarray(values, dtype=dtype)
    width = numbers.shape[1]
    flat = pa.array(numbers.reshape(-1))
    return flat if width == 1 else pa.FixedSizeListArray.from_arrays(flat, width)


def plain(value: Attribute | np.generic) -> Attribute:
    """Return a NumPy scalar as Python's own type."""
    return value.item() if isinstance(value, np.generic) else value
