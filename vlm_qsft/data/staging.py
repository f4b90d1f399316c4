"""Staged episodes: each finished episode is one durable parquet file until the data set is finalized.

root/staging/plan.json                 what is being written; a second start must agree
root/staging/episode-000123.parquet    one complete episode; exists whole or not at all
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64

from vlm_qsft.data.episode import Attribute, Episode, Pictures, check_episode, label_columns
from vlm_qsft.data.labels import LabelSettings
from vlm_qsft.data.schema import ACTION_KEY, ARROW_IMAGE, STATE_KEY, DatasetSchema, image_key
from vlm_qsft.data.statistics import picture_histogram, sampled_frames
from vlm_qsft.data.storage import write_durably
from vlm_qsft.errors import DatasetError, ShapeMismatch
from vlm_qsft.images import decode, encode_jpeg, encode_png

FOLDER = "staging"
PLAN_NAME = "plan.json"
NOTE_KEY = b"vlm_qsft.episode"
ENCODERS = {"png": encode_png, "jpeg": encode_jpeg}


@dataclass(frozen=True)
class EpisodeNote:
    """What is known of a staged episode besides its columns.

    Attributes:
        histograms: camera -> how often each channel value occurs in the sampled pictures.
        n_sampled: sampled pictures per camera.
    """

    instruction: str
    terminated: bool
    truncated: bool
    success: bool
    attributes: dict[str, Attribute]
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
    for camera, size in schema.cameras.items():
        pictures = episode.images[camera]
        encoded = encode_pictures(pictures, image_format)
        decoded = pictures if isinstance(pictures, np.ndarray) else decode_pictures(encoded, camera, size)
        histograms[camera] = picture_histogram([decoded[frame] for frame in sampled])
        arrays[image_key(camera)] = pa.StructArray.from_arrays(
            [pa.array(encoded, pa.binary()), pa.nulls(len(encoded), pa.string())], fields=list(ARROW_IMAGE)
        )
    if schema.state_names:
        arrays[STATE_KEY] = number_array(episode.state)
    arrays[ACTION_KEY] = number_array(episode.action)
    arrays["next.reward"] = pa.array(columns.reward)
    arrays["next.terminated"] = pa.array(columns.terminated)
    arrays["next.truncated"] = pa.array(columns.truncated)
    arrays["next.success"] = pa.array(columns.success)
    arrays["mc_return"] = pa.array(columns.mc_return)
    note = {
        "instruction": episode.instruction,
        "terminated": bool(episode.terminated),
        "truncated": bool(episode.truncated),
        "success": bool(episode.success),
        "attributes": {name: plain(value) for name, value in sorted(episode.attributes.items())},
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
        note = json.loads((table.schema.metadata or {})[NOTE_KEY])
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        raise DatasetError(
            f"{path} is no readable staged episode ({error}). Delete this file and run the command again."
        ) from error
    note["histograms"] = {camera: np.array(counts, np.int64) for camera, counts in note["histograms"].items()}
    return StagedEpisode(table, EpisodeNote(**note))


def encode_pictures(pictures: Pictures, image_format: str) -> list[bytes]:
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


def number_array(values: np.ndarray) -> pa.Array:
    """Return float32 numbers as an arrow column: scalars for one dimension, else lists of fixed length."""
    numbers = np.ascontiguousarray(values, dtype=np.float32)
    width = numbers.shape[1]
    flat = pa.array(numbers.reshape(-1))
    return flat if width == 1 else pa.FixedSizeListArray.from_arrays(flat, width)


def plain(value: Attribute | np.generic) -> Attribute:
    """Return a NumPy scalar as Python's own type."""
    return value.item() if isinstance(value, np.generic) else value
