"""What a scorer of text is built from: chosen by the user, stored in the run folder. Loads no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vlm_qsft.errors import InvalidSetting
from vlm_qsft.settings_record import settings_from_json


@dataclass(frozen=True)
class TextModelSettings:
    """Which language model, and how large.

    Attributes:
        source: a causal or vision-language model: a folder of `save_pretrained`, a hub name of transformers, a .gguf
            file or "SmolLM2-135M-Instruct", the packaged one; None is the small model, trained from the logs alone.
        allow_download: whether a hub name may be fetched.
        width: of the small model, a multiple of head_width; four layers of 128 have 0.8 million parameters.
        layers: of the small model.
        head_width: of an attention head of the small model, an even number.
        rope_theta: base of the small model's rotary positions. The longest wavelength is 2 pi times as many tokens:
            a base not far above the length of a game lets every frequency tell its places apart.
        learned_positions: places of the longest context of a small model that learns its positions, instead of rotary
            ones; 0 for rotary ones. Where a place means something, as a rank of a chess board does, they learn faster.
        lora_rank: rank of the LoRA adapters on the attention projections of a source; 0 trains every weight.
    """

    source: str | None = None
    allow_download: bool = False
    width: int = 128
    layers: int = 4
    head_width: int = 32
    rope_theta: float = 10_000.0
    learned_positions: int = 0
    lora_rank: int = 0

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            InvalidSetting: a number outside its range.
        """
        for name, least in (("layers", 1), ("lora_rank", 0), ("head_width", 2), ("learned_positions", 0)):
            if getattr(self, name) < least:
                raise InvalidSetting(f"{name} must be at least {least}; got {getattr(self, name)}.")
        if self.head_width % 2:
            raise InvalidSetting(f"head_width must be even: rotary positions turn pairs; got {self.head_width}.")
        if self.width < self.head_width or self.width % self.head_width:
            raise InvalidSetting(f"width must be a multiple of head_width, {self.head_width}; got {self.width}.")
        if not (math.isfinite(self.rope_theta) and self.rope_theta > 1):
            raise InvalidSetting(f"rope_theta must be a number above 1; got {self.rope_theta}.")
        if self.source is None and self.lora_rank:
            raise InvalidSetting(f"The small model has no LoRA adapters; got lora_rank={self.lora_rank}.")

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TextModelSettings:
        """Rebuild settings from `to_json`; raises as `settings_from_json`."""
        return settings_from_json(cls, document, what="text model setting")
