"""Small ROS 2 bags, written with rosbags: joint states with jitter, cameras that drop frames, commands."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from ruamel.yaml import YAML

from vlm_qsft.images import encode_jpeg

START_NS = 1_700_000_000 * 10**9
GRIPPER = "control_msgs/msg/GripperCommand"
STORE = get_typestore(Stores.ROS2_JAZZY)
STORE.register(get_types_from_msg("float64 position\nfloat64 max_effort\n", GRIPPER))


def make(name: str, *values: object) -> Any:
    """Return a message by the end of its type's name and its fields in their order."""
    typename = next(each for each in STORE.types if each.endswith(f"/{name}"))
    return STORE.types[typename](*values)  # type: ignore[arg-type]


def header(stamp_ns: int, frame: str = "base") -> Any:
    return make("Header", make("Time", stamp_ns // 10**9, stamp_ns % 10**9), frame)


def joint_state(stamp_ns: int, names: Sequence[str], position: Sequence[float], velocity: Sequence[float] = ()) -> Any:
    arrays = [np.array(values, dtype=np.float64) for values in (position, velocity, ())]
    return make("JointState", header(stamp_ns), list(names), *arrays)


def commands(numbers: Sequence[float]) -> Any:
    return make("Float64MultiArray", make("MultiArrayLayout", [], 0), np.array(numbers, dtype=np.float64))


def trajectory(stamp_ns: int, names: Sequence[str], points: Sequence[Sequence[float]]) -> Any:
    empty = np.zeros(0)
    listed = [
        make("JointTrajectoryPoint", np.array(each, dtype=np.float64), empty, empty, empty, make("Duration", 0, 0))
        for each in points
    ]
    return make("JointTrajectory", header(stamp_ns), list(names), listed)


def image(stamp_ns: int, encoding: str, height: int, width: int, data: bytes, *, step: int) -> Any:
    return make("Image", header(stamp_ns), height, width, encoding, 0, step, np.frombuffer(data, dtype=np.uint8))


def compressed(stamp_ns: int, data: bytes, stated: str = "rgb8; jpeg compressed bgr8") -> Any:
    return make("CompressedImage", header(stamp_ns), stated, np.frombuffer(data, dtype=np.uint8))


def text(words: str) -> Any:
    return make("String", words)


def flag(value: bool) -> Any:
    return make("Bool", value)


@dataclass(frozen=True)
class Sent:
    """A message as it was received."""

    topic: str
    received_ns: int
    message: Any


def write_bag(
    path: Path,
    sent: Sequence[Sent],
    storage: str = "mcap",
    *,
    compression: str = "none",
    custom: dict[str, str] | None = None,
) -> Path:
    """Write a bag folder; MCAP files hold definitions as schemas, db3 files in a table, as of Iron."""
    writer = Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()])
    writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
    for key, value in (custom or {}).items():
        writer.set_custom_data(key, value)
    with writer:
        connections = {}
        for each in sent:
            msgtype = each.message.__msgtype__
            if each.topic not in connections:
                connections[each.topic] = writer.add_connection(each.topic, msgtype, typestore=STORE)
            writer.write(connections[each.topic], each.received_ns, STORE.serialize_cdr(each.message, msgtype))
    return path


def write_humble(path: Path, sent: Sequence[Sent]) -> Path:
    """Write a db3 bag as Humble does: metadata version 5, no definitions."""
    path.mkdir()
    topics = {each.topic: each.message.__msgtype__ for each in sent}
    database = sqlite3.connect(path / f"{path.name}_0.db3")
    database.execute(
        "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, "
        "serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL)"
    )
    database.execute(
        "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL, "
        "data BLOB NOT NULL)"
    )
    for number, (name, msgtype) in enumerate(topics.items(), start=1):
        database.execute("INSERT INTO topics VALUES(?, ?, ?, 'cdr', '')", (number, name, msgtype))
    for each in sent:
        content = bytes(STORE.serialize_cdr(each.message, each.message.__msgtype__))
        number = list(topics).index(each.topic) + 1
        database.execute(
            "INSERT INTO messages(topic_id, timestamp, data) VALUES(?, ?, ?)", (number, each.received_ns, content)
        )
    database.commit()
    database.close()
    write_metadata(path, sent, [f"{path.name}_0.db3"], "sqlite3", version=5)
    return path


