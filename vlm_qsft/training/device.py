"""Where and how precisely training computes: device, precision, CPU threads."""

from __future__ import annotations

import ctypes
import os

import torch

from vlm_qsft.errors import InvalidSetting
from vlm_qsft.processes import usable_cores

__all__ = ["keep_freed_memory", "resolve_device", "resolve_precision", "set_threads", "usable_cores"]


def resolve_device(name: str) -> torch.device:
    """Return the device of a setting: "auto" is the first GPU that CUDA_VISIBLE_DEVICES leaves, else the CPU.

    Raises:
        InvalidSetting: a GPU is asked for and torch finds none.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise InvalidSetting(f"Device '{name}': torch {torch.__version__} finds no GPU. Use cpu or auto.")
    return torch.device("cuda", 0)


def resolve_precision(name: str, device: torch.device) -> str:
    """Return "float32" or "bfloat16": "auto" is bfloat16 autocast on a GPU that has it, float32 elsewhere.

    Raises:
        InvalidSetting: bfloat16 on a GPU without it.
    """
    has_bfloat16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if name == "auto":
        return "bfloat16" if has_bfloat16 else "float32"
    if name == "bfloat16" and device.type == "cuda" and not has_bfloat16:
        raise InvalidSetting(f"{torch.cuda.get_device_name(device)} has no bfloat16. Use precision float32 or auto.")
    return name


def set_threads() -> int:
    """Let torch use the cores this process has, unless OMP_NUM_THREADS says otherwise; return the number.

    torch counts the cores of the machine: inside a container with a quota its threads would wait for each other.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(usable_cores())
    return torch.get_num_threads()


def keep_freed_memory() -> bool:
    """Let glibc keep the memory that a training step frees for the next one; False where there is no glibc.

    By default every large tensor is mapped anew and returned at once: on CPUs a seventh of a step is spent in page
    faults. The thresholds are glibc's own (mallopt(3)): up to 32 MB a block comes from the heap, which never shrinks.
    """
    trim_threshold, mmap_threshold, largest_from_heap, never = -1, -3, 32 << 20, 2**31 - 1
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(mmap_threshold, largest_from_heap) and mallopt(trim_threshold, never))


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context in which a scorer runs outside of Trainer, in the same precision as inside."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
