"""RLDS (TensorFlow Datasets): TFRecord and array_record, read and written without TensorFlow."""

from __future__ import annotations

from pathlib import Path

from qsft_datasets.rlds.folder import recognise
from qsft_datasets.rlds.source import RldsSource

__all__ = ["RldsSource", "open_source", "recognise"]


def open_source(root: Path) -> RldsSource:
    """Open an RLDS folder; the folder of a version or the one above it.

    Raises:
        DatasetError: no RLDS data set, or its description is damaged.
    """
    return RldsSource(root)
