"""What a scorer of text is built from: chosen by the user, stored in the run folder. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vlm_qsft.errors import InvalidSetting
from vlm_qsft.settings_record import settings_from_json

HEAD_WIDTH = 32
"""Width of an attention head of the small model."""


@dataclass(frozen=True)
class TextModelSettings:
    """Which causal language model, and how large.

    Attributes:
        source: a local folder or hub name of a causal language model of transformers; None is the small model, trained
            from the logs alone.
        allow_download: whether a hub name may be fetched.
        width: of the small model, a multiple of 32; four layers of 128 have 0.8 million parameters.
        layers: of the small model.
        lora_rank: rank of the LoRA adapters on the attention projections of a source; 0 trains every weight.
    """

    source: str | None = None
    allow_download: bool = False
    width: int = 128
    layers: int = 4
    lora_rank: int = 0

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            InvalidSetting: a number outside its range.
        """
        if self.width < HEAD_WIDTH or self.width % HEAD_WIDTH:
            raise InvalidSetting(f"width must be a multiple of {HEAD_WIDTH}; got {self.width}.")
        for name, least in (("layers", 1), ("lora_rank", 0)):
            if getattr(self, name) < least:
                raise InvalidSetting(f"{name} must be at least {least}; got {getattr(self, name)}.")
        if self.source is None and self.lora_rank:
            raise InvalidSetting(f"The small model has no LoRA adapters; got lora_rank={self.lora_rank}.")

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TextModelSettings:
        """Rebuild settings from `to_json`; raises as `settings_from_json`."""
        return settings_from_json(cls, document, what="text model setting")
