"""Real robomimic files beside the repository, held against h5py array by array."""

from __future__ import annotations

import pickle
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np
import pytest

from qsft_datasets.hdf5 import open_source, recognise

from .writing import group

SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "data" / "hdf5"
pytestmark = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="The third-party samples are not beside this repository (../shared/data/hdf5)."
)
LOW_DIM = SAMPLES / "tfds_robomimic_ph" / "lift_low_dim.hdf5"
IMAGE = SAMPLES / "tfds_robomimic_mh" / "lift_image.hdf5"


def arrays_by_visiting(demo: h5py.Group) -> dict[str, h5py.Dataset]:
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, thing: h5py.Group | h5py.Dataset) -> None:
        if isinstance(thing, h5py.Dataset):
            found[name] = thing

    demo.visititems(visit)
    return found


@pytest.mark.parametrize("path", [LOW_DIM, IMAGE], ids=["low_dim", "image"])
def test_every_array_of_the_samples_is_read_bit_for_bit(path: Path) -> None:
    source = pickle.loads(pickle.dumps(open_source(path)))
    references = source.references()
    with h5py.File(path) as file:
        assert [reference.position[0] for reference in references] == [
            f"data/{name}" for name in sorted(group(file, "data"))
        ]
        for reference in references:
            episode = source.read(reference)
            found = arrays_by_visiting(group(file, str(reference.position[0])))
            assert set(episode.steps) == set(found)
            for name, values in episode.steps.items():
                assert isinstance(values, np.ndarray)
                assert values.dtype == found[name].dtype
                assert values.tobytes() == found[name][()].tobytes()
                assert len(values) == episode.length
            assert episode.episode["attributes/demo/num_samples"] == episode.length


def test_the_samples_are_described_by_their_own_declarations() -> None:
    description = open_source(IMAGE).description
    assert (description.format, description.fps, description.name) == ("hdf5-robomimic", None, "lift_image")
    assert description.feature("obs/agentview_image").kind == "image"
    assert description.feature("obs/agentview_image").shape == (84, 84, 3)
    assert description.feature("actions").dtype == "float64"
    assert isinstance(description.fps, Fraction | None)


def test_filter_keys_of_the_samples_become_splits_and_flags() -> None:
    source = open_source(LOW_DIM)
    assert [reference.split for reference in source.references()] == ["valid", "train"]
    assert source.read(source.references()[0]).episode["mask/valid"] is True
    assert source.read(source.references()[1]).episode["mask/valid"] is False


def test_a_folder_of_samples_is_recognised_and_numbered_by_file() -> None:
    assert recognise(SAMPLES)
    assert not recognise(SAMPLES.parent / "lerobot")
    assert [reference.key for reference in open_source(SAMPLES).references()] == [
        "tfds_robomimic_mh/lift_image.hdf5#demo_0",
        "tfds_robomimic_ph/lift_low_dim.hdf5#demo_0",
        "tfds_robomimic_ph/lift_low_dim.hdf5#demo_1",
    ]
