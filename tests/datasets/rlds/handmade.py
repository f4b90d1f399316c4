"""RLDS folders made by hand: a second, slow encoder of protocol buffers, TFRecord and features.json."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

CLASSES = "tensorflow_datasets.core.features"
Entry = tuple[str, Sequence]
"""("bytes", [b"..."]), ("float", [0.5]) or ("int", [-3])."""


def slow_varint(number: int) -> bytes:
    bits = bin(number % 2**64)[2:]
    groups = []
    while bits:
        groups.append(bits[-7:].rjust(7, "0"))
        bits = bits[:-7]
    while len(groups) > 1 and set(groups[-1]) == {"0"}:
        groups.pop()
    return bytes(int(("0" if place == len(groups) - 1 else "1") + group, 2) for place, group in enumerate(groups))


def slow_field(number: int, content: bytes) -> bytes:
    return slow_varint(number * 8 + 2) + slow_varint(len(content)) + content


def slow_example(features: Mapping[str, Entry], *, packed: bool = True) -> bytes:
    entries = b""
    for name, (kind, values) in features.items():
        if kind == "bytes":
            inner = slow_field(1, b"".join(slow_field(1, value) for value in values))
        elif kind == "float":
            numbers = [struct.pack("<f", value) for value in values]
            whole = slow_field(1, b"".join(numbers)) if packed else b"".join(b"\x0d" + number for number in numbers)
            inner = slow_field(2, whole)
        else:
            numbers = [slow_varint(value) for value in values]
            whole = slow_field(1, b"".join(numbers)) if packed else b"".join(b"\x08" + number for number in numbers)
            inner = slow_field(3, whole)
        entries += slow_field(1, slow_field(1, name.encode()) + slow_field(2, inner))
    return slow_field(1, entries)


def slow_crc32c(content: bytes) -> int:
    """CRC32C bit by bit, as its polynomial says (reflected 0x1EDC6F41)."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def slow_masked(content: bytes) -> bytes:
    crc = slow_crc32c(content)
    return ((crc // 2**15 + crc * 2**17 + 0xA282EAD8) % 2**32).to_bytes(4, "little")


def slow_tfrecord(records: Sequence[bytes]) -> bytes:
    result = b""
    for record in records:
        length = len(record).to_bytes(8, "little")
        result += length + slow_masked(length) + record + slow_masked(record)
    return result


def feature_dict(features: Mapping[str, dict]) -> dict:
    return {"pythonClassName": f"{CLASSES}.features_dict.FeaturesDict", "featuresDict": {"features": dict(features)}}


def tensor(dtype: str, *shape: int, encoding: str = "none") -> dict:
    content = {"shape": {"dimensions": [str(axis) for axis in shape]}, "dtype": dtype, "encoding": encoding}
    return {"pythonClassName": f"{CLASSES}.tensor_feature.Tensor", "tensor": content}


def text() -> dict:
    return {"pythonClassName": f"{CLASSES}.text_feature.Text", "text": {}}


def image(*shape: int, dtype: str = "uint8") -> dict:
    content = {"shape": {"dimensions": [str(axis) for axis in shape]}, "dtype": dtype}
    return {"pythonClassName": f"{CLASSES}.image_feature.Image", "image": content}


def sequence(feature: dict, length: int = -1, *, kind: str = "sequence_feature.Sequence") -> dict:
    inner = {"feature": feature, "length": str(length)}
    return {"pythonClassName": f"{CLASSES}.{kind}", "sequence": inner}


def steps(features: Mapping[str, dict]) -> dict:
    return sequence(feature_dict(features), kind="dataset_feature.Dataset")


def write_folder(
    folder: Path,
    features: Mapping[str, dict],
    shards: Sequence[Sequence[bytes]],
    *,
    name: str = "made",
    info: dict | None = None,
) -> Path:
    """Write a version folder with one split "train" of TFRecord shards; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "features.json").write_text(json.dumps(feature_dict(features)))
    for number, records in enumerate(shards):
        shard_path(folder, number, len(shards), name=name).write_bytes(slow_tfrecord(records))
    if info is None:
        split = {"name": "train", "shardLengths": [str(len(records)) for records in shards]}
        info = {"name": name, "version": "1.0.0", "fileFormat": "tfrecord", "splits": [split]}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


def shard_path(folder: Path, number: int, count: int, *, name: str = "made") -> Path:
    return folder / f"{name}-train.tfrecord-{number:05d}-of-{count:05d}"


PLAIN_FEATURES = {"steps": steps({"action": tensor("float32", 2), "is_first": tensor("bool")}), "episode_id": text()}


def plain_record(length: int, seed: int) -> bytes:
    """An episode of PLAIN_FEATURES: actions seed + 0.0, 0.5, 1.0, ..."""
    return slow_example(
        {
            "steps/action": ("float", [seed + place / 2 for place in range(2 * length)]),
            "steps/is_first": ("int", [1] + [0] * (length - 1)),
            "episode_id": ("bytes", [f"episode {seed}".encode()]),
        }
    )
