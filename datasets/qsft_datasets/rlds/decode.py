"""From the features of a record to those of an episode: steps, nesting and types as features.json declares them.

How TFDS lays a feature out: the elements of one level of sequence are joined ("steps/action": step after step); with
more levels the elements stand in ".../ragged_flat_values" and the lengths of the rows of each level below the first in
".../ragged_row_lengths_0", "_1", ...; a tensor with two varying axes stands in ".../value" and ".../shape".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from qsft_datasets.rlds.example import FeatureValues
from qsft_datasets.rlds.features import Leaf
from qsft_datasets.rlds.stored_numbers import completed, encoded_numbers, plain_numbers
from vlm_qsft.errors import DatasetError

Elements = np.ndarray | list[bytes] | list[str]
"""One entry per innermost element: regular numbers, arrays of varying shape (dtype object), bytes or texts."""
Example = Mapping[str, FeatureValues]


def n_steps(example: Example, leaves: Sequence[Leaf]) -> int:
    """Return the number of steps of an episode; every feature whose number shows must agree.

    Raises:
        DatasetError: two features disagree, one does not divide into steps, or none of them is there; names them.
    """
    if not any(_present(example, leaf) for leaf in leaves):
        names = ", ".join(leaf.name for leaf in leaves)
        raise DatasetError(f"the record has none of {names}; it has {', '.join(example) or 'nothing'}")
    found: dict[int, str] = {}
    for leaf in leaves:
        with_name = f"feature '{leaf.name}'"
        try:
            count = _visible_steps(example, leaf)
        except DatasetError as error:
            raise DatasetError(f"{with_name}: {error}") from error
        if count is not None:
            found.setdefault(count, leaf.name)
    if len(found) > 1:
        raise DatasetError("; ".join(f"'{name}' has {count} steps" for count, name in found.items()))
    return next(iter(found), 0)


def decode_steps(example: Example, leaf: Leaf, length: int) -> np.ndarray | list[bytes] | list[str] | None:
    """Return one feature of `length` steps; None where it is optional and absent.

    Raises:
        DatasetError: absent, or not as declared; names the feature.
    """
    return _decoded(example, leaf, length, inner=leaf.sequences[1:])


def decode_episode_feature(example: Example, leaf: Leaf) -> str | int | float | bool | np.ndarray | None:
    """Return one feature of the whole episode; bytes and texts in arrays of objects where they are several or bytes.

    Raises:
        DatasetError: absent, or not as declared; names the feature.
    """
    if leaf.sequences:
        if leaf.is_optional and not _present(example, leaf):
            return None
        count = n_steps(example, [leaf])
        value = _decoded(example, leaf, count, inner=leaf.sequences[1:])
        return objects(value) if isinstance(value, list) else value
    value = _decoded(example, leaf, 1, inner=())
    if value is None:
        return None
    single = value[0]
    if isinstance(single, bytes):
        wrapped = np.empty((), object)
        wrapped[()] = single
        return wrapped
    return single.item() if isinstance(single, np.generic) else single


def objects(values: Sequence[object]) -> np.ndarray:
    """Return an array of objects, one per value; NumPy would try to stack them."""
    result = np.empty(len(values), object)
    for index, value in enumerate(values):
        result[index] = value
    return result


def _decoded(example: Example, leaf: Leaf, count: int, *, inner: tuple[int | None, ...]) -> Elements | None:
    try:
        if not _present(example, leaf):
            if leaf.is_optional:
                return None
            if count:
                raise DatasetError("the record does not have it")
        levels = _row_lengths(example, leaf, count, inner) if inner else []
        total = sum(levels[-1]) if levels else count * math.prod(length or 0 for length in inner)
        elements = _elements(example, leaf, total)
        if len(elements) != total:
            raise DatasetError(f"it has {len(elements)} elements; expected {total}")
        return _nested(elements, levels, count, inner)
    except DatasetError as error:
        raise DatasetError(f"feature '{leaf.name}': {error}") from error


def _visible_steps(example: Example, leaf: Leaf) -> int | None:
    if not _present(example, leaf):
        return None
    lengths = example.get(f"{_key(leaf)}/ragged_row_lengths_0")
    if lengths is not None:
        return len(lengths)
    values = example.get(_key(leaf), [])
    per_step = math.prod(0 if length is None else length for length in leaf.sequences[1:])
    if not isinstance(values, list) and leaf.encoding == "none":
        per_step *= math.prod(0 if axis is None else axis for axis in leaf.shape)
    if not per_step:
        return None
    if len(values) % per_step:
        raise DatasetError(f"its {len(values)} values are no whole number of steps of {per_step}")
    return len(values) // per_step


def _key(leaf: Leaf) -> str:
    return f"{leaf.name}/value" if leaf.has_dynamic_shape else leaf.name


def _present(example: Example, leaf: Leaf) -> bool:
    key = _key(leaf)
    return key in example or f"{key}/ragged_flat_values" in example


def _row_lengths(example: Example, leaf: Leaf, count: int, inner: tuple[int | None, ...]) -> list[list[int]]:
    """Return the lengths of the rows of every level below the first; none where they are all declared."""
    levels: list[list[int]] = []
    rows = count
    for depth, declared in enumerate(inner):
        values = example.get(f"{_key(leaf)}/ragged_row_lengths_{depth}")
        if values is None:
            if None in inner and rows:
                raise DatasetError(f"the record has no lengths of its rows, level {depth}")
            return [] if None not in inner else [*levels, *([] for _ in inner[depth:])]
        lengths = plain_numbers(values, "int64")
        # Anything longer than the record itself is nonsense; the sum of what is left cannot overflow.
        if len(lengths) != rows or (len(lengths) and (lengths.min() < 0 or lengths.max() > 2**31)):
            raise DatasetError(f"its {len(lengths)} lengths of rows, level {depth}, do not fit {rows} rows")
        if declared is not None and (lengths != declared).any():
            raise DatasetError(f"a row has {int(lengths[lengths != declared][0])} elements; declared are {declared}")
        levels.append(lengths.tolist())
        rows = sum(levels[-1])
    return levels


def _elements(example: Example, leaf: Leaf, count: int) -> Elements:
    key = _key(leaf)
    values = example.get(f"{key}/ragged_flat_values", example.get(key, []))
    if leaf.kind != "number":
        if not isinstance(values, list):
            if values.size:
                raise DatasetError(f"it holds {values.dtype}; declared is {leaf.kind}")
            return []
        return _texts(values) if leaf.kind == "text" else values
    if leaf.encoding != "none":
        name = f"{leaf.name}/shape"
        shapes = example.get(f"{name}/ragged_flat_values", example.get(name, []))
        return encoded_numbers(values, leaf, shapes)
    numbers = plain_numbers(values, leaf.dtype)
    shape = completed((count, *leaf.shape), numbers.size) if count else (0, *(axis or 0 for axis in leaf.shape))
    if math.prod(shape) != numbers.size:
        raise DatasetError(f"it has {numbers.size} numbers; expected {count} x {leaf.shape}")
    return numbers.reshape(shape)


def _texts(values: list[bytes]) -> list[str] | list[bytes]:
    """A declared text may hold anything; what is no UTF-8 stays bytes, so that nothing is lost or replaced."""
    try:
        return [str(value, "utf-8") for value in values]
    except UnicodeDecodeError:
        return values


def _nested(elements: Elements, levels: list[list[int]], count: int, inner: tuple[int | None, ...]) -> Elements:
    if None not in inner and isinstance(elements, np.ndarray) and elements.dtype != object:
        fixed = tuple(length or 0 for length in inner)
        return elements.reshape(count, *fixed, *elements.shape[1:])
    if inner and not levels:
        rows = count
        for length in inner:
            levels.append([length or 0] * rows)
            rows *= length or 0
    values: np.ndarray | list = elements
    for lengths in reversed(levels):
        if sum(lengths) != len(values):
            raise DatasetError(f"it has {len(values)} elements; the lengths of its rows add up to {sum(lengths)}")
        rows, start = [], 0
        for length in lengths:
            row = values[start : start + length]
            rows.append(tuple(row) if isinstance(row, list) else row)
            start += length
        values = objects(rows)
    return values
