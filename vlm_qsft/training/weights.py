"""Weights of a scorer under training, as safetensors: what is trained, and nothing that is frozen."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vlm_qsft.model.weight_files import weight_storage_errors
from vlm_qsft.qsft.target_network import load_tensors


def trained_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return parameters that take a gradient and all buffers, by name; tied tensors once.

    A frozen trunk under adapters is rebuilt from its source and need not be stored at every checkpoint.
    """
    trained = {name: tensor.detach() for name, tensor in module.named_parameters() if tensor.requires_grad}
    return trained | {name: tensor.detach() for name, tensor in module.named_buffers()}


def save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write tensors to a safetensors file.

    Raises:
        StorageError: disk full or no permission.
    """
    with weight_storage_errors(path):
        save_file({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, path)


def load_trained_tensors(module: nn.Module, path: Path) -> None:
    """Put the tensors of `path` into the module, in place.

    Raises:
        CheckpointError: names or shapes differ; nothing is changed then.
    """
    load_tensors(trained_tensors(module), load_file(path), source=str(path))
