"""`TransformersVLM`: a RobotScorer over any image-text-to-text model of transformers.

    head (chat opening, pictures) | tail (instruction, padded) | state | action tokens

The state is one embedding, a linear projection; the hidden state at its place predicts the first action token.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from torch import Tensor, nn
from transformers import AutoConfig, AutoTokenizer, DynamicCache

from vlm_qsft.data.storage import write_durably
from vlm_qsft.errors import CheckpointError, InvalidSetting, ShapeMismatch
from vlm_qsft.model.action_rows import ActionRows, add_action_tokens
from vlm_qsft.model.adapters import add_lora
from vlm_qsft.model.families import FAMILIES_BY_MODEL_TYPE
from vlm_qsft.model.inputs import ModelInputs
from vlm_qsft.model.loading import SCORER_NAME, read_scorer_record
from vlm_qsft.model.prefix import Prefix
from vlm_qsft.model.pretrained import PretrainedVlm, model_from_config
from vlm_qsft.model.robot_scorer import RobotScorer, ScorerSpec
from vlm_qsft.model.scorer import DecodeState
from vlm_qsft.model.state_statistics import StateNormalizer, StateStatistics


@dataclass
class VlmDecodeState(DecodeState):
    """Keys and values of the prefix and of the tokens chosen so far.

    Attributes:
        hidden: hidden state that predicts the next token; only before the first.
        cache: keys and values of every layer.
        seen: which places of the cache hold a token and not padding.
        next_positions: rotary position of the next token, one row per axis.
    """

    hidden: Float[Tensor, "batch hidden"]
    cache: DynamicCache
    seen: Bool[Tensor, "batch place"]
    next_positions: Int64[Tensor, "axis batch"]

    def select(self, rows: Int64[Tensor, " chosen"]) -> None:
        """Go on with these rows alone."""
        self.hidden, self.seen = self.hidden[rows], self.seen[rows]
        self.next_positions = self.next_positions[:, rows]
        self.cache.batch_select_indices(rows)


class TransformersVLM(RobotScorer):
    """Action tokens on a vision-language model: its own decoder, its own tables with further rows, no new head."""

    head_ids: Tensor
    head_positions: Tensor
    image_mean: Tensor
    image_std: Tensor

    def __init__(
        self, spec: ScorerSpec, source: PretrainedVlm, statistics: StateStatistics, *, lora_rank: int = 0
    ) -> None:
        """Extend a model by action tokens whose rows, like the projection of the state, are not yet initialised.

        Raises:
            InvalidSetting: the model cannot take pictures of this size, or its tokenizer lacks the image token.
            MissingDependency: LoRA without the package peft.
        """
        super().__init__()
        self.spec, self.lora_rank = spec, lora_rank
        self.model, self.tokenizer = source.model, source.tokenizer
        self.family = FAMILIES_BY_MODEL_TYPE[spec.family](source.model)
        self.family.check_image_size(spec.image_size)
        self.first_token_id = add_action_tokens(self.tokenizer, spec.n_bins)

        hidden_size = self.model.config.get_text_config().hidden_size
        self.max_positions = int(self.model.config.get_text_config().max_position_embeddings)
        self.rows = ActionRows(
            n_bins=spec.n_bins,
            embedding=self.family.embedding,
            tied=self.model.lm_head.weight is self.family.embedding.weight,
        )
        self.model.lm_head.requires_grad_(self.rows.output_rows is None)
        if lora_rank:
            self.model.requires_grad_(False)
            add_lora(self.family.language_model, lora_rank)
        self.normalize_state = StateNormalizer(statistics)
        self.state_projection = nn.Linear(spec.state_dim, hidden_size)

        for name, constant in (("image_mean", source.image_mean), ("image_std", source.image_std)):
            self.register_buffer(name, torch.tensor(constant).view(3, 1, 1), persistent=False)
        self.register_buffer("head_ids", self._head_ids(), persistent=False)
        positions = self.family.head_positions(self.head_ids, n_cameras=len(spec.cameras), image_size=spec.image_size)
        self.register_buffer("head_positions", positions, persistent=False)

    @torch.no_grad()
    def initialise(self) -> None:
        """Draw the rows of the action tokens like the tables they extend, and a state embedding as long as they are.

        A longer one would drown the words, a shorter one would be drowned by them.
        """
        self.rows.initialise(self.family.embedding, self.model.lm_head)
        length = self.rows.embed(torch.arange(self.spec.n_bins)).square().mean().sqrt()
        nn.init.normal_(self.state_projection.weight, std=float(length) / max(self.spec.state_dim, 1) ** 0.5)
        nn.init.zeros_(self.state_projection.bias)

    @property
    def readout(self) -> tuple[nn.Module, ...]:
        """Return the language-model head, and the rows behind it."""
        return self.model.lm_head, self.rows

    def encode_instructions(
        self, instructions: Sequence[str]
    ) -> tuple[Int64[Tensor, "batch text_len"], Bool[Tensor, "batch text_len"]]:
        """Return the token ids of the instructions with what closes the prompt, padded on the right, and the mask.

        Raises:
            ShapeMismatch: the whole sequence would be longer than the model's positions.
        """
        encoded = [self._token_ids(self.family.tail(instruction)) for instruction in instructions]
        longest = max(map(len, encoded))
        total = len(self.head_ids) + longest + 1 + self.spec.n_tokens
        if total > self.max_positions:
            raise ShapeMismatch(f"Pictures, instruction and actions take {total} tokens of {self.max_positions}.")
        text = torch.zeros(len(encoded), longest, dtype=torch.int64)
        for row, ids in zip(text, encoded, strict=True):
            row[: len(ids)] = torch.tensor(ids)
        lengths = torch.tensor([len(ids) for ids in encoded])
        return text, torch.arange(longest)[None] < lengths[:, None]

    def reset_dummy(self, probability: float = 0.95) -> None:
        """Give the dummy token this probability in every state and after every prefix."""
        self.rows.reset_dummy(probability)

    def start(self, inputs: ModelInputs) -> VlmDecodeState:
        """Run vision tower and prefix once, and keep their keys and values."""
        self.check_inputs(inputs)
        prefix = self._prefix(inputs)
        cache = DynamicCache()
        mask = prefix.mask(both_ways=self.family.sees_whole_prefix)
        hidden = self._decode(prefix.embeddings, mask, prefix.positions, cache, deeper=prefix.deeper)
        return VlmDecodeState(
            position=0,
            hidden=hidden[:, -1],
            cache=cache,
            seen=prefix.seen,
            next_positions=prefix.positions[:, :, -1] + 1,
        )

    def _logits(self, inputs: ModelInputs, action_bins: Tensor) -> Tensor:
        prefix = self._prefix(inputs)
        steps = self.spec.n_tokens - 1
        actions = self.rows.embed(action_bins[:, :-1]).to(prefix.embeddings.dtype)
        later = prefix.positions[:, :, -1:] + torch.arange(1, steps + 1, device=actions.device)
        hidden = self._decode(
            torch.cat([prefix.embeddings, actions], 1),
            prefix.mask(both_ways=self.family.sees_whole_prefix, steps=steps),
            torch.cat([prefix.positions, later], 2),
            None,
            deeper=prefix.deeper,
        )
        return self.rows.logits(hidden[:, prefix.seen.shape[1] - 1 :])

    def _next_logits(self, decode_state: VlmDecodeState, previous_bins: Tensor | None) -> Tensor:
        if previous_bins is None:
            return self.rows.logits(decode_state.hidden)
        embedded = self.rows.embed(previous_bins)[:, None].to(decode_state.hidden.dtype)
        decode_state.seen = nn.functional.pad(decode_state.seen, (0, 1), value=True)
        hidden = self._decode(
            embedded, decode_state.seen[:, None], decode_state.next_positions[..., None], decode_state.cache
        )
        decode_state.next_positions = decode_state.next_positions + 1
        return self.rows.logits(hidden[:, -1])

    def _prefix(self, inputs: ModelInputs) -> Prefix:
        batch = len(inputs)
        features = self.family.image_features(self._pixels(inputs.images))
        is_image = self.head_ids == self.family.image_token_id
        head = self.family.embedding(self.head_ids.masked_fill(is_image, 0)).expand(batch, -1, -1).clone()
        embeddings, *deeper = (
            of_layer.reshape(batch, -1, head.shape[-1]).to(head.dtype)
            for of_layer in (features.embeddings, *features.deeper)
        )
        head[:, is_image] = embeddings
        tail = self.family.embedding(inputs.text)
        state = self.state_projection(self.normalize_state(inputs.state)).unsqueeze(1).to(head.dtype)

        seen = nn.functional.pad(inputs.text_mask, (len(self.head_ids), 1), value=True)
        tail_start = self.head_positions.max() + 1
        tail_positions = tail_start + torch.arange(inputs.text.shape[1], device=head.device)
        state_position = tail_start + inputs.text_mask.sum(1, keepdim=True)
        positions = torch.cat([tail_positions.expand(batch, -1), state_position], 1)
        axes = len(self.head_positions)
        return Prefix(
            embeddings=torch.cat([head, tail, state], 1),
            seen=seen,
            positions=torch.cat(
                [self.head_positions[:, None].expand(-1, batch, -1), positions.expand(axes, -1, -1)], 2
            ),
            deeper=tuple(deeper),
        )

    def _pixels(self, images: UInt8[Tensor, "batch camera height width 3"]) -> Float32[Tensor, "image 3 height width"]:
        return (images.flatten(0, 1).permute(0, 3, 1, 2).float() / 255.0 - self.image_mean) / self.image_std

    def _decode(
        self,
        embeddings: Tensor,
        allowed: Tensor,
        positions: Tensor,
        cache: DynamicCache | None,
        *,
        deeper: tuple[Tensor, ...] = (),
    ) -> Tensor:
        """Run the decoder; `allowed` says which place each query may see and replaces the model's own masks."""
        pictures: dict[str, Any] = {}
        if deeper:  # the names are those of Qwen3-VL, the one decoder that takes them
            is_image = (self.head_ids == self.family.image_token_id).expand(len(embeddings), -1)
            after_head = embeddings.shape[1] - len(self.head_ids)
            pictures["visual_pos_masks"] = nn.functional.pad(is_image, (0, after_head), value=False)
            pictures["deepstack_visual_embeds"] = [features.flatten(0, 1) for features in deeper]
        hidden_from = torch.finfo(embeddings.dtype).min
        bias = torch.zeros(allowed.shape, dtype=embeddings.dtype, device=allowed.device)
        output = self.family.language_model(
            inputs_embeds=embeddings,
            attention_mask=bias.masked_fill_(~allowed, hidden_from)[:, None],
            position_ids=positions[0] if len(positions) == 1 else positions,
            past_key_values=cache,
            use_cache=cache is not None,
            **pictures,
        )
        return output.last_hidden_state

    @torch.no_grad()
    def _head_ids(self) -> Tensor:
        height, width = self.spec.image_size
        features = self.family.image_features(torch.zeros(1, 3, height, width))
        n_cameras, n_image_tokens = len(self.spec.cameras), features.embeddings.shape[1]
        head = self.family.head(self.tokenizer, n_cameras=n_cameras, n_image_tokens=n_image_tokens)
        ids = torch.tensor(self._token_ids(head))
        found = int((ids == self.family.image_token_id).sum())
        if found != n_cameras * n_image_tokens:
            raise InvalidSetting(
                f"The tokenizer makes {found} image tokens of {n_cameras} pictures with {n_image_tokens} each: "
                "model and tokenizer do not belong together."
            )
        return ids

    def _token_ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False)

    def save_files(self, folder: Path) -> None:
        """Write the architecture, the tokenizer with the action tokens, and the constants of the prompt."""
        self.model.config.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        record = {
            "spec": self.spec.to_json(),
            "image_mean": self.image_mean.flatten().tolist(),
            "image_std": self.image_std.flatten().tolist(),
            "lora_rank": self.lora_rank,
        }
        write_durably(folder / SCORER_NAME, json.dumps(record, indent=2).encode())

    @classmethod
    def load_files(cls, folder: Path) -> TransformersVLM:
        """Rebuild the scorer; its weights are not loaded yet.

        Raises:
            CheckpointError: a file is missing or does not fit the others.
        """
        spec, record = read_scorer_record(folder, ScorerSpec)
        try:
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            source = PretrainedVlm(
                model_from_config(config), tokenizer, tuple(record["image_mean"]), tuple(record["image_std"])
            )
            placeholder = StateStatistics((0.0,) * spec.state_dim, (1.0,) * spec.state_dim)
            return cls(spec, source, placeholder, lora_rank=record["lora_rank"])
        except (OSError, ValueError, KeyError, InvalidSetting) as error:
            raise CheckpointError(f"{folder} does not describe a model: {error}") from error
