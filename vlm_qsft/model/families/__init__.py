"""The families of image-text-to-text models that can carry action tokens, by transformers' `model_type`."""

from vlm_qsft.model.families.family import VlmFamily
from vlm_qsft.model.families.idefics3 import Idefics3Family
from vlm_qsft.model.families.llava import LlavaFamily
from vlm_qsft.model.families.paligemma import PaliGemmaFamily
from vlm_qsft.model.families.qwen_vl import QwenVlFamily

FAMILIES_BY_MODEL_TYPE: dict[str, type[VlmFamily]] = {
    "idefics3": Idefics3Family,
    "smolvlm": Idefics3Family,
    "llava": LlavaFamily,
    "paligemma": PaliGemmaFamily,
    "qwen2_vl": QwenVlFamily,
    "qwen2_5_vl": QwenVlFamily,
    "qwen3_vl": QwenVlFamily,
}

__all__ = [
    "FAMILIES_BY_MODEL_TYPE",
    "Idefics3Family",
    "LlavaFamily",
    "PaliGemmaFamily",
    "QwenVlFamily",
    "VlmFamily",
]
