"""Attributes of a group as per-episode features; an attribute that is a JSON object is opened one level."""

from __future__ import annotations

import json

import h5py
import numpy as np

from qsft_datasets.hdf5.files import place_of
from qsft_datasets.hdf5.values import as_text
from qsft_datasets.source import Scalar, SourceFeature
from vlm_qsft.errors import DatasetError

PREFIX = "attributes/"
NOT_CONVERTIBLE = "is neither a number of at most 64 bits nor a text"


def attributes_of(group: h5py.Group, where: str = "") -> dict[str, Scalar | np.ndarray]:
    """Return path -> value of the attributes of a group: "attributes/data/env_args/env_name", "attributes/sim".

    Args:
        where: what stands between "attributes/" and the name: "data/" for the group of all demos.
    Raises:
        DatasetError: an attribute holds object references or damaged text; names file and group.
    """
    found: dict[str, Scalar | np.ndarray] = {}
    for name in sorted(group.attrs):
        value = group.attrs[name]
        try:
            found |= attribute_values(f"{PREFIX}{where}{name}", value)
        except (TypeError, UnicodeError) as error:
            raise DatasetError(f"Attribute '{name}' of {place_of(group)} {NOT_CONVERTIBLE} ({error}).") from error
    return found


def attribute_values(path: str, value: object) -> dict[str, Scalar | np.ndarray]:
    """Return an attribute under its path; nothing for an empty one.

    Raises:
        TypeError: neither numbers nor texts.
        UnicodeError: no UTF-8.
    """
    if isinstance(value, h5py.Empty):
        return {}
    if isinstance(value, str | bytes):
        return opened_text(path, as_text(value))
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf" and value.dtype.itemsize <= 8:
        return {path: value if isinstance(value, np.ndarray) else value.item()}
    if isinstance(value, np.ndarray) and all(isinstance(item, str | bytes) for item in value.reshape(-1).tolist()):
        texts = [as_text(item) for item in value.reshape(-1).tolist()]
        return {path: texts[0] if len(texts) == 1 else json.dumps(texts)}
    raise TypeError(f"{type(value).__name__} {getattr(value, 'dtype', '')}".strip())


def opened_text(path: str, text: str) -> dict[str, Scalar | np.ndarray]:
    """Return a text under its path, or the members of the JSON object that it is.

    LIBERO's own reader joins `language_instruction` where it is a list, and takes the quotes around it away.
    """
    members = json_object(text)
    if members is None:
        return {path: text}
    found: dict[str, Scalar | np.ndarray] = {}
    for name, value in members.items():
        if name == "language_instruction" and isinstance(value, list):
            value = "".join(str(part) for part in value)
        if name == "language_instruction" and isinstance(value, str):
            value = value.strip().strip('"').strip()
        if value is not None:
            found[f"{path}/{name}"] = plain(value)
    return found


def plain(value: object) -> Scalar:
    """Return a JSON value as it is where NumPy can hold it (JSON's whole numbers have no limit), else as JSON text."""
    if isinstance(value, str | float | bool) or (isinstance(value, int) and -(2**63) <= value < 2**63):
        return value
    return json.dumps(value)


def json_object(text: str) -> dict[str, object] | None:
    """Return the JSON object that a text is; None where it is none."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def attribute_feature(path: str, value: Scalar | np.ndarray) -> SourceFeature:
    """Describe an attribute by one of its values."""
    if isinstance(value, str):
        return SourceFeature(path, "text", "str", (), per_episode=True)
    array = np.asarray(value)
    return SourceFeature(path, "number", array.dtype.name, array.shape, per_episode=True)
