"""Episodes -> serialised tf.train.Example, as TFDS lays them out; the bytes depend on nothing but the episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from qsft_datasets.rlds.canonical_rows import StoredEpisode
from qsft_datasets.rlds.export_layout import ExportFeature
from vlm_qsft.data.episode import Attribute
from vlm_qsft.errors import DatasetError

Values = Sequence[bytes] | np.ndarray


def encode_episode(
    episode: StoredEpisode, layout: Sequence[ExportFeature], facts: Mapping[str, Attribute | None]
) -> bytes:
    """Return an episode as a record.

    Args:
        facts: episode index and attributes by name.
    Raises:
        DatasetError: an optional value is absent where it may not be.
    """
    features = {feature.name: _values(episode, feature, facts) for feature in layout}
    return encode_example(features)


def encode_example(features: Mapping[str, Values]) -> bytes:
    """Return a tf.train.Example: bytes, float32 or whole numbers by name, in the order of the names."""
    entries = [
        _field(1, _field(1, name.encode()) + _field(2, _feature(values))) for name, values in sorted(features.items())
    ]
    return _field(1, b"".join(entries))


def varint(number: int) -> bytes:
    """Return an unsigned number of at most 64 bits as a varint."""
    result = bytearray()
    while number > 0x7F:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    result.append(number)
    return bytes(result)


def _values(episode: StoredEpisode, feature: ExportFeature, facts: Mapping[str, Attribute | None]) -> Values:
    length = episode.length
    if feature.origin == "pictures":
        return episode.pictures[feature.key]
    if feature.origin == "instruction":
        return [text.encode() for text in episode.instructions]
    if feature.origin == "texts":
        return [text.encode() for text in episode.texts[feature.key]]
    if feature.origin == "numbers":
        return _numbers(episode.numbers[feature.key], feature.dtype)
    if feature.origin == "episode":
        value = facts[feature.key]
        if value is None and not feature.is_optional:
            raise DatasetError(f"The episode has no '{feature.key}'.")
        return _fact(value, feature.dtype)
    frames = np.arange(length)
    if feature.origin == "first":
        return (frames == 0).astype(np.int64)
    if feature.origin == "last":
        return (frames == length - 1).astype(np.int64)
    if feature.origin == "discount":
        terminated = episode.numbers.get("next.terminated", np.zeros((length, 1), bool))[:, 0]
        return np.where(terminated, 0.0, 1.0).astype(np.float32)
    return np.zeros(length, np.int64)


def _fact(value: Attribute | None, dtype: str) -> Values:
    values = [] if value is None else [value]
    if dtype == "string":
        return [str(text).encode() for text in values]
    return _numbers(np.array(values, np.dtype(dtype))[:, None], dtype)


def _numbers(values: np.ndarray, dtype: str) -> Values:
    """Return (step, width) numbers as a record holds them: float64 as bytes of each step, see `ExportFeature`."""
    if dtype == "float64":
        return [row.tobytes() for row in np.ascontiguousarray(values, "<f8")]
    if np.dtype(dtype).kind == "f":
        return np.ascontiguousarray(values, np.float32).reshape(-1)
    if np.dtype(dtype) == np.uint64:
        return np.ascontiguousarray(values, np.uint64).view(np.int64).reshape(-1)
    return np.ascontiguousarray(values, np.int64).reshape(-1)


def _feature(values: Values) -> bytes:
    if not isinstance(values, np.ndarray):
        return _field(1, b"".join(_field(1, bytes(value)) for value in values))
    if values.dtype == np.float32:
        return _field(2, _field(1, values.astype("<f4", copy=False).tobytes()) if values.size else b"")
    return _field(3, _field(1, _packed(values)) if values.size else b"")


def _packed(values: np.ndarray) -> bytes:
    if values.size and values.min() >= 0 and values.max() < 0x80:
        return values.astype(np.uint8).tobytes()
    return b"".join(varint(number & 0xFFFFFFFFFFFFFFFF) for number in values.tolist())


def _field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content
