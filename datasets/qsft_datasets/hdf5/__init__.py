"""HDF5 files of robomimic, LIBERO and ALOHA, read with h5py one demo at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qsft_datasets.hdf5.finding import first_hdf5_file
from vlm_qsft.errors import MissingDependency

if TYPE_CHECKING:
    from qsft_datasets.hdf5.source import Hdf5Source

__all__ = ["open_source", "recognise"]


def recognise(root: Path) -> bool:
    """Return whether a root is an HDF5 file, or a folder with one in it, by names and first bytes."""
    return first_hdf5_file(root) is not None


def open_source(root: Path) -> Hdf5Source:
    """Open a file or a folder of files; the first one that is readable decides the layout.

    Raises:
        DatasetError: no file, none readable, or of a layout that is none of robomimic's, LIBERO's and ALOHA's.
        MissingDependency: h5py is not installed.
    """
    try:
        import h5py  # noqa: F401
    except ImportError as error:
        raise MissingDependency("HDF5 files need h5py: pip install 'vlm-qsft[hdf5]'.") from error
    from qsft_datasets.hdf5.source import opened_source

    return opened_source(root)
