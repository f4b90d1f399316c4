"""A folder of the scripted format, and its mapping."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qsft_datasets.mapping import Mapping
from qsft_datasets.mapping_file import parse_mapping

from .scripted_source import MAPPING, ScriptedSource


@pytest.fixture
def mapping() -> Mapping:
    return parse_mapping(MAPPING, "scripted.yaml")


@pytest.fixture
def source(tmp_path: Path) -> ScriptedSource:
    root = tmp_path / "logs"
    root.mkdir()
    (root / "scripted.json").write_text(json.dumps({"episodes": 6}))
    return ScriptedSource(root)
