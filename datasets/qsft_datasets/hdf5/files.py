"""An open HDF5 file: its errors as ours, and from it only what it holds itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import h5py

from vlm_qsft.errors import DatasetError, QsftError


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; whatever the library finds wrong inside becomes one error that names the file.

    Raises:
        DatasetError: missing, truncated, damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except QsftError:
        raise
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing.") from error
    except Exception as error:
        # h5py passes on whatever the C library met as OSError, KeyError, RuntimeError, ValueError, MemoryError, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"{path} is truncated or damaged ({reason}). Copy it again.") from error


def member(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """Return a direct member of a group, None where there is none.

    Raises:
        DatasetError: it is a link to another file or to nothing, or neither group nor array.
    """
    link = group.get(name, getlink=True)
    if link is None:
        return None
    if isinstance(link, h5py.ExternalLink):
        raise DatasetError(
            f"{place_of(group, name)} is a link to another file ({link.filename}:{link.path}). Links are not followed."
        )
    thing = cast("h5py.Group | h5py.Dataset | h5py.Datatype | None", group.get(name))
    if isinstance(link, h5py.SoftLink):
        if thing is None:
            raise DatasetError(f"{place_of(group, name)} is a link to {link.path}, which is not there.")
        if thing.file.filename != group.file.filename:
            raise DatasetError(f"{place_of(group, name)} is a link that ends in another file. Links are not followed.")
    if not isinstance(thing, h5py.Group | h5py.Dataset):
        raise DatasetError(f"{place_of(group, name)} is a {type(thing).__name__}; expected a group or an array.")
    return thing


def group_at(file: h5py.File, path: str) -> h5py.Group:
    """Return a group of a file; every name of its path is checked as by `member`.

    Raises:
        DatasetError: see `member`; or there is no such group.
    """
    current: h5py.Group = file
    for name in path.strip("/").split("/") if path.strip("/") else []:
        thing = member(current, name)
        if not isinstance(thing, h5py.Group):
            raise DatasetError(f"{file.filename} has no group '{path}'.")
        current = thing
    return current


def array_at(group: h5py.Group, path: str) -> h5py.Dataset:
    """Return an array below a group.

    Raises:
        DatasetError: there is no such array.
    """
    thing = group.get(path)
    if not isinstance(thing, h5py.Dataset):
        raise DatasetError(f"{place_of(group)} has no array '{path}'.")
    return thing


def place_of(group: h5py.Group | h5py.Dataset, name: str = "") -> str:
    """Return the words by which errors name a thing: the group's name and its file."""
    path = "/".join(part for part in (group.name.strip("/") if group.name else "", name) if part)
    return f"'{path or '/'}' of {group.file.filename}"
