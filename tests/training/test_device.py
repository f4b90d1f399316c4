from __future__ import annotations

import platform

import pytest
import torch

from vlm_qsft.errors import InvalidSetting
from vlm_qsft.training.device import keep_freed_memory, resolve_device, resolve_precision


def test_the_processor_computes_in_float32_unless_told_otherwise() -> None:
    assert resolve_precision("auto", torch.device("cpu")) == "float32"
    assert resolve_precision("bfloat16", torch.device("cpu")) == "bfloat16"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_an_error_and_auto_is_the_processor() -> None:
    assert resolve_device("auto").type == "cpu"
    with pytest.raises(InvalidSetting, match="finds no GPU"):
        resolve_device("cuda")


def test_freed_memory_is_kept_where_there_is_a_glibc() -> None:
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")