def write_metadata(path: Path, sent: Sequence[Sent], files: Sequence[str], storage: str, *, version: int) -> None:
    """Write the metadata.yaml of a bag."""
    topics = {each.topic: each.message.__msgtype__ for each in sent}
    times = [each.received_ns for each in sent]
    stated = {
        "version": version,
        "storage_identifier": storage,
        "relative_file_paths": list(files),
        "duration": {"nanoseconds": max(times) - min(times)},
        "starting_time": {"nanoseconds_since_epoch": min(times)},
        "message_count": len(sent),
        "topics_with_message_count": [
            {
                "topic_metadata": {
                    "name": name,
                    "type": msgtype,
                    "serialization_format": "cdr",
                    "offered_qos_profiles": "",
                },
                "message_count": sum(each.topic == name for each in sent),
            }
            for name, msgtype in topics.items()
        ],
        "compression_format": "",
        "compression_mode": "",
    }
    with (path / "metadata.yaml").open("w") as file:
        YAML(typ="safe").dump({"rosbag2_bagfile_information": stated}, file)


def write_split(path: Path, sent: Sequence[Sent], n_files: int, storage: str = "mcap") -> Path:
    """Write a bag of several files."""
    path.mkdir()
    suffix = {"mcap": ".mcap", "sqlite3": ".db3"}[storage]
    size = -(-len(sent) // n_files)
    names = []
    for index in range(n_files):
        part = write_bag(path.parent / f"{path.name}_part_{index}", sent[index * size : (index + 1) * size], storage)
        names.append(f"{path.name}_{index}{suffix}")
        next(part.glob(f"*{suffix}")).rename(path / names[-1])
    write_metadata(path, sent, names, storage, version=8)
    return path


NAMES = ("shoulder", "elbow", "wrist")


@dataclass(frozen=True)
class Arm:
    """What an arm's bag holds, for formulas of the tests: (stamp, value) in the order of receiving."""

    sent: list[Sent]
    states: list[tuple[int, list[float]]]
    commands: list[tuple[int, list[float]]]
    pictures: list[tuple[int, bytes]]


def record_arm(seed: int = 0, length_s: float = 2.0) -> Arm:
    """Record joints at 100 Hz with jitter, a camera at 30 Hz that drops and swaps frames, and commands at 50 Hz."""
    generator = np.random.default_rng(seed)
    arm = Arm([], [], [], [])
    for index in range(int(100 * length_s)):
        stamp = START_NS + index * 10_000_000 + int(generator.integers(-3_000_000, 3_000_000))
        position = generator.normal(size=3).tolist()
        arm.states.append((stamp, position))
        arm.sent.append(Sent("/joint_states", stamp + 400_000, joint_state(stamp, NAMES, position)))
    for index in range(int(30 * length_s)):
        stamp = START_NS + index * 33_333_333 + int(generator.integers(-2_000_000, 2_000_000))
        if generator.random() < 0.15:
            continue
        picture = encode_jpeg(generator.integers(0, 256, (16, 20, 3), dtype=np.uint8))
        arm.pictures.append((stamp, picture))
        # Every eighth frame is received after its successor.
        late = 45_000_000 if index % 8 == 3 else 5_000_000
        arm.sent.append(Sent("/camera/compressed", stamp + late, compressed(stamp, picture)))
    for index in range(int(50 * length_s)):
        stamp = START_NS + index * 20_000_000 + int(generator.integers(0, 6_000_000))
        numbers = generator.normal(size=4).tolist()
        arm.commands.append((stamp, numbers))
        arm.sent.append(Sent("/arm/commands", stamp, commands(numbers)))
    arm.sent.sort(key=lambda each: each.received_ns)
    return arm
