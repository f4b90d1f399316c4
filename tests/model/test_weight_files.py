"""A disk that is full while weights are written: one error with a remedy, whoever writes them."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from vlm_qsft.errors import StorageError
from vlm_qsft.model.weight_files import weight_storage_errors

WEIGHTS = {"weight": torch.zeros(10_000)}


@pytest.fixture
def short_files() -> Iterator[None]:
    """Let no file grow beyond a few kilobytes, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("save", [save_file, torch.save], ids=["safetensors", "torch"])
def test_a_full_disk_is_a_storage_error(save: Callable, tmp_path: Path, short_files: None) -> None:
    path = tmp_path / "weights"
    with pytest.raises(StorageError, match=r"weights could not be written.*again"), weight_storage_errors(path):
        save(WEIGHTS, path)


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"no weights")
    with pytest.raises(SafetensorError), weight_storage_errors(tmp_path):
        load_file(tmp_path / "weights")
    with pytest.raises(RuntimeError, match="a defect"), weight_storage_errors(tmp_path):
        raise RuntimeError("a defect")
