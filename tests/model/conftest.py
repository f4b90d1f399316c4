"""Tiny parts: a schema with two cameras, an action tokenizer, the small model, and one model folder per family."""

from __future__ import annotations

import copy
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    CLIPImageProcessor,
    Idefics3ImageProcessor,
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessor,
    SiglipImageProcessor,
)

from vlm_qsft.data.schema import DatasetSchema
from vlm_qsft.model import ModelInputs, ModelSettings, RobotScorer, StateStatistics, build_scorer
from vlm_qsft.tokens import ActionTokenizer

N_BINS = 8
INSTRUCTIONS = ("pick up the red cube", "pick up the green ball", "move the red cube near the green ball")
SPECIAL = {
    "idefics3": ["<|im_start|>", "<fake_token_around_image>", "<global-img>", "<image>", "<end_of_utterance>"],
    "llava": ["<s>", "<image>"],
    "paligemma": ["<bos>", "<image>"],
    "qwen2_vl": ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"],
}
SPECIAL |= {"smolvlm": SPECIAL["idefics3"], "paligemma2": SPECIAL["paligemma"]}
SPECIAL |= dict.fromkeys(("qwen2_5_vl", "qwen3_vl"), SPECIAL["qwen2_vl"])
FAMILIES = tuple(sorted(SPECIAL))
MODEL_TYPE = {family: family for family in FAMILIES} | {"paligemma2": "paligemma"}
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def byte_tokenizer(special: list[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token per byte and the given special tokens, the first of them opening a text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=special[0])


def tiny_config(family: str, special: dict[str, Any], vocab_size: int) -> dict[str, Any]:
    """Return a configuration of two layers and 32 features: 32 x 32 pixels, patches of 8."""
    text: dict[str, Any] = {**TEXT, "vocab_size": vocab_size, "max_position_embeddings": 512, "pad_token_id": 0}
    vision: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    vision |= {"image_size": 32, "patch_size": 8}
    image = special.get("<image>")
    if family in ("idefics3", "smolvlm"):
        tied = family == "smolvlm"  # one family with tied tables and one without
        text["model_type"] = "llama"
        more = {"scale_factor": 2, "image_token_id": image, "pad_token_id": 0, "tie_word_embeddings": tied}
        return {"vision_config": vision, "text_config": text, **more}
    if family == "llava":
        vision["model_type"], text["model_type"] = "clip_vision_model", "llama"
        more = {"image_token_index": image, "image_seq_length": 16, "tie_word_embeddings": False}
        return {"vision_config": vision, "text_config": text, **more}
    if family in ("paligemma", "paligemma2"):
        vision |= {"model_type": "siglip_vision_model", "vision_use_head": False}
        text |= {"model_type": "gemma" if family == "paligemma" else "gemma2", "head_dim": 8}
        more = {"image_token_index": image, "vocab_size": vocab_size, "projection_dim": 32, "hidden_size": 32}
        return {"vision_config": vision, "text_config": text, **more}
    text["rope_parameters"] = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    tower: dict[str, Any] = {"hidden_size": 32, "depth": 2, "num_heads": 2, "patch_size": 8}
    if family == "qwen2_vl":
        tower |= {"embed_dim": 32, "mlp_ratio": 2}
    elif family == "qwen2_5_vl":
        tower |= {"out_hidden_size": 32, "intermediate_size": 48, "window_size": 32, "fullatt_block_indexes": [1]}
    else:
        text |= {"head_dim": 8}
        tower |= {"out_hidden_size": 32, "intermediate_size": 48, "num_position_embeddings": 16}
        tower |= {"deepstack_visual_indexes": [0]}
    more: dict[str, Any] = {
        "image_token_id": special["<|image_pad|>"],
        "video_token_id": special["<|video_pad|>"],
        "vision_start_token_id": special["<|vision_start|>"],
        "vision_end_token_id": special["<|vision_end|>"],
    }
    return {"vision_config": tower, "text_config": text, **more}


def image_processor(family: str) -> Any:
    """Return the family's own image processor."""
    if family in ("idefics3", "smolvlm"):
        return Idefics3ImageProcessor(image_mean=[0.5] * 3, image_std=[0.5] * 3)
    if family.startswith("qwen"):
        return Qwen2VLImageProcessor(patch_size=8)
    return CLIPImageProcessor() if family == "llava" else SiglipImageProcessor()


def save_tiny_model(family: str, folder: Path) -> None:
    """Write what `save_pretrained` of model, tokenizer and processor writes."""
    torch.manual_seed(0)
    tokenizer = byte_tokenizer(SPECIAL[family])
    special: dict[str, Any] = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL[family]}
    config = AutoConfig.for_model(MODEL_TYPE[family], **tiny_config(family, special, len(tokenizer)))
    model: Any = AutoModelForImageTextToText.from_config(config)
    for part in (model, tokenizer, image_processor(family)):
        part.save_pretrained(folder)


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function from a family to the folder of its tiny model."""
    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            made[family] = tmp_path_factory.mktemp(family)
            save_tiny_model(family, made[family])
        return made[family]

    return folder


@pytest.fixture(scope="session")
def schema() -> DatasetSchema:
    return DatasetSchema(
        cameras={"front": (48, 64), "wrist": (32, 32)},
        state_names=("x", "y", "z"),
        action_names=("dx", "dy"),
        fps=Fraction(5),
    )


@pytest.fixture(scope="session")
def action_tokenizer() -> ActionTokenizer:
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (100, 2))
    return ActionTokenizer.fit(actions, action_names=("dx", "dy"), n_bins=N_BINS, chunk=2)


@pytest.fixture(scope="session")
def build(schema, action_tokenizer, model_folders) -> Callable[..., RobotScorer]:
    """Return a function from a family (or "small") to a fresh scorer with 4 tokens of 8 bins, in evaluation mode."""

    made: dict[str, RobotScorer] = {}

    def make(family: str, **settings: Any) -> RobotScorer:
        key = f"{family} {settings}"
        if key not in made:
            made[key] = fresh(family, **settings)
        return copy.deepcopy(made[key])

    def fresh(family: str, **settings: Any) -> RobotScorer:
        torch.manual_seed(1)
        size = (32, 32)
        if family == "small":
            chosen = ModelSettings(channels=8, width=32, layers=2, **{"image_size": size, **settings})
        else:
            source = str(model_folders(family))
            chosen = ModelSettings(family="transformers", source=source, **{"image_size": size, **settings})
        statistics = StateStatistics((0.0, 1.0, 2.0), (1.0, 0.5, 2.0))
        return build_scorer(chosen, schema, action_tokenizer, INSTRUCTIONS, statistics).eval()

    return make


@pytest.fixture(scope="session")
def make_inputs() -> Callable[..., ModelInputs]:
    """Return a function from a scorer to a batch of random pictures and states, with instructions of unequal length."""

    def make(scorer: RobotScorer, *, batch: int = 3, seed: int = 0) -> ModelInputs:
        generator = torch.Generator().manual_seed(seed)
        shape = (batch, len(scorer.spec.cameras), *scorer.spec.image_size, 3)
        instructions = [INSTRUCTIONS[row % len(INSTRUCTIONS)] for row in range(batch)]
        text, text_mask = scorer.encode_instructions(instructions)
        return ModelInputs(
            images=torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8),
            state=torch.randn(batch, scorer.spec.state_dim, generator=generator),
            text=text,
            text_mask=text_mask,
        )

    return make


@pytest.fixture(scope="session")
def parts(schema, action_tokenizer) -> SimpleNamespace:
    """Return the parts of a checkpoint that are no scorer."""
    return SimpleNamespace(action_tokenizer=action_tokenizer, schema=schema, metadata={"steps": 3})
