"""Arrays of an HDF5 file as values of a source: numbers in their own type, pictures, texts. Nothing is unpickled."""

from __future__ import annotations

import h5py
import numpy as np

from qsft_datasets.hdf5.files import place_of
from qsft_datasets.source import FeatureKind, SourceFeature
from vlm_qsft.errors import DatasetError
from vlm_qsft.images import decode

PICTURE_MARKS = ((b"\xff\xd8\xff", b"\xff\xd9"), (b"\x89PNG\r\n\x1a\n", b"\xaeB`\x82"))
"""First and last bytes of a JPEG and of a PNG."""
UNCHECKED_BYTES = 2**26
SHRINKING = 5_000
"""An array may be this much larger than what is stored of it: five times the most that deflate can do."""


def feature_of(dataset: h5py.Dataset, path: str, *, per_episode: bool) -> SourceFeature:
    """Describe an array from its declaration.

    Raises:
        DatasetError: its numbers are of a type that cannot be converted; names file and group.
    """
    kind, dtype = kind_of(dataset)
    shape: tuple[int | None, ...] = shape_of(dataset) if per_episode else shape_of(dataset)[1:]
    if kind == "number" and not per_episode and is_raw_picture(dataset):
        kind = "image"
    elif is_in_image_group(path) and (kind == "bytes" or (not per_episode and is_padded_picture(dataset))):
        kind, shape = "image", (None, None, 3)
    return SourceFeature(path, kind, "uint8" if kind == "image" else dtype, shape, per_episode=per_episode)


def kind_of(dataset: h5py.Dataset) -> tuple[FeatureKind, str]:
    """Return (number, text or bytes; NumPy's name of the type).

    Raises:
        DatasetError: object references, records, opaque or complex numbers.
    """
    dtype = dataset.dtype
    element = h5py.check_vlen_dtype(dtype)
    if h5py.check_string_dtype(dtype) is not None:
        return ("bytes", "object") if dtype.kind == "S" and is_in_image_group(dataset.name) else ("text", "str")
    if dtype.kind in "biuf" and dtype.itemsize <= 8:
        return "number", np.dtype(dtype.str).newbyteorder("=").name
    if isinstance(element, np.dtype) and element == np.uint8:
        return "bytes", "object"
    if h5py.check_ref_dtype(dtype) is not None:
        held = "object references"
    elif element is not None:
        held = f"arrays of {element} of varying length"
    else:
        held = f"values of type {dtype}"
    raise DatasetError(
        f"{place_of(dataset)} holds {held}; expected numbers of at most 64 bits, texts or encoded pictures."
    )


def shape_of(dataset: h5py.Dataset) -> tuple[int, ...]:
    """Return the declared shape.

    Raises:
        DatasetError: the array has none.
    """
    if dataset.shape is None:
        raise DatasetError(f"{place_of(dataset)} is declared without a shape: it holds no value.")
    return dataset.shape


def is_in_image_group(path: str | None) -> bool:
    """Return whether an array stands in a group named "images" (ALOHA)."""
    return path is not None and "images" in path.split("/")[:-1]


def is_raw_picture(dataset: h5py.Dataset) -> bool:
    """Return whether an array is a row of pictures: uint8 (step, height, width, 3)."""
    return dataset.dtype == np.uint8 and len(shape_of(dataset)) == 4 and shape_of(dataset)[3] == 3


def is_padded_picture(dataset: h5py.Dataset) -> bool:
    """Return whether an array may be a row of encoded pictures padded with zeros: uint8 (step, longest)."""
    return dataset.dtype == np.uint8 and len(shape_of(dataset)) == 2


def check_declared(dataset: h5py.Dataset) -> None:
    """Refuse an array that is not in the file or far larger than the file, before memory is taken for it.

    Raises:
        DatasetError: stored in another file, or declared much larger than what is stored; names file and group.
    """
    place = place_of(dataset)
    if dataset.external:
        raise DatasetError(f"{place} is stored in another file ({dataset.external[0][0]}). Copy the values into it.")
    if dataset.is_virtual:
        outside = sorted({str(source.file_name) for source in dataset.virtual_sources()} - {"."})
        if outside:
            raise DatasetError(f"{place} is a view of other files ({', '.join(outside)}). Copy the values into it.")
        return
    n_bytes, n_stored = dataset.nbytes, dataset.id.get_storage_size()
    if n_bytes > max(UNCHECKED_BYTES, SHRINKING * n_stored):
        raise DatasetError(f"{place} declares {shape_of(dataset)}, {n_bytes} bytes, of which {n_stored} are stored.")


