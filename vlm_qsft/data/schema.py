"""What a data set holds: cameras, state, action, control rate; and its features in the words of LeRobotDataset v3.0."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
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
NumberType = Literal["float32", "float64"]
KEPT_DTYPES = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")
"""Types of kept columns: those that LeRobot, parquet and torch have in common."""
KEPT_KEY = re.compile(r"[A-Za-z_][\w.\-]*")
LEROBOT_KEYS = ("language_persistent", "language_events")
"""Keys that LeRobot reads as something else than numbers."""
ARROW_IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


@dataclass(frozen=True)
class KeptColumn:
    """A column of numbers that is neither state nor action nor label, stored as the source has it.

    Attributes:
        dtype: a name of KEPT_DTYPES.
        width: numbers per frame.
    """

    dtype: str
    width: int


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
        state_dtype, action_dtype: float64 where the source has it, so that every number is equal bit for bit.
        kept: feature key -> other numbers of every frame.
    """

    cameras: Mapping[str, tuple[int, int]]
    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    fps: Fraction
    robot_type: str = "unknown"
    camera_storage: CameraStorage = "image"
    state_dtype: NumberType = "float32"
    action_dtype: NumberType = "float32"
    kept: Mapping[str, KeptColumn] = field(default_factory=dict)

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
        for kind, dtype in (("state", self.state_dtype), ("action", self.action_dtype)):
            if dtype not in ("float32", "float64"):
                raise InvalidSetting(f"The {kind} is declared as {dtype}; expected float32 or float64.")
        for key, column in self.kept.items():
            if not is_kept_key(key) or column.dtype not in KEPT_DTYPES or column.width < 1:
                raise InvalidSetting(
                    f"Kept column '{key}' is declared as {column.width} x {column.dtype}; expected a name of letters, "
                    f"digits, '_', '.' and '-' that no other column has, and one of {', '.join(KEPT_DTYPES)}."
                )

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
        record: dict[str, object] = {
            "cameras": {name: list(size) for name, size in self.cameras.items()},
            "state_names": list(self.state_names),
            "action_names": list(self.action_names),
            "fps": str(self.fps),
            "robot_type": self.robot_type,
            "camera_storage": self.camera_storage,
        }
        # What most data sets do not have is left out, so that their records stay what they were.
        record |= {
            name: dtype
            for name, dtype in (("state_dtype", self.state_dtype), ("action_dtype", self.action_dtype))
            if dtype != "float32"
        }
        if self.kept:
            record["kept"] = {key: [column.dtype, column.width] for key, column in self.kept.items()}
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
                state_dtype=record.get("state_dtype", "float32"),
                action_dtype=record.get("action_dtype", "float32"),
                kept={key: KeptColumn(dtype, width) for key, (dtype, width) in record.get("kept", {}).items()},
            )
        except (json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise DatasetError(f"Not the record of a data set schema: {error!r}.") from error


def image_key(camera: str) -> str:
    """Return the feature key of a camera."""
    return IMAGE_PREFIX + camera


def is_kept_key(key: str) -> bool:
    """Tell whether a kept column may have this name: no other column has it, and LeRobot reads it as numbers."""
    taken = {STATE_KEY, ACTION_KEY, *LABEL_DTYPES, *INDEX_DTYPES, *LEROBOT_KEYS}
    return KEPT_KEY.fullmatch(key) is not None and key not in taken and not key.startswith(IMAGE_PREFIX)


def stored_cameras(schema: DatasetSchema) -> tuple[str, ...]:
    """Return the cameras whose pictures are columns of the parquet files."""
    return tuple(schema.cameras) if schema.camera_storage == "image" else ()


def numeric_shapes(schema: DatasetSchema) -> dict[str, tuple[str, int]]:
    """Return key -> (type, numbers per frame) of every feature that is no picture, in the order of the columns."""
    shapes: dict[str, tuple[str, int]] = {}
    if schema.state_names:
        shapes[STATE_KEY] = (schema.state_dtype, len(schema.state_names))
    shapes[ACTION_KEY] = (schema.action_dtype, len(schema.action_names))
    shapes |= {key: (column.dtype, column.width) for key, column in schema.kept.items()}
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
    pictures = [image_key(camera) for camera in stored_cameras(schema)]
    fields = [pa.field(key, ARROW_IMAGE) for key in pictures]
    hugging_face: dict[str, dict[str, object]] = {key: {"_type": "Image"} for key in pictures}
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
