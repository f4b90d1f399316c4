"""TensorFlow Datasets reads the same from the same files. Runs where TensorFlow and tensorflow-datasets are installed.

`make test-optional` installs them beside the set-up and runs this file.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qsft_datasets.rlds import RldsSource
from qsft_datasets.rlds.picture_decoders import decode_like_tensorflow
from qsft_datasets.rlds.writer import write_rlds
from vlm_qsft.data import DatasetReader, write_episodes
from vlm_qsft.images import encode_jpeg, encode_png

from ...data.scripted import LABELS, SCHEMA, picture, scripted_episode
from .handmade import slow_tfrecord

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
NO_TENSORFLOW = "TensorFlow and tensorflow-datasets are not installed; `make test-optional` runs this test."
tf = pytest.importorskip("tensorflow", reason=NO_TENSORFLOW)
tfds = pytest.importorskip("tensorflow_datasets", reason=NO_TENSORFLOW)

SAMPLES = Path(__file__).resolve().parents[4] / "shared/data/rlds"
FOLDERS = ["bridge_dataset/1.0.0", "mt_opt_rlds/1.0.0", "tfds_bridge_dummy/1.0.0"]


def flat(tree: dict, prefix: str = "") -> dict:
    result = {}
    for name, value in tree.items():
        result |= flat(value, f"{prefix}{name}/") if isinstance(value, dict) else {prefix + name: value}
    return result


def tfds_episodes(folder: Path, split: str):
    """Every episode by TFDS: features of the steps stacked, and features of the episode."""
    builder = tfds.builder_from_directory(str(folder))
    for record in builder.as_dataset(split=split, shuffle_files=False):
        steps = [flat(step) for step in record.pop("steps").as_numpy_iterator()]
        columns = {name: [step[name] for step in steps] for name in steps[0]}
        yield columns, {name: value.numpy() for name, value in flat(record).items()}


def assert_equal(ours: Any, theirs: list[Any], name: str) -> int:
    """Compare one feature of one episode; returns how many arrays were compared."""
    if isinstance(ours, np.ndarray) and ours.dtype != object:
        stacked = np.stack(theirs)
        if stacked.dtype == tf.bfloat16.as_numpy_dtype:
            stacked = stacked.astype(np.float32)
        assert (stacked.dtype, stacked.shape) == (ours.dtype, ours.shape), name
        assert stacked.tobytes() == ours.tobytes(), name
        return 1
    assert len(ours) == len(theirs)
    for value, other in zip(ours, theirs, strict=True):
        if isinstance(value, np.ndarray):
            assert (value.dtype, value.shape, value.tobytes()) == (other.dtype, other.shape, other.tobytes()), name
        elif isinstance(value, tuple):
            assert [text.encode() for text in value] == list(other), name
        elif isinstance(other, np.ndarray) and other.dtype == np.uint8:
            assert np.array_equal(decode_like_tensorflow(value), other), name
        else:
            assert value == (str(other, "utf-8") if isinstance(value, str) else other), name
    return 1


def assert_folder_agrees(folder: Path) -> tuple[int, int]:
    source = RldsSource(folder)
    references = source.references()
    n_arrays = n_episodes = 0
    for split in dict.fromkeys(reference.split for reference in references):
        of_split = [reference for reference in references if reference.split == split]
        for reference, (steps, facts) in zip(of_split, tfds_episodes(folder, split), strict=True):
            ours = source.read(reference)
            assert ours.steps.keys() == steps.keys()
            n_arrays += sum(assert_equal(ours.steps[name], steps[name], name) for name in steps)
            assert ours.episode.keys() == {name for name, value in facts.items() if np.shape(value) != (0,)}
            for name, value in ours.episode.items():
                other: Any = facts[name][0] if np.shape(facts[name]) == (1,) else facts[name]
                assert value == (other.decode() if isinstance(other, bytes) else other), name
            n_episodes += 1
    return n_episodes, n_arrays


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="The third-party samples are not beside this repository.")
@pytest.mark.parametrize("folder", FOLDERS)
def test_the_samples_are_read_as_tfds_reads_them_pixels_included(folder: str) -> None:
    n_episodes, n_arrays = assert_folder_agrees(SAMPLES / folder)
    print(f"{folder}: {n_episodes} episodes, {n_arrays} arrays equal byte for byte")


def test_an_export_of_ours_is_loaded_by_builder_from_directory(tmp_path: Path) -> None:
    write_episodes(tmp_path / "set", SCHEMA, list(range(6)), scripted_episode, labels=LABELS)
    folder = write_rlds(tmp_path / "set", tmp_path / "my_export", shard_bytes=4000)
    assert assert_folder_agrees(folder)[0] == 6
    builder = tfds.builder_from_directory(str(folder))
    assert builder.info.splits["train"].num_examples == 6
    assert builder.info.metadata["vlm_qsft"]["fps"] == "5"
    reader = DatasetReader(tmp_path / "set")
    rewards = [step["reward"] for steps, _ in tfds_episodes(folder, "train") for step in [steps]]
    assert np.array_equal(np.concatenate(rewards), reader.column("next.reward"))


def test_every_kind_that_tfds_itself_serialises_is_read_as_tfds_reads_it(tmp_path: Path) -> None:
    kinds = tfds.features
    features = kinds.FeaturesDict(
        {
            "steps": kinds.Dataset(
                {
                    "bool": np.bool_,
                    **{name: getattr(np, name) for name in ("int8", "uint16", "int64", "uint64", "float16", "float32")},
                    "float64_plain": np.float64,
                    **{
                        f"{name}_{encoding}": kinds.Tensor(shape=(2, 3), dtype=getattr(np, name), encoding=encoding)
                        for name in ("float64", "float16", "int16", "uint8", "float32")
                        for encoding in ("bytes", "zlib")
                    },
                    "action": {"world": kinds.Tensor(shape=(3,), dtype=np.float32), "open": np.bool_},
                    "label": kinds.ClassLabel(num_classes=4),
                    "box": kinds.BBoxFeature(),
                    "said": kinds.Text(),
                    "jpeg": kinds.Image(shape=(16, 24, 3), encoding_format="jpeg"),
                    "png": kinds.Image(shape=(None, None, 3)),
                    "points": kinds.Sequence(kinds.Tensor(shape=(2,), dtype=np.float32)),
                    "words": kinds.Sequence(kinds.Text()),
                    "grid": kinds.Tensor(shape=(None, None), dtype=np.float64, encoding="zlib"),
                    "bfloat16": kinds.Tensor(shape=(3,), dtype=tf.bfloat16.as_numpy_dtype, encoding="bytes"),
                }
            ),
            "facts": {"name": kinds.Text(), "seed": np.int32, "good": np.bool_},
        }
    )
    generator = np.random.default_rng(0)

    def step(number: int) -> dict:
        def numbers(dtype: str, shape: tuple[int, ...] = ()) -> np.ndarray:
            return (np.asarray(generator.normal(size=shape)) * 50).astype(dtype)

        values = {
            "bool": bool(number % 2),
            "int8": np.int8(-number),
            "uint16": np.uint16(65535 - number),
            "int64": np.int64(-(2**63) + number),
            "uint64": np.uint64(2**64 - 1 - number),
            "float16": np.float16(0.1),
            "float32": np.float32(0.1),
            "float64_plain": 0.1,
            "action": {"world": numbers("float32", (3,)), "open": True},
            "label": number,
            "box": kinds.BBox(0.0, 0.1, 0.5, 0.6),
            "said": f"step {number} ü",
            "jpeg": encode_jpeg(picture(number, 3, (16, 24)), quality=90),
            "png": encode_png(picture(number, 3, (8, 8))),
            "points": numbers("float32", (number, 2)),
            "words": ["a", "ü"][: number % 3],
            "grid": numbers("float64", (number, 3)),
            "bfloat16": generator.normal(size=3).astype(tf.bfloat16.as_numpy_dtype),
        }
        for name in features["steps"].feature:
            if name.endswith(("_bytes", "_zlib")):
                values[name] = numbers(name.split("_")[0], (2, 3))
        return {name: io.BytesIO(value) if name in ("jpeg", "png") else value for name, value in values.items()}

    serializer = tfds.core.example_serializer.ExampleSerializer(features.get_serialized_info())
    records = [
        serializer.serialize_example(
            features.encode_example(
                {"steps": [step(place) for place in range(length)], "facts": {"name": "ä", "seed": -5, "good": True}}
            )
        )
        for length in (1, 4)
    ]
    features.save_config(str(tmp_path))
    (tmp_path / "kinds-train.tfrecord-00000-of-00001").write_bytes(slow_tfrecord(records))
    split = {"name": "train", "shardLengths": ["2"], "numBytes": "1"}
    info = {"name": "kinds", "version": "1.0.0", "fileFormat": "tfrecord", "splits": [split]}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    assert assert_folder_agrees(tmp_path)[0] == 2
