"""A mapping fits a source only if every address exists and every feature is spoken for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qsft_datasets.coverage import check_fit
from qsft_datasets.mapping import CameraMapping, Mapping, OutcomeMapping, VectorPart
from qsft_datasets.source import SourceFeature
from vlm_qsft.errors import DatasetError, InvalidSetting, UnknownName

from .scripted_source import FEATURES, ScriptedSource


def test_the_mapping_of_the_scripted_set_fits(source: ScriptedSource, mapping: Mapping) -> None:
    check_fit(mapping, source.description)


def test_a_feature_that_nothing_speaks_for_is_refused_by_name(source: ScriptedSource, mapping: Mapping) -> None:
    with pytest.raises(DatasetError, match=r"nothing about 2 of the 10 features of 'scripted': is_first; joint\."):
        check_fit(replace(mapping, keep={}, ignore={}), source.description)


def test_columns_that_are_left_over_are_refused(source: ScriptedSource, mapping: Mapping) -> None:
    part = VectorPart("action", ("dx", "grip"), columns=(0, 3), meaning="delta")
    with pytest.raises(DatasetError, match=r"action \(columns 1, 2\)"):
        check_fit(replace(mapping, action=(part,)), source.description)
    check_fit(replace(mapping, action=(part,), ignore={**mapping.ignore, "action": "planar task"}), source.description)


def test_an_address_that_does_not_exist_is_refused_with_the_nearest(source: ScriptedSource, mapping: Mapping) -> None:
    with pytest.raises(UnknownName, match=r"'rewards' is not known in scripted.*Did you mean 'reward'\?"):
        check_fit(replace(mapping, reward="rewards"), source.description)


def test_a_mapping_for_another_format_is_refused_and_a_family_of_formats_fits(
    source: ScriptedSource, mapping: Mapping
) -> None:
    with pytest.raises(DatasetError, match="made for lerobot; 'scripted' is rlds"):
        check_fit(replace(mapping, format="lerobot"), source.description)
    description = replace(source.description, format="lerobot-v2.1")
    check_fit(replace(mapping, format="lerobot"), description)


MISFITS = {
    "a number as a camera": (
        lambda m: replace(m, cameras=(CameraMapping("a", "action"),)),
        "expected pictures or video",
    ),
    "a picture as an action": (
        lambda m: replace(m, action=(VectorPart("observation/wrist", ("a",), meaning="delta"),)),
        "expected a feature of kind number",
    ),
    "too few names": (
        lambda m: replace(m, action=(VectorPart("action", ("a", "b"), meaning="delta"),)),
        "expected 4 names; the mapping gives 2",
    ),
    "a column that is not there": (
        lambda m: replace(m, action=(VectorPart("action", ("a",), columns=(4,), meaning="delta"),)),
        "expected columns 0 to 3",
    ),
    "a vector as a reward": (lambda m: replace(m, reward="joint"), "expected one number per step"),
    "a number as an instruction": (lambda m: replace(m, instruction="reward"), "expected a feature of kind text"),
    "a value per step as an attribute": (
        lambda m: replace(m, attributes={"a": "reward"}),
        "expected one value per episode",
    ),
    "a value per episode as a column": (
        lambda m: replace(m, keep={"a": "episode_metadata/scene"}),
        "expected numbers of every step; use attributes",
    ),
    "a value per step as an outcome of the episode": (
        lambda m: replace(m, outcome=OutcomeMapping("flag", "is_terminal", where="episode")),
        "where: episode for a value per episode",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_feature_of_another_kind_is_refused(source: ScriptedSource, mapping: Mapping, name: str) -> None:
    change, message = MISFITS[name]
    with pytest.raises(InvalidSetting, match=message):
        check_fit(change(mapping), source.description)


def test_a_vector_whose_size_varies_cannot_be_kept(source: ScriptedSource, mapping: Mapping) -> None:
    ragged = SourceFeature("points", "number", "float32", (None, 3))
    description = replace(source.description, features=(*FEATURES, ragged))
    with pytest.raises(InvalidSetting, match=r"keep 'points' names 'points' \(number, float32, \? x 3, per step\)"):
        check_fit(replace(mapping, keep={**mapping.keep, "points": "points"}), description)
