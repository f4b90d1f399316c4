"""LoRA adapters on the attention of a decoder, by the package peft."""

from __future__ import annotations

from transformers import PreTrainedModel

from vlm_qsft.errors import InvalidSetting, MissingDependency

# What every decoder of our families calls them; alpha = 2 x rank is the usual scale.
ATTENTION_PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj"]


def add_lora(language_model: PreTrainedModel, rank: int) -> None:
    """Add trainable adapters of `rank` to every attention projection, in place; other weights are left as they are.

    Raises:
        MissingDependency: peft is not installed.
        InvalidSetting: the model's attention has no projections of these names.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise MissingDependency(
            "LoRA (lora_rank > 0) needs the package peft: pip install 'vlm-qsft[train]'."
        ) from error
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=ATTENTION_PROJECTIONS)
    try:
        inject_adapter_in_model(config, language_model)
    except ValueError as error:
        raise InvalidSetting(
            f"LoRA goes to {', '.join(ATTENTION_PROJECTIONS)}; {type(language_model).__name__} has none of them. "
            "Train it whole (lora_rank 0)."
        ) from error
