"""Numbers of a tf.train.Example in the type that features.json declares, bit for bit, or an error.

A record holds float32 and int64 only. Other types stand in it as one of these (encoding "none"), or as the bytes of
each element, little-endian, as they are ("bytes") or deflated ("zlib"). bfloat16, which NumPy lacks, becomes float32:
every bfloat16 is one exactly.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np

from qsft_datasets.rlds.example import FeatureValues
from qsft_datasets.rlds.features import Leaf
from vlm_qsft.errors import DatasetError

MAX_DECODED_BYTES = 2**31
"""Of one feature in one record: what a few kilobytes of zeros, deflated, must not be able to exceed."""


def numpy_dtype(declared: str) -> np.dtype:
    """Return the type in which numbers of a declared type are given."""
    return np.dtype(np.float32 if declared == "bfloat16" else declared)


def plain_numbers(values: FeatureValues, dtype: str) -> np.ndarray:
    """Return numbers that stand in the record as themselves (n,).

    Raises:
        DatasetError: of another kind than declared, or outside the range of their type.
    """
    target = numpy_dtype(dtype)
    kind = np.dtype(np.float32 if target.kind == "f" else np.int64)
    if isinstance(values, list):
        if values:
            raise DatasetError(f"it holds bytes; declared is {dtype}")
        return np.zeros(0, target)
    if values.dtype != kind:
        raise DatasetError(f"it holds {values.dtype}; declared is {dtype}, which stands in a record as {kind}")
    if target.kind == "f":
        return values.astype(target, copy=False)
    if target == np.uint64:
        return values.view(np.uint64)
    limits = (0, 1) if target.kind == "b" else (np.iinfo(target).min, np.iinfo(target).max)
    if values.size and not (limits[0] <= values.min() and values.max() <= limits[1]):
        raise DatasetError(
            f"it holds {values.min()} to {values.max()}; {dtype} reaches from {limits[0]} to {limits[1]}"
        )
    return values.astype(target)


def encoded_numbers(values: FeatureValues, leaf: Leaf, stored_shapes: FeatureValues) -> np.ndarray:
    """Return numbers that stand in the record as bytes: (n, *shape), or n arrays where their shape varies.

    Args:
        stored_shapes: what the record says of the shape of each element, where two or more axes vary.
    Raises:
        DatasetError: no bytes, or not as many as the shape asks for.
    """
    if not isinstance(values, list):
        raise DatasetError(f"it holds {values.dtype}; declared are {leaf.dtype} as bytes ({leaf.encoding})")
    stored = np.dtype(np.uint16 if leaf.dtype == "bfloat16" else leaf.dtype).newbyteorder("<")
    expected = None if None in leaf.shape else math.prod(axis or 0 for axis in leaf.shape) * stored.itemsize
    if leaf.encoding == "zlib":
        values = _inflated(values, expected)
    if expected is not None:
        for element in values:
            if len(element) != expected:
                raise DatasetError(f"an element has {len(element)} bytes; {leaf.dtype} {leaf.shape} has {expected}")
        return _as_numbers(b"".join(values), stored, leaf.dtype).reshape(
            len(values), *(axis or 0 for axis in leaf.shape)
        )
    for element in values:
        if len(element) % stored.itemsize:
            raise DatasetError(f"an element has {len(element)} bytes, no whole number of {leaf.dtype}")
    sizes = [len(element) // stored.itemsize for element in values]
    if leaf.has_dynamic_shape:
        shapes = dynamic_shapes(stored_shapes, leaf, sizes)
    else:
        shapes = [completed(leaf.shape, size) for size in sizes]
    result = np.empty(len(values), object)
    for index, (element, shape) in enumerate(zip(values, shapes, strict=True)):
        result[index] = _as_numbers(element, stored, leaf.dtype).reshape(shape)
    return result


def completed(shape: tuple[int | None, ...], size: int) -> tuple[int, ...]:
    """Return a shape with its one varying axis filled in for `size` numbers.

    Raises:
        DatasetError: no length of that axis gives so many.
    """
    known = math.prod(axis for axis in shape if axis is not None)
    if (size % known if known else size) or shape.count(None) > 1:
        raise DatasetError(f"{size} numbers do not fill the shape {shape}")
    return tuple((size // known if known else 0) if axis is None else axis for axis in shape)


def dynamic_shapes(values: FeatureValues, leaf: Leaf, sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the shape of each element as the record says it.

    Args:
        sizes: numbers of each element.
    Raises:
        DatasetError: not one per element, or at odds with the declared axes or the number of numbers.
    """
    numbers = plain_numbers(values, "int64").tolist()
    axes = len(leaf.shape)
    if len(numbers) != axes * len(sizes):
        raise DatasetError(f"it has {len(numbers)} sizes of axes for {len(sizes)} elements of {axes} axes")
    shapes = [tuple(numbers[start : start + axes]) for start in range(0, len(numbers), axes)]
    for shape, size in zip(shapes, sizes, strict=True):
        agrees = all(declared in (None, axis) for declared, axis in zip(leaf.shape, shape, strict=True))
        if not agrees or min(shape) < 0 or math.prod(shape) != size:
            raise DatasetError(f"an element of {size} numbers says its shape is {shape}; declared is {leaf.shape}")
    return shapes


def _as_numbers(content: bytes, stored: np.dtype, declared: str) -> np.ndarray:
    raw = np.frombuffer(content, np.uint8 if declared == "bool" else stored)
    if declared == "bfloat16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    if declared == "bool":
        if raw.size and raw.max() > 1:
            raise DatasetError(f"it holds a byte {raw.max()}; a bool is 0 or 1")
        return raw.astype(np.bool_)
    return raw.astype(stored.newbyteorder("="))


def _inflated(values: list[bytes], expected: int | None) -> list[bytes]:
    left = MAX_DECODED_BYTES
    result = []
    for element in values:
        limit = min(left, MAX_DECODED_BYTES if expected is None else expected) + 1
        stream = zlib.decompressobj()
        try:
            content = stream.decompress(element, limit)
        except zlib.error as error:
            raise DatasetError(f"an element is no zlib stream ({error})") from error
        if len(content) == limit:
            raise DatasetError(f"an element has more than the {limit - 1} bytes that are left for it, inflated")
        if not stream.eof or stream.unused_data:
            raise DatasetError("an element is a truncated zlib stream" if not stream.eof else "bytes follow an element")
        left -= len(content)
        result.append(content)
    return result