def stored(dataset: h5py.Dataset) -> np.ndarray:
    """Return the content of an array as h5py gives it.

    Raises:
        DatasetError: see `check_declared`; or nothing was ever written, and the numbers would be made up.
    """
    check_declared(dataset)
    if dataset.nbytes and not dataset.is_virtual and not dataset.id.get_storage_size():
        raise DatasetError(f"{place_of(dataset)} declares {shape_of(dataset)} but was never written.")
    return np.asarray(dataset[()])


def read_numbers(dataset: h5py.Dataset) -> np.ndarray:
    """Return all numbers of an array in the source's own type.

    Raises:
        DatasetError: see `stored`.
    """
    values = stored(dataset)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def read_texts(dataset: h5py.Dataset) -> list[str]:
    """Return all texts of an array, in the order of its numbers.

    Raises:
        DatasetError: see `stored`; no UTF-8.
    """
    try:
        return [as_text(value) for value in stored(dataset).reshape(-1).tolist()]
    except UnicodeError as error:
        raise DatasetError(f"{place_of(dataset)} holds a text that is no UTF-8 ({error}).") from error


def as_text(value: object) -> str:
    """Return a text that h5py gives as bytes or str.

    Raises:
        UnicodeError: no UTF-8; h5py hides such bytes in half characters, which nothing can write again.
    """
    return (value if isinstance(value, bytes) else str(value).encode("utf-8")).decode("utf-8")


def read_pictures(dataset: h5py.Dataset) -> list[bytes]:
    """Return the encoded pictures of an array without the zeros behind them, one per step.

    A JPEG ends with FF D9 and a PNG with AE 42 60 82: the zeros that follow are padding, whatever their number.

    Raises:
        DatasetError: a step holds no whole JPEG or PNG; names file, group and step.
    """
    pictures = []
    for step, row in enumerate(stored(dataset)):
        encoded = bytes_of(row).rstrip(b"\x00")
        if not any(encoded.startswith(begin) and encoded.endswith(end) for begin, end in PICTURE_MARKS):
            raise DatasetError(
                f"{place_of(dataset)} holds no whole JPEG or PNG picture at step {step}: {len(encoded)} bytes from "
                f"{encoded[:4]!r} to {encoded[-2:]!r}."
            )
        pictures.append(encoded)
    return pictures


def first_picture_shape(dataset: h5py.Dataset) -> tuple[int, ...]:
    """Return (height, width, 3) of the first encoded picture of an array.

    Raises:
        DatasetError: it is no whole picture.
    """
    check_declared(dataset)
    return decode(bytes_of(dataset[0]).rstrip(b"\x00")).shape


def bytes_of(row: object) -> bytes:
    """Return the bytes of one element: a fixed-length string, or numbers of one byte."""
    return row if isinstance(row, bytes) else np.asarray(row, dtype=np.uint8).tobytes()


def read_steps(dataset: h5py.Dataset, feature: SourceFeature) -> np.ndarray | list[bytes] | list[str]:
    """Return the values of every step.

    Raises:
        DatasetError: damaged; names file and group.
    """
    if feature.kind == "image" and not is_raw_picture(dataset):
        return read_pictures(dataset)
    if feature.kind == "text":
        return read_texts(dataset)
    if feature.kind == "bytes":
        return [bytes_of(row) for row in stored(dataset)]
    return read_numbers(dataset)


def read_single(dataset: h5py.Dataset, feature: SourceFeature) -> str | np.ndarray:
    """Return a per-episode value: a text, or numbers in their own shape.

    Raises:
        DatasetError: damaged; names file and group.
    """
    if feature.kind == "number":
        return read_numbers(dataset)
    if feature.kind == "text":
        return "\n".join(read_texts(dataset))
    raise DatasetError(f"{place_of(dataset)} holds {feature.kind} that do not belong to steps.")
