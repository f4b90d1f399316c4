"""Policy settings are validated and survive a file."""

from __future__ import annotations

import json

import pytest

from vlm_qsft.errors import InvalidSetting, UnknownName
from vlm_qsft.policy import PolicySettings

NAN = float("nan")


def test_settings_survive_a_trip_through_a_file():
    settings = PolicySettings("single", temperature=0.3, inverse_temperature=0.0, support=0.1)
    assert PolicySettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_an_unknown_extraction_lists_the_extractions():
    with pytest.raises(UnknownName, match="likelihood, power, ratio, sft, single"):
        PolicySettings("ratios")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": -0.1},
        {"temperature": NAN},
        {"inverse_temperature": float("inf")},
        {"support": -0.1},
        {"support": NAN},
        {"support": float("inf")},
        {"candidates": 0},
        {"candidates": 2.0},
        {"candidates": True},
        {"candidates": 2000},
        {"repeats": 1},
        {"symmetries": 0},
        {"candidates": 2, "temperature": 0.0},
    ],
)
def test_a_number_outside_its_range_is_refused(change):
    with pytest.raises(InvalidSetting, match=next(iter(change))):
        PolicySettings(**change)


def test_a_file_with_an_unknown_field_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'temperature'"):
        PolicySettings.from_json({"temperatur": 0.5})


def test_a_file_with_a_text_where_a_number_belongs_is_refused():
    with pytest.raises(InvalidSetting, match="wrong type"):
        PolicySettings.from_json({"temperature": "warm"})


@pytest.mark.parametrize(
    ("extraction", "behavior", "q_model"),
    [("sft", True, False), ("ratio", True, True), ("likelihood", True, True), ("single", False, True)],
)
def test_each_extraction_says_which_networks_it_needs(extraction, behavior, q_model):
    settings = PolicySettings(extraction)
    assert (settings.needs_behavior, settings.needs_q_model) == (behavior, q_model)
