"""Causal language models of transformers, and the language half of its vision-language models."""

from __future__ import annotations

from typing import Any

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PretrainedConfig,
)
from transformers.initialization import no_init_weights

from vlm_qsft.errors import InvalidSetting
from vlm_qsft.model.gguf_file import GgufFile
from vlm_qsft.model.gguf_llama import llama_from_gguf


def causal_model(source: GgufFile | str, *, allow_download: bool, dtype: torch.dtype = torch.float32) -> Any:
    """Return the model of a file, a folder or a hub name in evaluation mode.

    Raises:
        UnknownName: a GGUF file of another architecture.
        InvalidSetting: not there, incomplete, or neither a causal language model nor a vision-language model.
    """
    if isinstance(source, GgufFile):
        return llama_from_gguf(source, dtype=dtype)
    local = {"local_files_only": not allow_download}
    try:
        kind = _kind(AutoConfig.from_pretrained(source, **local))
        model = kind.from_pretrained(source, dtype=dtype, use_safetensors=True, **local)
    except (OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [repr(error)])[0]
        remedy = "Check the name and the network." if allow_download else "Downloads are off (--allow-download)."
        raise InvalidSetting(f"The language model '{source}' cannot be loaded. {remedy} ({reason})") from error
    return model.eval()


def causal_model_from_config(config: PretrainedConfig) -> Any:
    """Build the architecture of a configuration with weights that are about to be loaded, in float32.

    Raises:
        ValueError: neither a causal language model nor a vision-language model.
    """
    with no_init_weights():
        model: Any = _kind(config).from_config(config, dtype=torch.float32)
    model.tie_weights()
    return model


def _kind(config: PretrainedConfig) -> Any:
    """Return the auto class that builds a model with a language-model head from a configuration."""
    if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING:
        return AutoModelForCausalLM
    if type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return AutoModelForImageTextToText
    raise ValueError(f"a model of type '{config.model_type}' does not continue texts")
