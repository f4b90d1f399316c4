"""What a model is built from: chosen by presets and the user, stored in the run folder. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vlm_qsft.errors import InvalidSetting, UnknownName
from vlm_qsft.settings_record import settings_from_json

FAMILIES = ("small", "transformers")


@dataclass(frozen=True)
class ModelSettings:
    """Which scorer, and how large.

    Attributes:
        family: "small", the offline model for CPUs, or "transformers", an image-text-to-text model of that library.
        source: a local folder written by `save_pretrained`, or a hub name; only for "transformers".
        allow_download: whether a hub name may be fetched; without it only local files and the hub's cache are read.
        cameras: the cameras shown to the model, in this order; None shows every camera of the data set.
        image_size: height and width of every picture, pixels; None takes 64 x 64 ("small") or the source's own size.
        channels: feature maps of the convolutional trunk ("small").
        width: width of the fused features, a multiple of 8; the action decoder has half of it ("small").
        layers: causal layers of the action decoder ("small").
        lora_rank: rank of the LoRA adapters on the attention projections ("transformers"); 0 trains every weight.
    """

    family: str = "small"
    source: str | None = None
    allow_download: bool = False
    cameras: tuple[str, ...] | None = None
    image_size: tuple[int, int] | None = None
    channels: int = 64
    width: int = 256
    layers: int = 2
    lora_rank: int = 0

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            UnknownName: the family does not exist.
            InvalidSetting: a number outside its range, or a source where none belongs.
        """
        if self.family not in FAMILIES:
            raise UnknownName("model family", self.family, FAMILIES)
        if (self.source is None) == (self.family == "transformers"):
            wanted = "a hub name or a local folder" if self.family == "transformers" else "no source"
            raise InvalidSetting(f"The model family '{self.family}' takes {wanted}; got source={self.source!r}.")
        if self.family == "small" and self.lora_rank:
            raise InvalidSetting(f"The model family 'small' has no LoRA adapters; got lora_rank={self.lora_rank}.")
        for name, least in (("channels", 8), ("width", 16), ("layers", 1), ("lora_rank", 0)):
            if getattr(self, name) < least:
                raise InvalidSetting(f"{name} must be at least {least}; got {getattr(self, name)}.")
        if self.width % 8:
            raise InvalidSetting(
                f"width must be a multiple of 8 (four attention heads on half of it); got {self.width}."
            )
        if self.image_size is not None and (len(self.image_size) != 2 or min(self.image_size) < 16):
            raise InvalidSetting(f"image_size must be (height, width) of at least 16 pixels; got {self.image_size}.")

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ModelSettings:
        """Rebuild settings from `to_json`; raises as `settings_from_json`."""
        return settings_from_json(cls, document, what="model setting")
