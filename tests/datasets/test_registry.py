"""Formats are found by looking at a folder, and mappings by the name of the data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from qsft_datasets.registry import SOURCES, find_source, missing_package
from qsft_datasets.shipped import matches, shipped_files, shipped_mapping
from vlm_qsft.errors import DatasetError, MissingDependency

from . import scripted_source
from .scripted_source import ScriptedSource


@pytest.fixture
def scripted_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(SOURCES):
        monkeypatch.delitem(SOURCES, name)
    monkeypatch.setitem(SOURCES, "scripted", scripted_source.__name__)


@pytest.mark.usefixtures("scripted_only")
def test_a_folder_is_opened_by_the_format_that_recognises_it(source: ScriptedSource) -> None:
    assert find_source(source.root).description == replace(source.description)


@pytest.mark.usefixtures("scripted_only")
def test_a_folder_of_no_known_format_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is none of: scripted"):
        find_source(tmp_path)
    with pytest.raises(DatasetError, match="does not exist"):
        find_source(tmp_path / "nowhere")


def test_a_folder_of_two_formats_is_refused(source: ScriptedSource, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(SOURCES):
        monkeypatch.delitem(SOURCES, name)
    for name in ("one", "other"):
        monkeypatch.setitem(SOURCES, name, scripted_source.__name__)
    with pytest.raises(DatasetError, match="looks like one and other"):
        find_source(source.root)


def test_a_missing_optional_package_names_its_extra() -> None:
    with pytest.raises(MissingDependency, match=r"needs the package h5py: pip install 'vlm-qsft\[hdf5\]'"):
        raise missing_package(ModuleNotFoundError("No module named 'h5py'", name="h5py"))
    with pytest.raises(ModuleNotFoundError):
        missing_package(ModuleNotFoundError("No module named 'vlm_qsft.x'", name="vlm_qsft.x"))


@pytest.mark.parametrize("stem", shipped_files())
def test_every_shipped_mapping_is_complete(stem: str) -> None:
    assert shipped_mapping(stem).name


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("bridge_dataset", "Bridge_Dataset", True),
        ("bridge_dataset", "bridge_dataset_2", False),
        ("libero_*", "libero_10_no_noops", True),
    ],
)
def test_names_of_mappings_may_be_patterns(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected
