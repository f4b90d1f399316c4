"""`compress_len`: the lengths of the padded pictures of an ALOHA episode, held against the pictures themselves."""

from __future__ import annotations

from collections.abc import Sequence

import h5py
import numpy as np

from qsft_datasets.hdf5.files import member, place_of
from qsft_datasets.hdf5.values import read_numbers
from vlm_qsft.errors import DatasetError


def check_lengths(file: h5py.File, camera: str, lengths: Sequence[int]) -> None:
    """Check the pictures of a camera against the file's `compress_len`, where it has one.

    Its rows are cameras in the order of the recorder's configuration, which the file does not hold: one row has to fit.

    Args:
        camera: path of its array.
        lengths: bytes of the picture of every step.
    Raises:
        DatasetError: no row fits.
    """
    stated = member(file, "compress_len")
    if not isinstance(stated, h5py.Dataset):
        return
    rows = np.atleast_2d(read_numbers(stated))
    if not any(np.array_equal(row, lengths) for row in rows):
        raise DatasetError(
            f"{place_of(file, camera)} holds pictures of {lengths[0]}, ... bytes; no row of 'compress_len' says so."
        )
