"""features.json of TensorFlow Datasets: the tree of features, flattened to the names under which records hold them.

    {"pythonClassName": "...FeaturesDict", "featuresDict": {"features": {name: feature, ...}}}
    {"pythonClassName": "...Dataset" or "...Sequence", "sequence": {"feature": feature, "length": "-1"}}
    {"pythonClassName": "...Tensor", "tensor": {"shape": {"dimensions": ["7"]}, "dtype": "float32", "encoding": "none"}}
    likewise text, image, video, audio, classLabel, boundingBox, translation

Files of TFDS before 4.4 say the same as {"type": class, "content": ...}; they are translated first.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from qsft_datasets.rlds.json_values import Json, mapping, sequence, text, whole_number
from qsft_datasets.rlds.legacy_features import translated
from vlm_qsft.data.source_files import read_json
from vlm_qsft.errors import DatasetError

FILE = "features.json"
MAX_AXES, MAX_NUMBERS, MAX_DEPTH = 16, 2**40, 64
LeafKind = Literal["number", "text", "image", "bytes"]
Encoding = Literal["none", "bytes", "zlib"]
NUMBERS = {
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32", "float64"),
}
STRINGS = {"string", "object", "str", "bytes"}


@dataclass(frozen=True)
class Leaf:
    """One feature that records hold.

    Attributes:
        name: in the records, "/" between levels: "steps/observation/image".
        kind: "text" of texts, "image" of one encoded picture, "bytes" of anything else that is not numbers.
        dtype: as declared; "string" of texts and bytes.
        shape: of one element, without the sequences around it; None where an axis varies.
        encoding: of an element's numbers: values of the record, or their bytes.
        sequences: length of each sequence around it, the outermost first; None where it varies.
        is_optional: records may lack it.
        note: the description in the file.
    """

    name: str
    kind: LeafKind
    dtype: str
    shape: tuple[int | None, ...] = ()
    encoding: Encoding = "none"
    sequences: tuple[int | None, ...] = ()
    is_optional: bool = False
    note: str = ""

    @property
    def has_dynamic_shape(self) -> bool:
        """Whether each element's shape stands beside it in the record (two or more varying axes)."""
        return self.kind == "number" and self.shape.count(None) > 1


def read_features(folder: Path) -> tuple[Leaf, ...]:
    """Return the features that features.json declares, in its order.

    Raises:
        DatasetError: missing, no such file, or a feature that this reader does not know; names file and feature.
    """
    path = folder / FILE
    content = read_json(path)
    try:
        leaves = tuple(_leaves(translated(content), "", (), 0))
        twice = [name for name, times in Counter(leaf.name for leaf in leaves).items() if times > 1]
        if twice:
            raise DatasetError(f"feature '{twice[0]}' is declared twice")
    except (DatasetError, RecursionError) as error:
        raise DatasetError(f"{path}: {error}.") from error
    return leaves


def _leaves(node: Json, name: str, around: tuple[int | None, ...], depth: int) -> Iterator[Leaf]:
    if depth > MAX_DEPTH:
        raise DatasetError(f"feature '{name}' is nested more than {MAX_DEPTH} levels deep")
    what = f"feature '{name}'"
    note = str(node.get("description", ""))
    for leaf in _inside(node, name, around, depth, what):
        yield replace(leaf, note=leaf.note or note)


def _inside(node: Json, name: str, around: tuple[int | None, ...], depth: int, what: str) -> Iterator[Leaf]:
    if "featuresDict" in node:
        children = mapping(mapping(node["featuresDict"], what).get("features", {}), what)
        for key, child in children.items():
            path = f"{name}/{key}" if name else key
            yield from _leaves(mapping(child, f"feature '{path}'"), path, around, depth + 1)
    elif "sequence" in node or "dataset" in node:
        inner = mapping(node.get("sequence", node.get("dataset")), what)
        length = whole_number(inner.get("length", -1), f"the length of {what}")
        child = mapping(inner.get("feature"), what)
        yield from _leaves(child, name, (*around, _length(length, what)), depth + 1)
    elif "translation" in node:
        yield from _translations(mapping(node["translation"], what), name, around, what)
    else:
        yield _leaf(node, name, around, what)


