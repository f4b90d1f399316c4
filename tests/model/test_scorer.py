"""What holds for every scorer: the small model and each family of transformers."""

from __future__ import annotations

import copy

import pytest
import torch

from vlm_qsft.errors import ShapeMismatch
from vlm_qsft.model import ModelInputs, renormalise_bins

from .conftest import FAMILIES

SCORERS = ("small", *FAMILIES)


def random_bins(scorer, batch: int = 3) -> torch.Tensor:
    return torch.randint(scorer.spec.n_bins, (batch, scorer.spec.n_tokens), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("family", SCORERS)
def test_log_probabilities_over_bins_and_dummy_sum_to_one(family, build, make_inputs):
    scorer = build(family)
    log_probs = scorer.log_probs(make_inputs(scorer), random_bins(scorer))
    assert log_probs.shape == (3, 4, 9) and log_probs.dtype == torch.float32
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(3, 4))


@pytest.mark.parametrize("family", SCORERS)
@torch.no_grad()
def test_stepwise_decoding_equals_teacher_forcing_column_by_column(family, build, make_inputs):
    scorer = build(family)
    inputs, bins = make_inputs(scorer), random_bins(scorer)
    expected = scorer.log_probs(inputs, bins)
    decode_state = scorer.start(inputs)
    for position in range(4):
        previous = None if position == 0 else bins[:, position - 1]
        column = scorer.next_log_probs(decode_state, previous)
        torch.testing.assert_close(column, expected[:, position], atol=2e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="All 4 tokens are decoded"):
        scorer.next_log_probs(decode_state, bins[:, 3])


