"""Batches, statistics, settings, and the way from an observation to a scorer."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional

from vlm_qsft.errors import InvalidSetting, NotFinite, ShapeMismatch, UnknownName
from vlm_qsft.model import (
    ModelInputs,
    ModelSettings,
    ScorerSpec,
    StateStatistics,
    inputs_from_observation,
    join_dummy,
    renormalise_bins,
)
from vlm_qsft.model.state_statistics import StateNormalizer
from vlm_qsft.qsft import q_loss
from vlm_qsft.types import Observation

SPEC = ScorerSpec(n_bins=8, n_tokens=4, cameras=("front", "wrist"), image_size=(2, 2), state_dim=3, family="small")


def observe(**changes) -> Observation:
    images = {"wrist": np.full((4, 4, 3), 9, np.uint8), "front": np.full((2, 2, 3), 7, np.uint8)}
    return Observation(**{"images": images, "state": np.array([1, 2, 3], np.float32), **changes})


def encode(observation: Observation) -> ModelInputs:
    text = torch.ones(1, 2, dtype=torch.int64)
    return inputs_from_observation(observation, SPEC, text=text, text_mask=text > 0)


def test_an_observation_becomes_a_batch_of_one_with_cameras_in_order_and_resized():
    inputs = encode(observe())
    assert inputs.images[0, :, 0, 0, 0].tolist() == [7, 9] and inputs.images.shape == (1, 2, 2, 2, 3)
    assert inputs.state.tolist() == [[1.0, 2.0, 3.0]]


def test_an_observation_without_a_camera_is_refused_by_name():
    with pytest.raises(UnknownName, match=r"Camera 'wrist' is not known in this observation. Valid: front"):
        encode(observe(images={"front": np.zeros((2, 2, 3), np.uint8)}))


def test_a_state_of_another_size_is_refused():
    with pytest.raises(ShapeMismatch, match=r"3 numbers; got shape \(2,\)"):
        encode(observe(state=np.zeros(2, np.float32)))


def test_a_state_with_nan_is_refused():
    with pytest.raises(NotFinite, match="nan"):
        encode(observe(state=np.array([0, np.nan, 0], np.float32)))


def test_batches_with_texts_of_unequal_length_are_joined_with_padding():
    def batch(number: int, length: int) -> ModelInputs:
        text = torch.full((1, length), number)
        return ModelInputs(
            torch.full((1, 1, 2, 2, 3), number, dtype=torch.uint8), torch.full((1, 1), float(number)), text, text > 0
        )

    joined = ModelInputs.concat([batch(1, 1), batch(2, 3)])
    assert joined.text.tolist() == [[1, 0, 0], [2, 2, 2]]
    assert joined.text_mask.tolist() == [[True, False, False], [True] * 3]
    assert len(joined) == 2
    chosen = joined.select(torch.tensor([1, 1, 0]))
    assert chosen.state.tolist() == [[2.0], [2.0], [1.0]] and chosen.images[2, 0, 0, 0, 0] == 1


def test_the_dummy_probability_is_the_sigmoid_of_its_logit_and_bins_share_the_rest():
    log_probs = join_dummy(torch.tensor([[0.0, np.log(3.0)]]), torch.tensor([np.log(4.0)]))
    torch.testing.assert_close(log_probs.exp(), torch.tensor([[0.05, 0.15, 0.8]]))
    torch.testing.assert_close(renormalise_bins(log_probs).exp(), torch.tensor([[0.25, 0.75]]))


def random_logits() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.randn(6, 2, 5, generator=generator), 3 * torch.randn(6, 2, generator=generator)


def test_the_centred_dummy_logit_is_that_of_a_plain_softmax_measured_from_the_bins():
    bins, dummy = random_logits()
    plain = torch.cat([bins, (dummy + bins.logsumexp(-1))[..., None]], -1).log_softmax(-1)
    torch.testing.assert_close(join_dummy(bins, dummy), plain, atol=1e-5, rtol=1e-5)


def test_the_dummy_form_falls_apart_into_the_loss_of_a_value_and_a_weighted_loss_over_the_bins():
    bins, dummy = (logits.requires_grad_() for logits in random_logits())
    generator = torch.Generator().manual_seed(1)
    target, chosen = torch.rand(6, 2, generator=generator), torch.randint(5, (6, 2), generator=generator)
    loss, _ = q_loss(join_dummy(bins, dummy), chosen, target, remainder="dummy")
    of_value = functional.binary_cross_entropy_with_logits(-dummy, target)
    of_bins = (target * functional.cross_entropy(bins.movedim(-1, 1), chosen, reduction="none")).mean()
    torch.testing.assert_close(loss, of_value + of_bins)
    by_loss, by_parts = (torch.autograd.grad(one, [bins, dummy]) for one in (loss, of_value + of_bins))
    for one, other in zip(by_loss, by_parts, strict=True):
        torch.testing.assert_close(one, other)


def test_extreme_logits_stay_finite():
    log_probs = join_dummy(torch.tensor([[500.0, -500.0]]), torch.tensor([200.0]))
    assert log_probs.isfinite().all() and renormalise_bins(log_probs).isfinite().all()


def test_states_are_normalised_clipped_and_a_still_dimension_is_not_blown_up():
    states = np.array([[1.0, 5.0], [3.0, 5.0]])
    statistics = StateStatistics.from_states(states)
    assert statistics == StateStatistics((2.0, 5.0), (1.0, 0.0))
    normalised = StateNormalizer(statistics)(torch.tensor([[3.0, 5.001], [40.0, 5.0]]))
    torch.testing.assert_close(normalised, torch.tensor([[1.0, 1.0], [10.0, 0.0]]), atol=1e-3, rtol=0)


def test_statistics_with_nan_are_refused():
    with pytest.raises(NotFinite):
        StateStatistics.from_states(np.array([[np.nan], [1.0]]))


def test_settings_and_specification_survive_a_json_file():
    settings = ModelSettings(cameras=("front",), image_size=(64, 48), channels=16)
    assert ModelSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    assert ScorerSpec.from_json(json.loads(json.dumps(SPEC.to_json()))) == SPEC


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"family": "transformers"}, "a hub name or a local folder"),
        ({"source": "somewhere"}, "takes no source"),
        ({"width": 100}, "multiple of 8"),
        ({"channels": 2}, "channels must be at least 8"),
        ({"lora_rank": 4}, "no LoRA"),
        ({"image_size": (8, 64)}, "at least 16 pixels"),
    ],
)
def test_settings_that_contradict_each_other_or_leave_their_range_are_refused(settings, words):
    with pytest.raises(InvalidSetting, match=words):
        ModelSettings(**settings)


def test_unknown_families_and_settings_are_refused_with_the_nearest_name():
    with pytest.raises(UnknownName, match="Did you mean 'transformers'"):
        ModelSettings(family="transformer")
    with pytest.raises(UnknownName, match="Did you mean 'channels'"):
        ModelSettings.from_json({"chanels": 3})


def test_importing_the_package_and_its_settings_loads_no_torch():
    program = "import sys, vlm_qsft.model, vlm_qsft.model.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
