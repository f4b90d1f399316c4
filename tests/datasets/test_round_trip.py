"""LeRobot -> RLDS -> LeRobot by the commands that a user gives: the same numbers, pixels, labels and instructions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vlm_qsft.cli.main import main
from vlm_qsft.data import DatasetReader, write_episodes

from ..data.scripted import LABELS, SCHEMA, scripted_episode

SAMPLE = Path(__file__).resolve().parents[3] / "shared/data/rlds/bridge_dataset"
UNKNOWN = ("--outcome", "assume-failure")
NUMBERS = (
    "action",
    "observation.state",
    "next.reward",
    "next.terminated",
    "next.truncated",
    "mc_return",
    "next.success",
)


def qsft(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


def assert_same(one: DatasetReader, other: DatasetReader) -> None:
    assert (one.n_episodes, one.n_frames, one.schema.fps) == (other.n_episodes, other.n_frames, other.schema.fps)
    assert one.schema.state_names == other.schema.state_names
    assert one.schema.action_names == other.schema.action_names
    np.testing.assert_array_equal(one.episodes.length, other.episodes.length)
    np.testing.assert_array_equal(one.episodes.success, other.episodes.success)
    for key in NUMBERS:
        mine, theirs = one.stored_column(key), other.stored_column(key)
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs, err_msg=key)
    for row in range(one.n_frames):
        assert one.instruction(row) == other.instruction(row)
        mine, theirs = one.images(row), other.images(row)
        assert set(mine) == set(theirs)
        for camera in mine:
            np.testing.assert_array_equal(mine[camera], theirs[camera])


def there_and_back(begin: Path, folder: Path, *words: object) -> DatasetReader:
    """Export the data set, let a mapping be proposed for the export, and convert it by that."""
    qsft("convert", begin, folder / "rlds", "--to", "rlds", "--workers", 1)
    proposed = folder / "mapping.yaml"
    qsft("inspect", folder / "rlds", "--write-mapping", proposed)
    # What an export does not say.
    text = proposed.read_text()
    for place, word in (("meaning", "delta"), ("open", "1"), ("closed", "0")):
        text = text.replace(f"{place}: decide", f"{place}: {word}")
    proposed.write_text(text)
    qsft("convert", folder / "rlds", folder / "back", "--mapping", proposed, "--workers", 1, *words)
    return DatasetReader(folder / "back")


def test_a_data_set_comes_back_from_rlds_with_the_same_numbers_and_pixels(tmp_path: Path) -> None:
    write_episodes(tmp_path / "set", SCHEMA, list(range(6)), scripted_episode, labels=LABELS)
    assert_same(DatasetReader(tmp_path / "set"), there_and_back(tmp_path / "set", tmp_path, "--gamma", LABELS.gamma))


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="The samples are not beside this repository (../shared/data).")
def test_bridge_comes_back_from_rlds_with_the_same_numbers_and_pixels(tmp_path: Path) -> None:
    qsft("convert", SAMPLE, tmp_path / "set", "--workers", 1, *UNKNOWN)
    assert_same(DatasetReader(tmp_path / "set"), there_and_back(tmp_path / "set", tmp_path, *UNKNOWN))
