"""From settings and a vocabulary to a scorer of text."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, OPTConfig, OPTForCausalLM

from vlm_qsft.errors import InvalidSetting, ShapeMismatch
from vlm_qsft.model.causal_model import causal_model
from vlm_qsft.model.composed_rows import Parts
from vlm_qsft.model.language_model import model_source
from vlm_qsft.model.text_inputs import TextInputs
from vlm_qsft.model.text_scorer import TextScorer
from vlm_qsft.model.text_settings import TextModelSettings

SMALL_MAX_POSITIONS = 4096
"""Tokens of the longest context of the small model; rotary positions cost nothing."""
LARGEST_GAP = 1e-2
"""Of log-probabilities, between two ways of reading the same tokens in float32."""


def build_text_scorer(settings: TextModelSettings, *, n_words: int, parts: Parts | None = None) -> TextScorer:
    """Build a scorer, on the CPU; seed torch before for the same weights.

    Args:
        n_words: size of the vocabulary; the small model is made for it, a source must have room for it.
        parts: what each token of the small model consists of, see `TextScorer`.

    Raises:
        MissingDependency, UnknownName, InvalidSetting: a source that cannot be loaded; see `load_language_model`.
        InvalidSetting: a source that has fewer words than its tokenizer, or that does not read packed contexts.
        ShapeMismatch: `parts` of more or fewer tokens than the vocabulary has.
    """
    if parts is not None and len(parts) != n_words:
        raise ShapeMismatch(f"The vocabulary has {n_words} tokens; parts are given of {len(parts)}.")
    if settings.source is None:
        return TextScorer(_small_model(settings, n_words), parts=parts)
    found = model_source(settings.source)
    model = causal_model(found, allow_download=settings.allow_download)
    scorer = TextScorer(model, lora_rank=settings.lora_rank)
    _check_reading(scorer, settings.source)
    if scorer.spec.n_bins < n_words:
        raise InvalidSetting(
            f"The language model '{settings.source}' knows {scorer.spec.n_bins} tokens, its tokenizer makes {n_words}: "
            "the two do not belong together."
        )
    return scorer


def _small_model(settings: TextModelSettings, n_words: int) -> Any:
    """Return a Llama, whose positions are rotary, or an OPT, which learns them."""
    sizes: dict[str, Any] = {
        "vocab_size": n_words,
        "hidden_size": settings.width,
        "num_hidden_layers": settings.layers,
        "num_attention_heads": settings.width // settings.head_width,
        "max_position_embeddings": settings.learned_positions or SMALL_MAX_POSITIONS,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    if settings.learned_positions:
        of_opt = {"ffn_dim": 4 * settings.width, "word_embed_proj_dim": settings.width, "dropout": 0.0}
        return OPTForCausalLM(OPTConfig(**(sizes | of_opt)))
    rotary = {"rope_type": "default", "rope_theta": settings.rope_theta}
    of_llama = {"intermediate_size": 8 * settings.width // 3, "rope_parameters": rotary}
    return LlamaForCausalLM(LlamaConfig(**(sizes | of_llama)))


@torch.no_grad()
def _check_reading(scorer: TextScorer, source: str) -> None:
    """Check that two contexts in one row are read as the model reads each of them alone.

    Raises:
        InvalidSetting: not so; a model with a memory of its own kind, with other masks, or with more behind its head.
    """
    first, second = ([token % scorer.spec.n_bins for token in tokens] for tokens in ([3, 1, 4, 1, 5], [2, 7, 1, 8]))
    rows = torch.tensor([[*first, *second]])
    positions = torch.tensor([[*range(len(first)), *range(len(second))]])
    contexts = torch.tensor([[0] * len(first) + [1] * len(second)])
    ends = torch.tensor([len(first) - 1, len(first) + len(second) - 1])
    inputs = TextInputs(rows, contexts, positions, torch.zeros_like(ends), ends)
    differs = f"The language model '{source}' does not read several contexts in one row as it reads them alone"
    try:
        read = scorer.eval().logits(inputs, torch.zeros(2, 1, dtype=torch.int64))[:, 0, :-1]
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise InvalidSetting(f"{differs} ({error}).") from error
    alone = torch.stack([_last_logits(scorer, tokens) for tokens in (first, second)])
    gap = float((read.log_softmax(-1) - alone.log_softmax(-1)).abs().max())
    if not gap < LARGEST_GAP:
        raise InvalidSetting(f"{differs}: log-probabilities differ by {gap:.3g}. Use another architecture.")


def _last_logits(scorer: TextScorer, tokens: list[int]) -> Tensor:
    token_ids = torch.tensor([tokens])
    return scorer.model(input_ids=token_ids, attention_mask=torch.ones_like(token_ids)).logits[0, -1].float()
