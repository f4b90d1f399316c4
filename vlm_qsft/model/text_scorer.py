"""`TextScorer`: any causal language model of transformers with one more row, the dummy token's.

Every token of an action text is a decision of its own, so an action has one token and its bins are the vocabulary.
Training reads whole rows (`logits`), a policy reads token after token with keys and values kept (`read`).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor, nn
from transformers import AutoConfig, DynamicCache, OPTConfig

from vlm_qsft.data.storage import write_durably
from vlm_qsft.errors import CheckpointError, ShapeMismatch
from vlm_qsft.model.adapters import add_lora
from vlm_qsft.model.causal_model import causal_model_from_config
from vlm_qsft.model.composed_rows import ComposedEmbedding, ComposedHead, Parts
from vlm_qsft.model.loading import SCORER_NAME, TEXT_FAMILY, read_scorer_record
from vlm_qsft.model.scorer import DecodeState, TokenScorer, TokenSpec
from vlm_qsft.model.text_inputs import TextInputs, visible

FEW_POSITIONS = 256
"""A model that reads no more computes attention by plain products of matrices. Torch's fused attention has a price for
every row of a batch: with rows of 32 tokens it takes a fourth of a training step on a CPU, in bfloat16 a half."""


@dataclass
class TextDecodeState(DecodeState):
    """The hidden states in which the one token of each action is chosen."""

    hidden: Float[Tensor, "batch hidden"]


@dataclass
class TextMemory:
    """What was read so far, one row per conversation.

    Attributes:
        cache: keys and values.
        seen: which places of the cache hold a token of the row; the others are gaps.
    """

    cache: DynamicCache
    seen: Bool[Tensor, "batch place"]

    def select(self, rows: Int64[Tensor, " chosen"]) -> None:
        """Keep these rows alone, in their order."""
        self.cache.batch_select_indices(rows)
        self.seen = self.seen[rows]


class TextScorer(TokenScorer[TextInputs]):
    """A model of p(next token | tokens before it)."""

    spec: TokenSpec

    def __init__(self, model: Any, *, lora_rank: int = 0, parts: Parts | None = None) -> None:
        """Wrap a causal language model.

        Args:
            model: of transformers, with its language-model head; of a vision-language model the pictures stay unused.
            lora_rank: adapters to add; 0 for none.
            parts: what each token consists of; where one has several, embeddings and head are made anew of the parts,
                see `composed_rows`. None, or one part each, leaves the model as it is.
        """
        super().__init__()
        self.parts = parts if parts is not None and any(len(of_token) > 1 for of_token in parts) else None
        if self.parts is not None:
            config = model.config
            width = config.hidden_size
            spread = config.init_std if isinstance(config, OPTConfig) else config.initializer_range
            model.set_input_embeddings(ComposedEmbedding(self.parts, width, spread=spread))
            model.set_output_embeddings(ComposedHead(self.parts, width, spread=spread))
        self.model, self.lora_rank = model, lora_rank
        if getattr(model.config.get_text_config(), "max_position_embeddings", math.inf) <= FEW_POSITIONS:
            model.set_attn_implementation("eager")
        self.spec = TokenSpec(n_bins=model.get_output_embeddings().weight.shape[0], n_tokens=1, family=TEXT_FAMILY)
        if lora_rank:
            model.requires_grad_(False)
            add_lora(model.get_decoder(), lora_rank)
        self.dummy = nn.Linear(model.config.get_text_config().hidden_size, 1)

    @property
    def readout(self) -> tuple[nn.Module, ...]:
        """Return the language-model head and the dummy token's row."""
        return self.model.get_output_embeddings(), self.dummy

    @property
    def max_positions(self) -> int:
        """Tokens of the longest context. Where a layer sees a window of it only, the window: ours sees all it reads."""
        text = self.model.config.get_text_config()
        window = getattr(text, "sliding_window", None)
        return int(text.max_position_embeddings if window is None else min(window, text.max_position_embeddings))

    @torch.no_grad()
    def reset_dummy(self, probability: float = 0.95) -> None:
        """Give the dummy token this probability in every state."""
        self.dummy.weight.zero_()
        self.dummy.bias.fill_(math.log(probability / (1.0 - probability)))

    def check_inputs(self, inputs: TextInputs) -> None:
        """Check a batch against the vocabulary and the longest context.

        Raises:
            ShapeMismatch: a token outside the vocabulary, parts of different sizes, or too long a context.
        """
        shapes = {tuple(part.shape) for part in (inputs.token_ids, inputs.context, inputs.position)}
        if len(shapes) > 1 or inputs.token_ids.ndim != 2 or inputs.row.shape != inputs.place.shape:
            raise ShapeMismatch(f"The parts of a batch of text must have one shape each; got {sorted(shapes)}.")
        if inputs.token_ids.device.type != "cpu" or inputs.token_ids.numel() == 0:
            return  # elsewhere reading the values would stall the device
        self._check_bins(inputs.token_ids)
        self.check_length(int(inputs.position.max()) + 1)

    def check_length(self, n_tokens: int) -> None:
        """Check the length of a context.

        Raises:
            ShapeMismatch: the model does not read as many tokens.
        """
        if n_tokens > self.max_positions:
            raise ShapeMismatch(
                f"A context has {n_tokens} tokens; this model reads {self.max_positions}. "
                "Let the policy forget earlier turns (context_turns)."
            )

    def start(self, inputs: TextInputs) -> TextDecodeState:
        """Read the rows."""
        self.check_inputs(inputs)
        return TextDecodeState(position=0, hidden=self._hidden(inputs))

    def _logits(self, inputs: TextInputs, action_bins: Tensor) -> Tensor:
        return self._rows(self._hidden(inputs)).unsqueeze(1)

    def _next_logits(self, decode_state: TextDecodeState, previous_bins: Tensor | None) -> Tensor:
        return self._rows(decode_state.hidden)

    def begin(self, batch: int) -> TextMemory:
        """Return the memory of conversations of which nothing was read."""
        device = self.dummy.weight.device
        return TextMemory(DynamicCache(), torch.zeros(batch, 0, dtype=torch.bool, device=device))

    def read(
        self, memory: TextMemory, token_ids: Int64[Tensor, "batch token"], is_token: Bool[Tensor, "batch token"]
    ) -> Float32[Tensor, "batch bin_or_dummy"]:
        """Read further tokens and return the logits behind the last one of each row; `memory` grows.

        Args:
            token_ids: any token where `is_token` is False: nothing is read there.
            is_token: rows without a token give logits without meaning.

        Raises:
            ShapeMismatch: a context longer than the model's.
        """
        n_new = token_ids.shape[1]
        before = memory.seen.sum(1, keepdim=True)
        positions = (before + is_token.cumsum(1) - 1).clamp(min=0)
        if int(positions.max()) >= self.max_positions:
            raise ShapeMismatch(f"A conversation has more tokens than the {self.max_positions} that this model reads.")
        memory.seen = torch.cat([memory.seen, is_token], 1)
        total = memory.seen.shape[1]
        order = torch.ones(n_new, total, dtype=torch.bool, device=token_ids.device).tril(total - n_new)
        itself = torch.eye(total, dtype=torch.bool, device=token_ids.device)[total - n_new :]
        # A gap sees itself, or its softmax would have nothing to sum over.
        allowed = (order & memory.seen[:, None]) | itself
        output = self.model.base_model(
            input_ids=token_ids,
            attention_mask=self._bias(allowed),
            position_ids=positions,
            past_key_values=memory.cache,
            use_cache=True,
        )
        last = (is_token * torch.arange(1, n_new + 1, device=token_ids.device)).argmax(1)
        hidden = output.last_hidden_state[torch.arange(len(token_ids), device=token_ids.device), last]
        return self._rows(hidden)

    def _hidden(self, inputs: TextInputs) -> Float[Tensor, "batch hidden"]:
        output = self.model.base_model(
            input_ids=inputs.token_ids,
            attention_mask=self._bias(visible(inputs.context)),
            position_ids=inputs.position,
            use_cache=False,
        )
        return output.last_hidden_state[inputs.row, inputs.place]

    def _bias(self, allowed: Bool[Tensor, "batch query place"]) -> Float[Tensor, "batch 1 query place"]:
        dtype = _dtype(self.model.get_input_embeddings())
        bias = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
        return bias.masked_fill_(~allowed, torch.finfo(dtype).min)[:, None]

    def _rows(self, hidden: Float[Tensor, "batch hidden"]) -> Float32[Tensor, "batch bin_or_dummy"]:
        head = self.model.get_output_embeddings()
        with torch.autocast(hidden.device.type, enabled=False):  # the log-ratio of two models needs float32 logits
            words = head(hidden.to(_dtype(head))).float()
            cap = getattr(self.model.config.get_text_config(), "final_logit_softcapping", None)
            if cap is not None:
                words = cap * torch.tanh(words / cap)
            return torch.cat([words, self.dummy(hidden.to(self.dummy.weight.dtype)).float()], 1)

    def save_files(self, folder: Path) -> None:
        """Write the architecture."""
        self.model.config.save_pretrained(folder)
        record = {"spec": self.spec.to_json(), "lora_rank": self.lora_rank, "parts": self.parts}
        write_durably(folder / SCORER_NAME, json.dumps(record, indent=2).encode())

    @classmethod
    def load_files(cls, folder: Path) -> TextScorer:
        """Rebuild the scorer; its weights are not loaded yet.

        Raises:
            CheckpointError: a file is missing or does not fit the others.
        """
        spec, record = read_scorer_record(folder, TokenSpec)
        try:
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
            model = causal_model_from_config(config)
            scorer = cls(model, lora_rank=record["lora_rank"], parts=record.get("parts"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{folder} does not describe a model: {error}") from error
        if scorer.spec != spec:
            raise CheckpointError(f"{folder}: scorer.json speaks of {spec}, config.json of {scorer.spec}.")
        return scorer


def _dtype(module: nn.Module) -> torch.dtype:
    """Return the precision of a module's parameters; `weight` may have to be computed, see `ComposedRows`."""
    return next(module.parameters()).dtype
