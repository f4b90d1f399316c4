"""The third-party samples, array by array: our reader against the protobuf package and features.json read naively."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qsft_datasets.rlds import open_source, recognise

from .test_example import EXAMPLE

SAMPLES = Path(__file__).resolve().parents[4] / "shared/data/rlds"
pytestmark = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="The third-party samples are not beside this repository (../shared/data/rlds)."
)
FOLDERS = ["bridge_dataset/1.0.0", "mt_opt_rlds/1.0.0", "tfds_bridge_dummy/1.0.0"]


def naive_records(path: Path) -> list[bytes]:
    content, records = path.read_bytes(), []
    while content:
        length = int.from_bytes(content[:8], "little")
        records.append(content[12 : 12 + length])
        content = content[16 + length :]
    return records


def naive_leaves(node: dict, name: str = "") -> dict[str, dict]:
    if "featuresDict" in node:
        parts = [naive_leaves(child, f"{name}/{key}") for key, child in node["featuresDict"]["features"].items()]
        return {key: leaf for part in parts for key, leaf in part.items()}
    if "sequence" in node:
        return naive_leaves(node["sequence"]["feature"], name)
    return {name[1:]: node}


def naive_values(feature, node: dict) -> list[bytes] | np.ndarray:
    """One feature of a record: bytes, or numbers (step, *shape)."""
    declared = node.get("tensor", {"dtype": "string"})
    kind = feature.WhichOneof("kind")
    values = list(getattr(feature, kind).value)
    if declared["dtype"] == "string":
        return values
    shape = [int(axis) for axis in declared["shape"].get("dimensions", [])]
    if kind == "bytes_list":
        raw = [zlib.decompress(value) if declared["encoding"] == "zlib" else value for value in values]
        return np.stack([np.frombuffer(value, declared["dtype"]).reshape(shape) for value in raw])
    return np.array(values).astype(declared["dtype"]).reshape(-1, *shape)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_array_of_every_record_equals_what_protobuf_reads(folder: str) -> None:
    source = open_source(SAMPLES / folder)
    leaves = naive_leaves(json.loads((SAMPLES / folder / "features.json").read_text()))
    references = source.references()
    files = list(dict.fromkeys(reference.file for reference in references))
    records = [record for file in files for record in naive_records(SAMPLES / folder / file)]
    assert len(records) == len(references)
    for reference, record in zip(references, records, strict=True):
        episode = source.read(reference)
        expected = EXAMPLE.FromString(record).features.feature
        assert set(expected) == set(leaves)
        for name, node in leaves.items():
            values = naive_values(expected[name], node)
            found: Any
            if name.startswith("steps/"):
                found = episode.steps[name.removeprefix("steps/")]
                assert len(found) == episode.length
            else:
                found = [episode.episode[name]]
            if isinstance(values, np.ndarray):
                found = np.asarray(found, None if name.startswith("steps/") else values.dtype)
                assert (found.dtype, found.shape) == (values.dtype, values.shape), name
                assert found.tobytes() == values.tobytes(), name
            else:
                assert [value.encode() if isinstance(value, str) else value for value in found] == values, name


def test_bridge_has_two_splits_of_25_episodes_with_a_language_embedding() -> None:
    source = open_source(SAMPLES / "bridge_dataset")
    references = source.references()
    assert [reference.split for reference in references] == ["train"] * 25 + ["val"] * 25
    episode = source.read(references[0])
    embedding = np.asarray(episode.steps["language_embedding"])
    assert (embedding.dtype, embedding.shape) == (np.float32, (10, 512))
    assert np.linalg.norm(embedding[0]) == pytest.approx(1.0, abs=1e-4)
    assert all(picture.startswith(b"\xff\xd8\xff") for picture in episode.steps["observation/image_0"])  # type: ignore[union-attr]


def test_mt_opt_has_a_dictionary_of_actions_and_jpegs_of_512_x_640() -> None:
    source = open_source(SAMPLES / "mt_opt_rlds")
    assert [source.read(reference).length for reference in source.references()] == [13, 20]
    paths = {feature.path: feature for feature in source.description.features}
    assert {"action/close_gripper", "action/target_pose", "action/terminate", "action/open_gripper"} <= paths.keys()
    assert (paths["observation/image"].kind, paths["observation/image"].shape) == ("image", (512, 640, 3))


def test_the_dummy_of_bridge_holds_png_and_an_empty_instruction() -> None:
    source = open_source(SAMPLES / "tfds_bridge_dummy")
    episode = source.read(source.references()[0])
    assert episode.steps["observation/image"][0].startswith(b"\x89PNG")  # type: ignore[union-attr]
    assert episode.steps["observation/natural_language_instruction"] == ["", "", ""]


def test_the_samples_are_recognised() -> None:
    assert all(recognise(SAMPLES / folder) and recognise((SAMPLES / folder).parent) for folder in FOLDERS)
