"""Models of transformers from a local folder or the hub: only safetensors, only complete, network only when asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)
from transformers.image_processing_base import ImageProcessingMixin
from transformers.initialization import no_init_weights

from vlm_qsft.errors import InvalidSetting, UnknownName
from vlm_qsft.model.families import FAMILIES_BY_MODEL_TYPE


@dataclass(frozen=True)
class PretrainedVlm:
    """What a source gives.

    Attributes:
        model: the image-text-to-text model, float32.
        tokenizer: of its text.
        image_mean: per colour channel, on pixel values in [0, 1].
        image_std: likewise.
    """

    model: Any
    tokenizer: PreTrainedTokenizerBase
    image_mean: tuple[float, ...]
    image_std: tuple[float, ...]


def load_pretrained(source: str, *, allow_download: bool) -> PretrainedVlm:
    """Load a model with its tokenizer and the two constants of its image processor that matter.

    Pictures are resized by `vlm_qsft.images` and normalised by these constants, never by the processor: a reloaded
    processor may switch its image library, and pixels differ.

    Args:
        source: a folder written by `save_pretrained` (model, tokenizer and processor), or a hub name.
        allow_download: whether the hub may be asked.
    Raises:
        UnknownName: the source is of a family that carries no action tokens yet.
        InvalidSetting: not there, incomplete, or with weights that do not fit its own configuration.
    """
    where: dict[str, Any] = {"local_files_only": not allow_download}
    try:
        config = AutoConfig.from_pretrained(source, **where)
        if config.model_type not in FAMILIES_BY_MODEL_TYPE:
            raise UnknownName("model type", config.model_type, FAMILIES_BY_MODEL_TYPE)
        choose_attention(config)
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            source, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **where
        )
        tokenizer = AutoTokenizer.from_pretrained(source, **where)
        constants, _ = ImageProcessingMixin.get_image_processor_dict(source, **where)
    except (OSError, ValueError) as error:
        raise InvalidSetting(_explain(source, allow_download, error)) from error
    model, report = loaded
    _refuse_incomplete(source, report)
    if not {"image_mean", "image_std"} <= constants.keys():
        raise InvalidSetting(
            f"The model '{source}' has no image_mean and image_std in preprocessor_config.json or "
            "processor_config.json. Save its processor into the same folder with `save_pretrained`."
        )
    mean, std = (tuple(map(float, constants[name])) for name in ("image_mean", "image_std"))
    return PretrainedVlm(model, tokenizer, mean, std)


def model_from_config(config: PretrainedConfig) -> Any:
    """Build the architecture of a configuration with weights that are about to be loaded, in float32."""
    choose_attention(config)
    with no_init_weights():
        model: Any = AutoModelForImageTextToText.from_config(config, dtype=torch.float32)
    model.tie_weights()
    return model


def choose_attention(config: PretrainedConfig) -> None:
    """Choose the attention code: Gemma 2 caps its attention logits, which only the plain implementation does."""
    if config.get_text_config().model_type.startswith("gemma2"):
        config.get_text_config()._attn_implementation = "eager"


def _refuse_incomplete(source: str, report: dict[str, Any]) -> None:
    missing = sorted(key for key in report["missing_keys"] if not key.endswith("lm_head.weight"))
    wrong = sorted(str(entry[0]) for entry in report["mismatched_keys"])
    if missing or wrong:
        raise InvalidSetting(
            f"The weights of '{source}' do not fit its configuration: {len(missing)} missing, {len(wrong)} of another "
            f"shape, such as {', '.join((missing + wrong)[:3])}. Copy or download the whole folder again."
        )


def _explain(source: str, allow_download: bool, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
    if Path(source).is_dir():
        remedy = "The folder must be one that `save_pretrained` wrote: model, tokenizer and processor, in safetensors."
    elif allow_download:
        remedy = "Check the name and the network."
    else:
        remedy = "It is no local folder, and downloads are off (allow_download)."
    return f"The model '{source}' cannot be loaded. {remedy} ({reason})"
