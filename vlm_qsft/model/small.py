"""`SmallVLM`: the offline model for CPUs, 1 to 2 million parameters, trained from the data set alone."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from vlm_qsft.data.storage import write_durably
from vlm_qsft.errors import CheckpointError, QsftError
from vlm_qsft.model.action_decoder import ActionDecoder, DecoderMemory
from vlm_qsft.model.camera_trunk import INSTRUCTION_WIDTH, CameraTrunk, InstructionEncoder
from vlm_qsft.model.inputs import ModelInputs
from vlm_qsft.model.loading import SCORER_NAME, read_scorer_record
from vlm_qsft.model.robot_scorer import RobotScorer, ScorerSpec
from vlm_qsft.model.scorer import DecodeState
from vlm_qsft.model.settings import ModelSettings
from vlm_qsft.model.state_statistics import StateNormalizer, StateStatistics
from vlm_qsft.model.word_tokenizer import WordTokenizer

IMAGE_SIZE = (64, 64)
"""Height and width in pixels where the settings name none."""


@dataclass
class SmallDecodeState(DecodeState):
    """What the trunk saw, and keys and values of the tokens chosen so far."""

    memory: DecoderMemory

    def select(self, rows: Int64[Tensor, " chosen"]) -> None:
        """Go on with these rows alone."""
        self.memory.select(rows)


class SmallVLM(RobotScorer):
    """One convolutional trunk per camera, instruction and state fused into one vector, and a causal action decoder."""

    def __init__(
        self, spec: ScorerSpec, settings: ModelSettings, words: WordTokenizer, statistics: StateStatistics
    ) -> None:
        super().__init__()
        self.spec, self.settings, self.words = spec, settings, words
        self.instruction = InstructionEncoder(len(words.words), words.longest)
        trunks = [CameraTrunk(settings.channels, spec.image_size) for _ in spec.cameras]
        self.trunks = nn.ModuleList(trunks)
        n_pictured = sum(trunk.n_features for trunk in trunks)
        self.normalize_state = StateNormalizer(statistics)
        self.fusion = nn.Linear(n_pictured + INSTRUCTION_WIDTH + spec.state_dim, settings.width)
        self.norm = nn.LayerNorm(settings.width)
        self.decoder = ActionDecoder(
            n_tokens=spec.n_tokens, n_bins=spec.n_bins, feature_width=settings.width, layers=settings.layers
        )

    @property
    def readout(self) -> tuple[nn.Module, ...]:
        """Return the rows of the decoder."""
        return (self.decoder.rows,)

    def encode_instructions(
        self, instructions: Sequence[str]
    ) -> tuple[Int64[Tensor, "batch text_len"], Bool[Tensor, "batch text_len"]]:
        """Return word ids and mask.

        Raises:
            UnknownName: a word that no instruction of the data set had.
            ShapeMismatch: no word, or more words than any instruction of the data set.
        """
        return self.words.encode(instructions)

    @torch.no_grad()
    def reset_dummy(self, probability: float = 0.95) -> None:
        """Give the dummy token this probability in every state and after every prefix."""
        self.decoder.rows.weight[self.spec.n_bins].zero_()
        self.decoder.rows.bias[self.spec.n_bins] = math.log(probability / (1.0 - probability))

    def start(self, inputs: ModelInputs) -> SmallDecodeState:
        """Run the trunk once."""
        self.check_inputs(inputs)
        return SmallDecodeState(position=0, memory=self.decoder.begin(self._features(inputs)))

    def _logits(self, inputs: ModelInputs, action_bins: Tensor) -> Tensor:
        return self.decoder(self._features(inputs), action_bins)

    def _next_logits(self, decode_state: SmallDecodeState, previous_bins: Tensor | None) -> Tensor:
        return self.decoder.step(decode_state.memory, previous_bins, position=decode_state.position)

    def _features(self, inputs: ModelInputs) -> Float[Tensor, "batch width"]:
        instruction = self.instruction(inputs.text, inputs.text_mask)
        pictured = [trunk(inputs.images[:, camera], instruction) for camera, trunk in enumerate(self.trunks)]
        fused = self.fusion(torch.cat([*pictured, instruction, self.normalize_state(inputs.state)], 1))
        return F.gelu(self.norm(fused)).float()

    def save_files(self, folder: Path) -> None:
        """Write specification, sizes and vocabulary."""
        record = {"spec": self.spec.to_json(), "settings": self.settings.to_json(), "words": self.words.to_json()}
        write_durably(folder / SCORER_NAME, json.dumps(record, indent=2).encode())

    @classmethod
    def load_files(cls, folder: Path) -> SmallVLM:
        """Rebuild the scorer; its weights, and with them the statistics of the state, are not loaded yet.

        Raises:
            CheckpointError: the file is missing or says something else than this version writes.
        """
        spec, record = read_scorer_record(folder, ScorerSpec)
        placeholder = StateStatistics((0.0,) * spec.state_dim, (1.0,) * spec.state_dim)
        try:
            settings, words = ModelSettings.from_json(record["settings"]), WordTokenizer.from_json(record["words"])
        except (KeyError, TypeError, QsftError) as error:
            raise CheckpointError(f"{folder / SCORER_NAME} does not describe a small model: {error}") from error
        return cls(spec, settings, words, placeholder)