@pytest.mark.parametrize("family", SCORERS)
@torch.no_grad()
def test_a_decode_goes_on_with_selected_rows_as_if_they_had_been_alone(family, build, make_inputs):
    scorer = build(family)
    inputs, rows = make_inputs(scorer), torch.tensor([2, 0, 2, 2])
    bins = random_bins(scorer, batch=4)
    bins[:, 0] = torch.tensor([1, 3, 1, 1])  # the first token was chosen before the rows were
    expected = scorer.log_probs(inputs.select(rows), bins)
    decode_state = scorer.start(inputs)
    scorer.next_log_probs(decode_state, None)
    decode_state.select(rows)
    for position in range(1, 4):
        column = scorer.next_log_probs(decode_state, bins[:, position - 1])
        torch.testing.assert_close(column, expected[:, position], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("family", SCORERS)
@torch.no_grad()
def test_a_row_depends_on_earlier_bins_and_not_on_its_own_or_later_ones(family, build, make_inputs):
    scorer = build(family)
    inputs, bins = make_inputs(scorer), random_bins(scorer)
    changed = bins.clone()
    changed[:, 1] = (changed[:, 1] + 3) % scorer.spec.n_bins
    before, after = scorer.log_probs(inputs, bins), scorer.log_probs(inputs, changed)
    torch.testing.assert_close(before[:, :2], after[:, :2], atol=1e-5, rtol=1e-5)
    for position in (2, 3):
        assert (before[:, position] - after[:, position]).abs().max() > 1e-5


@pytest.mark.parametrize("family", SCORERS)
@torch.no_grad()
def test_every_camera_the_state_and_the_instruction_matter(family, build, make_inputs):
    scorer = build(family)
    inputs, bins = make_inputs(scorer), random_bins(scorer)
    before = scorer.log_probs(inputs, bins)
    for camera in range(2):
        images = inputs.images.clone()
        images[:, camera] = 255 - images[:, camera]
        after = scorer.log_probs(ModelInputs(images, inputs.state, inputs.text, inputs.text_mask), bins)
        assert (before - after).abs().max() > 1e-6
    after = scorer.log_probs(ModelInputs(inputs.images, inputs.state + 1.0, inputs.text, inputs.text_mask), bins)
    assert (before - after).abs().max() > 1e-6
    text, text_mask = scorer.encode_instructions(["move the green ball near the red cube"] * 3)
    after = scorer.log_probs(ModelInputs(inputs.images, inputs.state, text, text_mask), bins)
    assert (before - after).abs().max() > 1e-6


@pytest.mark.parametrize("family", SCORERS)
@torch.no_grad()
def test_padding_of_the_instruction_changes_nothing(family, build, make_inputs):
    scorer = build(family)
    inputs, bins = make_inputs(scorer), random_bins(scorer)
    together = scorer.log_probs(inputs, bins)
    for row in range(3):
        one = inputs.select(torch.tensor([row]))
        if family != "small":
            length = int(one.text_mask.sum())
            one = ModelInputs(one.images, one.state, one.text[:, :length], one.text_mask[:, :length])
        alone = scorer.log_probs(one, bins[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("family", SCORERS)
@torch.no_grad()
def test_reset_dummy_sets_the_value_exactly_and_leaves_the_bins_alone(family, build, make_inputs):
    scorer = build(family)
    inputs, bins = make_inputs(scorer), random_bins(scorer)
    before = scorer.log_probs(inputs, bins)
    scorer.reset_dummy(0.95)
    after = scorer.log_probs(inputs, bins)
    torch.testing.assert_close(after[..., -1].exp(), torch.full((3, 4), 0.95), atol=1e-6, rtol=0)
    torch.testing.assert_close(renormalise_bins(after), renormalise_bins(before), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", SCORERS)
def test_gradients_reach_vision_state_and_the_rows_of_the_action_tokens(family, build, make_inputs):
    scorer = build(family).train()
    log_probs = scorer(make_inputs(scorer), random_bins(scorer))
    (-log_probs[..., :3].mean() - log_probs[..., -1].mean()).backward()
    names = {name for name, weight in scorer.named_parameters() if weight.grad is not None and weight.grad.any()}
    unused = {name for name, weight in scorer.named_parameters() if weight.requires_grad and weight.grad is None}
    vision = "trunks.1" if family == "small" else "vi"
    state = "fusion" if family == "small" else "state_projection"
    assert any(vision in name for name in names) and any(state in name for name in names)
    assert any("rows" in name for name in names)
    # Gemma's towers end in layers that no caller of a vision-language model uses; nothing of the decoder is idle.
    assert not [name for name in unused if "layers" in name and "vision" not in name]


@pytest.mark.parametrize("family", ["small", "idefics3", "qwen2_vl"])
@torch.no_grad()
def test_log_probabilities_are_float32_and_normalised_under_bfloat16_autocast(family, build, make_inputs):
    scorer = build(family)
    inputs, bins = make_inputs(scorer), random_bins(scorer)
    exact = scorer.log_probs(inputs, bins)
    with torch.autocast("cpu", torch.bfloat16):
        rough = scorer.log_probs(inputs, bins)
        stepped = scorer.next_log_probs(scorer.start(inputs), None)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough.exp().sum(-1), torch.ones(3, 4))
    torch.testing.assert_close(rough, exact, atol=0.1, rtol=0.05)
    torch.testing.assert_close(stepped, rough[:, 0], atol=0.05, rtol=0.05)


@pytest.mark.parametrize("family", ["small", "smolvlm"])
@torch.no_grad()
def test_a_deep_copy_is_a_separate_model(family, build, make_inputs):
    scorer = build(family)
    inputs, bins = make_inputs(scorer), random_bins(scorer)
    before = scorer.log_probs(inputs, bins)
    twin = copy.deepcopy(scorer)
    for weight in twin.parameters():
        weight.add_(0.1)
    torch.testing.assert_close(scorer.log_probs(inputs, bins), before)
    assert (twin.log_probs(inputs, bins) - before).abs().max() > 1e-4


def test_a_state_of_the_wrong_size_is_refused(build, make_inputs):
    scorer = build("small")
    inputs = make_inputs(scorer)
    wrong = ModelInputs(inputs.images, torch.zeros(3, 4), inputs.text, inputs.text_mask)
    with pytest.raises(ShapeMismatch, match=r"must have 3 numbers; got \(3, 4\)"):
        scorer.log_probs(wrong, random_bins(scorer))


def test_a_missing_camera_is_refused_by_the_names_expected(build, make_inputs):
    scorer = build("small")
    inputs = make_inputs(scorer)
    wrong = ModelInputs(inputs.images[:, :1], inputs.state, inputs.text, inputs.text_mask)
    with pytest.raises(ShapeMismatch, match="cameras front, wrist"):
        scorer.start(wrong)


def test_the_dummy_token_is_refused_as_an_action(build, make_inputs):
    scorer = build("small")
    bins = random_bins(scorer)
    bins[1, 2] = 8
    with pytest.raises(ShapeMismatch, match="8 is the dummy token"):
        scorer.log_probs(make_inputs(scorer), bins)


def test_bins_of_another_number_of_tokens_are_refused(build, make_inputs):
    scorer = build("small")
    with pytest.raises(ShapeMismatch, match=r"shape \(3, 4\)"):
        scorer.log_probs(make_inputs(scorer), random_bins(scorer)[:, :3])


def test_decoding_needs_the_previous_bin_exactly_after_the_first_position(build, make_inputs):
    scorer = build("small")
    decode_state = scorer.start(make_inputs(scorer))
    with pytest.raises(ValueError, match="position 0"):
        scorer.next_log_probs(decode_state, torch.zeros(3, dtype=torch.int64))
    scorer.next_log_probs(decode_state, None)
    with pytest.raises(ValueError, match="position 1"):
        scorer.next_log_probs(decode_state, None)
