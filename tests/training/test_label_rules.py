"""Training takes data sets of every reward rule, with any gamma, and keeps counterfactual copies on one side."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qsft_datasets.labeling import LabelRequest, label_dataset
from vlm_qsft.data import DatasetReader
from vlm_qsft.training import train_behavior, train_q
from vlm_qsft.training.frame_table import FrameTable, read_frame_table
from vlm_qsft.training.phase_data import fit_tokenizer
from vlm_qsft.training.settings import TokenSettings
from vlm_qsft.training.splits import split_frames

from .recording import MODEL, SETTINGS, SETTINGS_Q, record

SHORT = replace(SETTINGS, steps=2)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("recorded") / "data")


@pytest.fixture(scope="module")
def behavior(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_behavior(recorded, MODEL, SHORT, tmp_path_factory.mktemp("run") / "behavior")


def labelled(recorded: Path, folder: Path, request: LabelRequest) -> Path:
    root = Path(shutil.copytree(recorded, folder / "data"))
    label_dataset(root, request)
    return root


def table_of(root: Path, gamma: float) -> FrameTable:
    reader = DatasetReader(root)
    return read_frame_table(reader, fit_tokenizer(reader, TokenSettings()), gamma=gamma)


@pytest.mark.parametrize("backup", ["monte_carlo", "nstep", "max"])
@pytest.mark.parametrize("rule", ["vgps", "recap"])
def test_the_q_phase_takes_every_rule(recorded: Path, behavior: Path, tmp_path: Path, rule: str, backup: str) -> None:
    root = labelled(recorded, tmp_path, LabelRequest(rule=rule, gamma=0.9, counterfactual=0.5))
    settings = replace(SETTINGS_Q, steps=2, backup=backup, n_step=2)
    assert (train_q(root, behavior, settings, tmp_path / "q") / "manifest.json").is_file()


def test_the_q_phase_takes_recap_without_discount(recorded: Path, behavior: Path, tmp_path: Path) -> None:
    """Its rewards are negative: a value near 0 leads below 0, which is no error of the scale."""
    root = labelled(recorded, tmp_path, LabelRequest(rule="recap", gamma=1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train_q(root, behavior, replace(SETTINGS_Q, steps=2, backup="behavior", gamma=1.0), tmp_path / "q")


@pytest.mark.parametrize("rule", ["binary01", "vgps", "recap"])
def test_returns_for_another_gamma_are_those_of_labelling_with_it(recorded: Path, tmp_path: Path, rule: str) -> None:
    root = labelled(recorded, tmp_path, LabelRequest(rule=rule, gamma=0.8))
    computed = table_of(root, 0.95)
    label_dataset(root, LabelRequest(gamma=0.95))
    np.testing.assert_allclose(computed.returns, DatasetReader(root).column("mc_return"), atol=1e-6)
    np.testing.assert_allclose(computed.reward, DatasetReader(root).column("next.reward"), atol=1e-6)


def test_a_copy_is_on_the_side_of_its_original(recorded: Path, tmp_path: Path) -> None:
    root = labelled(recorded, tmp_path, LabelRequest(rule="binary01", counterfactual=1.0))
    table = table_of(root, 0.9)
    assert table.recorded_as.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0, 2, 3, 5, 6]
    for seed in range(5):
        settings = replace(SETTINGS, validation_fraction=0.4, seed=seed, validation_frames=10_000)
        splits = split_frames(table, settings, weights="all")
        train, held_out = (
            set(table.recorded_as[table.episode[frames]].tolist()) for frames in (splits.train, splits.validation)
        )
        assert train & held_out == set()
        assert len(splits.train) + len(splits.validation) == len(table)
        before = split_frames(table_of(recorded, 0.9), settings, weights="all")
        assert set(before.validation) <= set(splits.validation)
