"""From settings and a vocabulary to a scorer of text."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from vlm_qsft.errors import InvalidSetting
from vlm_qsft.model.language_model import causal_model, gguf_file
from vlm_qsft.model.text_scorer import TextScorer
from vlm_qsft.model.text_settings import TextModelSettings

SMALL_MAX_POSITIONS = 4096
"""Tokens of the longest context of the small model; rotary positions cost nothing."""


def build_text_scorer(settings: TextModelSettings, *, n_words: int) -> TextScorer:
    """Build a scorer, on the CPU; seed torch before for the same weights.

    Args:
        n_words: size of the vocabulary; the small model is made for it, a source must have room for it.

    Raises:
        MissingDependency, UnknownName, InvalidSetting: a source that cannot be loaded; see `load_language_model`.
        InvalidSetting: a source that has fewer words than its tokenizer.
    """
    if settings.source is None:
        sizes: dict[str, Any] = {
            "vocab_size": n_words,
            "hidden_size": settings.width,
            "intermediate_size": 8 * settings.width // 3,
            "num_hidden_layers": settings.layers,
            "num_attention_heads": settings.width // settings.head_width,
            "rope_parameters": {"rope_type": "default", "rope_theta": settings.rope_theta},
            "max_position_embeddings": SMALL_MAX_POSITIONS,
            "bos_token_id": None,
            "eos_token_id": None,
        }
        return TextScorer(AutoModelForCausalLM.from_config(LlamaConfig(**sizes), dtype=torch.float32))
    found = gguf_file(settings.source) or settings.source
    model = causal_model(found, allow_download=settings.allow_download)
    scorer = TextScorer(model, lora_rank=settings.lora_rank)
    if scorer.spec.n_bins < n_words:
        raise InvalidSetting(
            f"The language model '{settings.source}' knows {scorer.spec.n_bins} tokens, its tokenizer makes {n_words}: "
            "the two do not belong together."
        )
    return scorer
