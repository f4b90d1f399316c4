"""The arrays below a group, by their path from it, without reading them."""

from __future__ import annotations

import h5py

from qsft_datasets.hdf5.files import member, place_of
from vlm_qsft.errors import DatasetError

DEEPEST = 16
MOST_ARRAYS = 10_000
"""Far above any robot log; a file whose groups contain each other would go on for ever."""


def arrays_below(group: h5py.Group) -> dict[str, h5py.Dataset]:
    """Return path from the group -> array, ordered by name.

    Raises:
        DatasetError: a link leads out of the file or back into a group that holds it; names file and group.
    """
    found: dict[str, h5py.Dataset] = {}

    def walk(current: h5py.Group, prefix: str, holders: tuple[int, ...]) -> None:
        address = h5py.h5o.get_info(current.id).addr  # pyright: ignore[reportAttributeAccessIssue] (compiled)
        if address in holders or len(holders) > DEEPEST:
            raise DatasetError(f"{place_of(current)} holds itself, or more than {DEEPEST} groups one in another.")
        for name in sorted(current):
            thing = member(current, name)
            if isinstance(thing, h5py.Group):
                walk(thing, f"{prefix}{name}/", (*holders, address))
            elif thing is not None:
                found[prefix + name] = thing
            if len(found) > MOST_ARRAYS:
                raise DatasetError(f"{place_of(group)} holds more than {MOST_ARRAYS} arrays.")

    walk(group, "", ())
    return found
