"""One finalized data set of six scripted episodes, shared by the tests that only read."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm_qsft.data import DatasetReader, write_episodes

from .scripted import LABELS, SCHEMA, scripted_episode


@pytest.fixture(scope="session")
def dataset_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scripted") / "set"
    write_episodes(root, SCHEMA, list(range(6)), scripted_episode, labels=LABELS)
    return root


@pytest.fixture
def reader(dataset_root: Path) -> DatasetReader:
    return DatasetReader(dataset_root)
