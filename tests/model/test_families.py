"""Each family's prefix is the one that transformers itself computes, and what it cannot take is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoImageProcessor

from vlm_qsft.errors import InvalidSetting, ShapeMismatch
from vlm_qsft.model import ModelInputs
from vlm_qsft.model.prefix import Prefix
from vlm_qsft.model.transformers_vlm import TransformersVLM

from .conftest import FAMILIES


def own_forward_arguments(scorer: TransformersVLM, images: torch.Tensor, folder, ids: torch.Tensor) -> dict:
    """Return what the model's own forward wants, with pixels by the family's own image processor."""
    processor = AutoImageProcessor.from_pretrained(folder, backend="torchvision")
    pictures = [np.asarray(picture) for picture in images[0]]
    family = scorer.spec.family
    extra = {"do_image_splitting": False, "size": {"longest_edge": 32}} if family in ("idefics3", "smolvlm") else {}
    if family == "llava":
        extra = {"do_center_crop": False}
    if family in ("idefics3", "smolvlm"):
        pixels = processor(
            images=[pictures], return_tensors="pt", max_image_size={"longest_edge": 32}, **extra
        ).pixel_values
        return {"pixel_values": pixels}
    made = processor(images=pictures, return_tensors="pt", do_resize=False, **extra)
    if family.startswith("qwen"):
        is_image = (ids == scorer.family.image_token_id).int()
        return {**made, "mm_token_type_ids": is_image}
    if family == "paligemma":
        return {**made, "token_type_ids": torch.zeros_like(ids)}
    return dict(made)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_the_prefix_has_the_hidden_states_of_transformers_own_forward(family, build, make_inputs, model_folders):
    scorer = build(family)
    inputs = make_inputs(scorer, batch=1)
    ids = torch.cat([scorer.head_ids[None], inputs.text], 1)
    arguments = own_forward_arguments(scorer, inputs.images, model_folders(family), ids)
    expected = scorer.model.model(input_ids=ids, attention_mask=torch.ones_like(ids), **arguments).last_hidden_state

    whole = scorer._prefix(inputs)
    prefix = Prefix(whole.embeddings[:, :-1], whole.seen[:, :-1], whole.positions[:, :, :-1], whole.deeper)  # no state
    mask = prefix.mask(both_ways=scorer.family.sees_whole_prefix)
    ours = scorer._decode(prefix.embeddings, mask, prefix.positions, None, deeper=prefix.deeper)
    torch.testing.assert_close(ours, expected, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_what_earlier_layers_of_the_tower_saw_reaches_the_decoder_of_qwen3(build, make_inputs):
    scorer = build("qwen3_vl")
    inputs, bins = make_inputs(scorer), torch.zeros(3, 4, dtype=torch.int64)
    before = scorer.log_probs(inputs, bins)
    for weight in scorer.model.model.visual.deepstack_merger_list.parameters():
        weight.zero_()
    assert (scorer.log_probs(inputs, bins) - before).abs().max() > 1e-3


@torch.no_grad()
def test_gemma_2_computes_with_capped_attention(build, make_inputs):
    scorer = build("paligemma2")
    inputs, bins = make_inputs(scorer), torch.zeros(3, 4, dtype=torch.int64)
    before = scorer.log_probs(inputs, bins)
    for layer in scorer.family.language_model.layers:
        layer.self_attn.attn_logit_softcapping = 1e-3
    assert (scorer.log_probs(inputs, bins) - before).abs().max() > 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_action_tokens_follow_the_vocabulary_without_a_gap(family, build):
    scorer = build(family)
    names = [scorer.tokenizer.convert_ids_to_tokens(scorer.first_token_id + action_bin) for action_bin in (0, 7, 8)]
    assert names == ["<action_0>", "<action_7>", "<action_dummy>"]


@torch.no_grad()
def test_a_black_picture_is_a_picture(build, make_inputs):
    scorer = build("idefics3")
    inputs = make_inputs(scorer)
    grey = torch.full_like(inputs.images, 0)
    scorer.image_mean.zero_()
    log_probs = scorer.log_probs(
        ModelInputs(grey, inputs.state, inputs.text, inputs.text_mask), torch.zeros(3, 4, dtype=torch.int64)
    )
    assert log_probs.isfinite().all()


@pytest.mark.parametrize(
    ("family", "size", "words"),
    [
        ("idefics3", (24, 24), "a multiple of 16, at most 32"),
        ("llava", (64, 64), "32 x 32"),
        ("paligemma", (16, 32), "32 x 32"),
        ("qwen2_vl", (40, 32), "multiples of 16"),
    ],
)
def test_a_picture_size_that_the_tower_cannot_take_is_refused(family, size, words, build):
    with pytest.raises(InvalidSetting, match=words):
        build(family, image_size=size)


def test_a_qwen_model_takes_pictures_of_any_whole_number_of_tokens(build, make_inputs):
    scorer = build("qwen2_5_vl", image_size=(64, 48))
    log_probs = scorer.log_probs(make_inputs(scorer), torch.zeros(3, 4, dtype=torch.int64))
    assert log_probs.isfinite().all()


def test_an_instruction_longer_than_the_model_is_refused(build):
    scorer = build("llava")
    with pytest.raises(ShapeMismatch, match="of 512"):
        scorer.encode_instructions(["pick " * 120])


def test_lora_trains_adapters_rows_and_state_and_nothing_else(build):
    scorer = build("smolvlm", lora_rank=2)
    trained = {name for name, weight in scorer.named_parameters() if weight.requires_grad}
    assert all("lora_" in name or name.startswith(("rows.", "state_projection.")) for name in trained)
    assert sum("lora_A" in name for name in trained) == 2 * 4


@torch.no_grad()
def test_lora_adapters_start_without_any_effect(build, make_inputs):
    scorer = build("smolvlm", lora_rank=2)
    inputs, bins = make_inputs(scorer), torch.zeros(3, 4, dtype=torch.int64)
    before = scorer.log_probs(inputs, bins)
    for name, weight in scorer.named_parameters():
        if "lora_A" in name:
            weight.mul_(7.0)
    torch.testing.assert_close(scorer.log_probs(inputs, bins), before)
    for name, weight in scorer.named_parameters():
        if "lora_B" in name:
            weight.add_(1.0)
    assert (scorer.log_probs(inputs, bins) - before).abs().max() > 1e-3
