"""What a data set holds: cameras, state, action, control rate; and its features in the words of LeRobotDataset v3.0."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import pyarrow as pa

from vlm_qsft.errors import DatasetError, InvalidSetting, UnknownName

FORMAT_VERSION = "v3.0"
IMAGE_PREFIX = "observation.images."
STATE_KEY = "observation.state"
ACTION_KEY = "action"
LABEL_DTYPES = {
    "next.reward": "float32",
    "next.terminated": "bool",
    "next.truncated": "bool",
    "next.success": "bool",
    "mc_return": "float32",
}
"""Our label columns: what followed the action of their row; `mc_return` is the return from the row on."""
INDEX_DTYPES = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
"""The columns that every LeRobot data set has."""

CameraStorage = Literal["image", "video"]
ARROW_IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


@dataclass(frozen=True)
class DatasetSchema:
    """The declared content of a data set.

    Attributes:
        cameras: name -> (height, width) in pixels, RGB; their order is the order of cameras in every tensor.
        state_names: one name per number of proprioception; may be empty.
        action_names: one name per number of an action.
        fps: control steps per second, exact (12.5 and 30000/1001 are real rates).
        robot_type: free text for people and for LeRobot.
        camera_storage: encoded pictures inside the parquet files, or mp4 files beside them.
    """

    cameras: Mapping[str, tuple[int, int]]
    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    fps: Fraction
    robot_type: str = "unknown"
    camera_storage: CameraStorage = "image"

    def __post_init__(self) -> None:
        object.__setattr__(self, "cameras", {name: (int(h), int(w)) for name, (h, w) in self.cameras.items()})
        object.__setattr__(self, "state_names", tuple(self.state_names))
        object.__setattr__(self, "action_names", tuple(self.action_names))
        object.__setattr__(self, "fps", Fraction(self.fps))
        if self.fps <= 0:
            raise InvalidSetting(f"fps is {self.fps}; expected control steps per second above 0.")
        if not self.action_names:
            raise InvalidSetting("A data set needs at least one action dimension.")
        for kind, names in (("state", self.state_names), ("action", self.action_names)):
            if len(set(names)) != len(names):
                raise InvalidSetting(f"The {kind} names repeat: {', '.join(names)}.")
        for name, (height, width) in self.cameras.items():
            if height < 1 or width < 1 or not name or "/" in name:
                raise InvalidSetting(f"Camera '{name}' is declared as {height} x {width} pixels.")

    def camera(self, name: str) -> tuple[int, int]:
        """Return (height, width) of a camera.

        Raises:
            UnknownName: no such camera; lists those there are.
        """
        if name not in self.cameras:
            raise UnknownName("camera", name, self.cameras, where="this data set")
        return self.cameras[name]

    def to_json(self) -> str:
        """Return the schema as JSON text with a fixed order of keys."""
        record = {
            "cameras": {name: list(size) for name, size in self.cameras.items()},
            "state_names": list(self.state_names),
            "action_names": list(self.action_names),
            "fps": str(self.fps),
            "robot_type": self.robot_type,
            "camera_storage": self.camera_storage,
        }
        return json.dumps(record, indent=2)

    @classmethod
    def from_json(cls, text: str) -> DatasetSchema:
        """Read what `to_json` wrote.

        Raises:
            DatasetError: no such record.
        """
        try:
            record = json.loads(text)
            return cls(
                cameras={name: (size[0], size[1]) for name, size in record["cameras"].items()},
                state_names=tuple(record["state_names"]),
                action_names=tuple(record["action_names"]),
                fps=Fraction(record["fps"]),
                robot_type=record["robot_type"],
                camera_storage=record["camera_storage"],
            )
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"Not the record of a data set schema: {error!r}.") from error


def image_key(camera: str) -> str:
    """Return the feature key of a camera."""
    return IMAGE_PREFIX + camera


def numeric_shapes(schema: DatasetSchema) -> dict[str, tuple[str, int]]:
    """Return key -> (type, numbers per frame) of every feature that is no picture, in the order of the columns."""
    shapes = {STATE_KEY: ("float32", len(schema.state_names))} if schema.state_names else {}
    shapes[ACTION_KEY] = ("float32", len(schema.action_names))
    shapes |= {key: (dtype, 1) for key, dtype in LABEL_DTYPES.items()}
    return shapes | {key: (dtype, 1) for key, dtype in INDEX_DTYPES.items()}


def lerobot_features(schema: DatasetSchema) -> dict[str, dict[str, object]]:
    """Return the `features` entry of meta/info.json."""
    names = {STATE_KEY: list(schema.state_names), ACTION_KEY: list(schema.action_names)}
    features: dict[str, dict[str, object]] = {
        image_key(camera): {
            "dtype": schema.camera_storage,
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
        }
        for camera, (height, width) in schema.cameras.items()
    }
    for key, (dtype, width) in numeric_shapes(schema).items():
        features[key] = {"dtype": dtype, "shape": [width], "names": names.get(key)}
    return features


def arrow_schema(schema: DatasetSchema) -> pa.Schema:
    """Return the columns of the parquet files, with the note by which Hugging Face's `datasets` finds pictures."""
    fields = [pa.field(image_key(camera), ARROW_IMAGE) for camera in schema.cameras]
    hugging_face: dict[str, dict[str, object]] = {image_key(camera): {"_type": "Image"} for camera in schema.cameras}
    for key, (dtype, width) in numeric_shapes(schema).items():
        value = pa.bool_() if dtype == "bool" else pa.type_for_alias(dtype)
        value_note: dict[str, object] = {"dtype": dtype, "_type": "Value"}
        if width == 1:
            fields.append(pa.field(key, value))
            hugging_face[key] = value_note
        else:
            fields.append(pa.field(key, pa.list_(value, width)))
            hugging_face[key] = {"feature": value_note, "length": width, "_type": "List"}
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": hugging_face}})})