def _leaf(node: Json, name: str, around: tuple[int | None, ...], what: str) -> Leaf:
    if "tensor" in node or "boundingBox" in node:
        return _tensor(mapping(node.get("tensor", node.get("boundingBox")), what), name, around, what)
    if "text" in node:
        return Leaf(name, "text", "string", sequences=around)
    if "classLabel" in node:
        return Leaf(name, "number", "int64", sequences=around)
    if "image" in node:
        content = mapping(node["image"], what)
        return Leaf(name, "image", _picture_dtype(content, what), _picture_shape(content, what), sequences=around)
    if "video" in node:
        content = mapping(node["video"], what)
        shape = _shape(content, what)
        length = _length(shape[0] if len(shape) == 4 else None, what)
        frame = shape[1:] if len(shape) == 4 else (None, None, 3)
        return Leaf(name, "image", _picture_dtype(content, what), frame, sequences=(*around, length))
    if "audio" in node:
        content = mapping(node["audio"], what)
        if content.get("lazyDecode"):
            return Leaf(name, "bytes", "string", sequences=around)
        return _tensor(content | {"shape": content.get("shape", {"dimensions": [-1]})}, name, around, what)
    known = "tensor, text, image, video, audio, classLabel, boundingBox, translation, featuresDict, sequence"
    raise DatasetError(f"{what} is a {node.get('pythonClassName', 'feature')}; this reader knows {known}")


def _tensor(content: Json, name: str, around: tuple[int | None, ...], what: str) -> Leaf:
    dtype = _dtype(content, "int64", what)
    encoding = text(content.get("encoding", "none"), f"the encoding of {what}").lower() or "none"
    if encoding not in ("none", "bytes", "zlib"):
        raise DatasetError(f"{what} is encoded as '{encoding}'; this reader knows none, bytes and zlib")
    if dtype == "string" and encoding != "none":
        raise DatasetError(f"{what} holds texts encoded as '{encoding}', which TFDS itself does not write")
    leaf = Leaf(name, "text" if dtype == "string" else "number", dtype, _shape(content, what), encoding, around)
    if leaf.has_dynamic_shape and encoding == "none":
        raise DatasetError(f"{what} has several varying axes and no encoding, which TFDS itself does not write")
    return replace(leaf, is_optional=content.get("optional") is True)


def _translations(content: Json, name: str, around: tuple[int | None, ...], what: str) -> Iterator[Leaf]:
    if content.get("variableLanguagesPerExample"):
        for part in ("language", "translation"):
            yield Leaf(f"{name}/{part}", "text", "string", sequences=(*around, None))
        return
    for language in sequence(content.get("languages", []), f"the languages of {what}"):
        yield Leaf(f"{name}/{text(language, f'a language of {what}')}", "text", "string", sequences=around)


def _dtype(content: Json, default: str, what: str) -> str:
    dtype = text(content.get("dtype", default), f"the type of {what}") or default
    if dtype in STRINGS:
        return "string"
    if dtype not in NUMBERS:
        raise DatasetError(f"{what} has type '{dtype}'; this reader knows string, {', '.join(sorted(NUMBERS))}")
    return dtype


def _picture_dtype(content: Json, what: str) -> str:
    dtype = _dtype(content, "uint8", what)
    if dtype == "string":
        raise DatasetError(f"{what} is a picture of texts; expected one of {', '.join(sorted(NUMBERS))}")
    return dtype


def _shape(content: Json, what: str) -> tuple[int | None, ...]:
    dimensions = mapping(content.get("shape", {}), f"the shape of {what}").get("dimensions", [])
    axes = sequence(dimensions, f"the shape of {what}")
    if len(axes) > MAX_AXES:
        raise DatasetError(f"{what} has {len(axes)} axes; expected at most {MAX_AXES}")
    shape = tuple(_axis(whole_number(axis, f"an axis of {what}"), what) for axis in axes)
    if math.prod(max(axis or 1, 1) for axis in shape) > MAX_NUMBERS:
        raise DatasetError(f"{what} has shape {shape}, more than {MAX_NUMBERS} numbers")
    return shape


def _picture_shape(content: Json, what: str) -> tuple[int | None, ...]:
    shape = _shape(content, what)
    if len(shape) not in (0, 3):
        raise DatasetError(f"{what} has shape {shape}; expected (height, width, channels)")
    return shape or (None, None, 3)


def _length(length: int | None, what: str) -> int | None:
    if length is not None and length != -1 and not 0 < length <= MAX_NUMBERS:
        raise DatasetError(f"{what} is a sequence of {length}; expected -1 where its length varies, or a length")
    return None if length == -1 else length


def _axis(length: int, what: str) -> int | None:
    if not -1 <= length <= MAX_NUMBERS:
        raise DatasetError(f"{what} has an axis of {length}; expected -1 where it varies, or a size")
    return None if length == -1 else length
