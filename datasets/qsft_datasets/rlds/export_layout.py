"""Which feature of a LeRobotDataset becomes which feature of RLDS, and features.json for it.

    steps/observation/<camera>      pictures, as they are encoded        steps/is_first, is_last    by position
    steps/observation/state         observation.state                    steps/is_terminal          next.terminated
    steps/action                    action                               steps/discount             0 where terminated
    steps/reward                    next.reward: for the action beside   steps/language_instruction task of the frame
    steps/truncated, success        next.truncated, next.success         steps/mc_return, timestamp as they are
    steps/kept/<key>                every other column                   episode_metadata/...       index, attributes

Every step has an action and its reward, the last one too: no row of the data set is padding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qsft_datasets.rlds.canonical_rows import CanonicalRows
from qsft_datasets.rlds.features import NUMBERS
from qsft_datasets.rlds.json_values import Json
from vlm_qsft.data.episode import Attribute
from vlm_qsft.data.features import is_depth
from vlm_qsft.data.schema import ACTION_KEY, INDEX_DTYPES, STATE_KEY
from vlm_qsft.errors import DatasetError

CLASSES = "tensorflow_datasets.core.features"
OWN_NAMES = {
    STATE_KEY: "observation/state",
    ACTION_KEY: "action",
    "next.reward": "reward",
    "next.terminated": "is_terminal",
    "next.truncated": "truncated",
    "next.success": "success",
    "mc_return": "mc_return",
    "timestamp": "timestamp",
}
KEPT = "kept/"
ATTRIBUTES = "episode_metadata/attributes/"
ATTRIBUTE_DTYPES: dict[type[Attribute], str] = {bool: "bool", int: "int64", float: "float64", str: "string"}

Origin = Literal["numbers", "texts", "pictures", "instruction", "first", "last", "discount", "never", "episode"]


@dataclass(frozen=True)
class ExportFeature:
    """One feature of the export.

    Attributes:
        name: in the records.
        origin: what its values are made of.
        key: of the feature in the data set, the camera, or the attribute.
        dtype: of numbers, or "string".
        shape: of one step.
        is_optional: some episodes lack it: a sequence of none or one.
        note: for people.
    """

    name: str
    origin: Origin
    key: str = ""
    dtype: str = "string"
    shape: tuple[int, ...] = ()
    is_optional: bool = False
    note: str = ""

    @property
    def encoding(self) -> str:
        """How numbers are stored: float64 as bytes, because records hold float32 only."""
        return "bytes" if self.dtype == "float64" else "none"


def export_layout(rows: CanonicalRows) -> tuple[ExportFeature, ...]:
    """Return the features of the export.

    Raises:
        DatasetError: a feature that RLDS has no place for; names it.
    """
    schema, keys = rows.metadata.schema, {key: camera for camera, key in rows.metadata.image_keys.items()}
    result: list[ExportFeature] = []
    for key, feature in rows.features.items():
        dtype, name = feature["dtype"], OWN_NAMES.get(key, KEPT + key)
        if "/" in key:
            raise DatasetError(f"{rows.root}: feature '{key}' has a '/' in its name, which separates levels in RLDS.")
        if dtype in ("image", "video"):
            if is_depth(feature) or key not in keys:
                raise DatasetError(f"{rows.root}: '{key}' is a depth map; the export to RLDS takes RGB cameras only.")
            size = (*schema.cameras[keys[key]], 3)
            result.append(ExportFeature(f"steps/observation/{keys[key]}", "pictures", keys[key], "uint8", size))
        elif dtype == "string":
            result.append(ExportFeature(f"steps/{name}", "texts", key))
        elif dtype not in NUMBERS:
            raise DatasetError(f"{rows.root}: feature '{key}' of type '{dtype}' has no place in RLDS. Remove it first.")
        elif key not in INDEX_DTYPES or key == "timestamp":
            width = rows.metadata.widths[key]
            shape = () if width == 1 and key not in (STATE_KEY, ACTION_KEY) else (width,)
            result.append(ExportFeature(f"steps/{name}", "numbers", key, dtype, shape))
    result += [
        ExportFeature("steps/is_first", "first", dtype="bool"),
        ExportFeature("steps/is_last", "last", dtype="bool"),
        ExportFeature("steps/discount", "discount", dtype="float32", note="0 where the task ended, else 1"),
        ExportFeature("steps/language_instruction", "instruction"),
        ExportFeature("episode_metadata/episode_index", "episode", "episode_index", "int64"),
    ]
    if "next.terminated" not in rows.features:
        result.append(ExportFeature("steps/is_terminal", "never", dtype="bool", note="the data set has no terminals"))
    result += attribute_features(rows.metadata.episodes.attributes)
    names = [feature.name for feature in result]
    for name in names:
        if names.count(name) > 1:
            raise DatasetError(f"{rows.root}: two of its features would both be '{name}' in RLDS. Rename one.")
    return tuple(result)


def attribute_features(attributes: Mapping[str, Sequence[Attribute | None]]) -> list[ExportFeature]:
    """Return one feature per attribute of the episodes."""
    result = []
    for name, values in attributes.items():
        kinds = {type(value) for value in values if value is not None}
        if len(kinds) > 1 or not kinds <= ATTRIBUTE_DTYPES.keys():
            raise DatasetError(f"Attribute '{name}' holds {', '.join(sorted(kind.__name__ for kind in kinds))}.")
        dtype = ATTRIBUTE_DTYPES[next(iter(kinds), str)]
        result.append(ExportFeature(ATTRIBUTES + name, "episode", name, dtype, is_optional=None in values))
    return result


def features_json(layout: Sequence[ExportFeature]) -> Json:
    """Return the content of features.json."""
    tree: dict[str, Any] = {}
    for feature in layout:
        *levels, last = feature.name.split("/")
        branch = tree
        for level in levels:
            branch = branch.setdefault(level, {})
        branch[last] = feature
    return _dictionary({name: _branch(name, child, top=True) for name, child in tree.items()})


def _branch(name: str, child: dict[str, Any] | ExportFeature, *, top: bool = False) -> Json:
    if isinstance(child, ExportFeature):
        return _leaf(child)
    inner = _dictionary({key: _branch(key, value) for key, value in child.items()})
    return _sequence("dataset_feature.Dataset", inner) if top and name == "steps" else inner


def _leaf(feature: ExportFeature) -> Json:
    shape = {"dimensions": [str(axis) for axis in feature.shape]} if feature.shape else {}
    if feature.origin == "pictures":
        node: Json = {
            "pythonClassName": f"{CLASSES}.image_feature.Image",
            "image": {"shape": shape, "dtype": feature.dtype},
        }
    elif feature.dtype == "string":
        node = {"pythonClassName": f"{CLASSES}.text_feature.Text", "text": {}}
    else:
        content = {"shape": shape, "dtype": feature.dtype, "encoding": feature.encoding}
        node = {"pythonClassName": f"{CLASSES}.tensor_feature.Tensor", "tensor": content}
    if feature.note:
        node["description"] = feature.note
    return _sequence("sequence_feature.Sequence", node) if feature.is_optional else node


def _dictionary(children: Mapping[str, Json]) -> Json:
    return {"pythonClassName": f"{CLASSES}.features_dict.FeaturesDict", "featuresDict": {"features": dict(children)}}


def _sequence(kind: str, inner: Json) -> Json:
    return {"pythonClassName": f"{CLASSES}.{kind}", "sequence": {"feature": inner, "length": "-1"}}
