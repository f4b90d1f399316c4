"""Every kind of feature that TFDS has, in records made by hand: declared type in, the same bits out."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from qsft_datasets.rlds import RldsSource
from qsft_datasets.source import SourceEpisode
from vlm_qsft.errors import DatasetError

from .handmade import (
    CLASSES,
    feature_dict,
    image,
    sequence,
    slow_example,
    steps,
    tensor,
    text,
    write_folder,
)

TWO_FLAGS = {"steps/is_first": ("int", [1, 0])}


def read_one(folder: Path, of_steps: dict, record: dict, of_episode: dict | None = None) -> SourceEpisode:
    """The one episode of a folder whose record was made by the slow encoder; two steps unless the record says else."""
    features = {"steps": steps({"is_first": tensor("bool"), **of_steps}), **(of_episode or {})}
    write_folder(folder, features, [[slow_example({**TWO_FLAGS, **record})]])
    source = RldsSource(folder)
    return source.read(source.references()[0])


@pytest.mark.parametrize(
    ("dtype", "kind", "values"),
    [
        ("bool", "int", [1, 0]),
        ("int8", "int", [-128, 127]),
        ("int32", "int", [-(2**31), 2**31 - 1]),
        ("int64", "int", [-(2**63), 2**63 - 1]),
        ("uint8", "int", [0, 255]),
        ("uint16", "int", [0, 65535]),
        ("uint32", "int", [0, 2**32 - 1]),
        ("float32", "float", [0.1, -3e38]),
        ("float16", "float", [0.5, -65504.0]),
        ("float64", "float", [0.5, -2.0]),
    ],
)
def test_plain_numbers_come_in_their_declared_type(tmp_path: Path, dtype: str, kind: str, values: list) -> None:
    found = read_one(tmp_path, {"x": tensor(dtype)}, {"steps/x": (kind, values)}).steps["x"]
    assert isinstance(found, np.ndarray)
    assert found.dtype == dtype
    assert found.tolist() == np.array(values, dtype).tolist()


def test_uint64_comes_back_from_the_int64_that_holds_its_bits(tmp_path: Path) -> None:
    found = read_one(tmp_path, {"x": tensor("uint64")}, {"steps/x": ("int", [2**64 - 1, 5])}).steps["x"]
    assert np.asarray(found).tolist() == [2**64 - 1, 5]


@pytest.mark.parametrize("encoding", ["bytes", "zlib"])
@pytest.mark.parametrize("dtype", ["float64", "float16", "float32", "int16", "uint8", "bool", "uint64"])
def test_encoded_tensors_are_equal_bit_for_bit(tmp_path: Path, dtype: str, encoding: str) -> None:
    rng = np.random.default_rng(0)
    values = (rng.integers(0, 2, (2, 3, 2)) if dtype == "bool" else rng.normal(size=(2, 3, 2)) * 50).astype(dtype)
    raw = [value.tobytes() for value in values]
    stored = [zlib.compress(value) for value in raw] if encoding == "zlib" else raw
    found = read_one(tmp_path, {"x": tensor(dtype, 3, 2, encoding=encoding)}, {"steps/x": ("bytes", stored)}).steps["x"]
    assert isinstance(found, np.ndarray)
    assert found.dtype == values.dtype
    assert found.tobytes() == values.tobytes()


def test_bfloat16_becomes_the_float32_of_the_same_value(tmp_path: Path) -> None:
    as_bytes = struct.pack("<4H", 0x3F80, 0xC040, 0x0001, 0x7F7F)
    found = read_one(
        tmp_path, {"x": tensor("bfloat16", 2, encoding="bytes")}, {"steps/x": ("bytes", [as_bytes[:4], as_bytes[4:]])}
    )
    smallest, largest = 2.0**-133, (2 - 2.0**-7) * 2.0**127
    assert np.asarray(found.steps["x"]).tolist() == [[1.0, -3.0], [smallest, largest]]
    assert np.asarray(found.steps["x"]).dtype == np.float32


def test_a_dictionary_of_actions_keeps_its_levels(tmp_path: Path) -> None:
    action = feature_dict({"world": tensor("float32", 2), "gripper": feature_dict({"open": tensor("bool")})})
    record = {"steps/action/world": ("float", [1, 2, 3, 4]), "steps/action/gripper/open": ("int", [0, 1])}
    found = read_one(tmp_path, {"action": action}, record).steps
    assert np.asarray(found["action/world"]).tolist() == [[1, 2], [3, 4]]
    assert np.asarray(found["action/gripper/open"]).tolist() == [False, True]


def test_texts_labels_boxes_audio_and_translations(tmp_path: Path) -> None:
    kinds = {
        "said": text(),
        "label": {"pythonClassName": f"{CLASSES}.class_label_feature.ClassLabel", "classLabel": {"numClasses": "3"}},
        "box": {
            "pythonClassName": f"{CLASSES}.bounding_boxes.BBoxFeature",
            "boundingBox": {"shape": {"dimensions": ["4"]}, "dtype": "float32"},
        },
        "both": {
            "pythonClassName": f"{CLASSES}.translation_feature.Translation",
            "translation": {"languages": ["en", "de"]},
        },
    }
    audio = {"shape": {"dimensions": ["-1"]}, "dtype": "int64", "sampleRate": "16000", "encoding": "NONE"}
    record = {
        "steps/said": ("bytes", [b"pick", "würfel".encode()]),
        "steps/label": ("int", [2, 0]),
        "steps/box": ("float", [0, 0, 0.5, 0.5, 0, 0, 1, 1]),
        "steps/both/en": ("bytes", [b"a", b"b"]),
        "steps/both/de": ("bytes", [b"c", b"d"]),
        "sound": ("int", [5, -5, 7]),
    }
    found = read_one(
        tmp_path, kinds, record, {"sound": {"pythonClassName": f"{CLASSES}.audio_feature.Audio", "audio": audio}}
    )
    assert found.steps["said"] == ["pick", "würfel"]
    assert np.asarray(found.steps["label"]).tolist() == [2, 0]
    assert np.asarray(found.steps["box"]).shape == (2, 4)
    assert (found.steps["both/en"], found.steps["both/de"]) == (["a", "b"], ["c", "d"])
    assert np.asarray(found.episode["sound"]).tolist() == [5, -5, 7]


def test_a_text_that_is_no_utf8_stays_bytes(tmp_path: Path) -> None:
    assert read_one(tmp_path, {"x": text()}, {"steps/x": ("bytes", [b"a", b"\xff\0"])}).steps["x"] == [b"a", b"\xff\0"]


def test_pictures_stay_as_they_are_encoded_with_every_last_zero(tmp_path: Path) -> None:
    pictures = [b"\xff\xd8\xff one\0\0", b"\x89PNG two\0"]
    found = read_one(tmp_path, {"eye": image(8, 9, 3)}, {"steps/eye": ("bytes", pictures)})
    assert found.steps["eye"] == pictures


def test_ragged_sequences_of_a_step_keep_their_lengths(tmp_path: Path) -> None:
    kinds = {
        "points": sequence(tensor("float32", 2)),
        "words": sequence(text()),
        "deep": sequence(sequence(tensor("int64"))),
    }
    record = {
        "steps/points/ragged_flat_values": ("float", [1, 2, 3, 4, 5, 6]),
        "steps/points/ragged_row_lengths_0": ("int", [0, 3]),
        "steps/words/ragged_flat_values": ("bytes", [b"a", b"b", b"c"]),
        "steps/words/ragged_row_lengths_0": ("int", [2, 1]),
        "steps/deep/ragged_flat_values": ("int", [7, 8, 9]),
        "steps/deep/ragged_row_lengths_0": ("int", [2, 1]),
        "steps/deep/ragged_row_lengths_1": ("int", [0, 2, 1]),
    }
    found = read_one(tmp_path, kinds, record).steps
    points, words, deep = (np.asarray(found[name]) for name in ("points", "words", "deep"))
    assert (points[0].shape, points[1].tolist()) == ((0, 2), [[1, 2], [3, 4], [5, 6]])
    assert words.tolist() == [("a", "b"), ("c",)]
    assert [[row.tolist() for row in step] for step in deep] == [[[], [7, 8]], [[9]]]


@pytest.mark.parametrize("ragged", [False, True], ids=["plain", "with row lengths"])
def test_sequences_of_fixed_length_are_an_axis(tmp_path: Path, ragged: bool) -> None:
    record = {"steps/x": ("int", [1, 2, 3, 4, 5, 6])}
    if ragged:
        record = {"steps/x/ragged_flat_values": record["steps/x"], "steps/x/ragged_row_lengths_0": ("int", [3, 3])}
    found = read_one(tmp_path, {"x": sequence(tensor("int64"), 3)}, record).steps["x"]
    assert np.asarray(found).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_tensors_with_varying_axes_have_their_shapes_beside_them(tmp_path: Path) -> None:
    first, second = np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((0, 3), np.float32)
    kinds = {"two": tensor("float32", -1, -1, encoding="zlib"), "one": tensor("float32", -1, 3, encoding="bytes")}
    record = {
        "steps/two/value": ("bytes", [zlib.compress(first.tobytes()), zlib.compress(second.tobytes())]),
        "steps/two/shape": ("int", [2, 3, 0, 3]),
        "steps/one": ("bytes", [first.tobytes(), second.tobytes()]),
    }
    found = read_one(tmp_path, kinds, record).steps
    for name in ("two", "one"):
        values = np.asarray(found[name])
        assert [value.shape for value in values] == [(2, 3), (0, 3)]
        assert values[0].tolist() == first.tolist()


def test_a_video_is_a_sequence_of_pictures(tmp_path: Path) -> None:
    video = {"shape": {"dimensions": ["-1", "4", "4", "3"]}, "dtype": "uint8", "encodingFormat": "png"}
    node = {"pythonClassName": f"{CLASSES}.video_feature.Video", "video": video}
    record = {
        "steps/clip/ragged_flat_values": ("bytes", [b"1", b"2", b"3"]),
        "steps/clip/ragged_row_lengths_0": ("int", [1, 2]),
        "whole": ("bytes", [b"4", b"5"]),
    }
    found = read_one(tmp_path, {"clip": node}, record, {"whole": node})
    assert np.asarray(found.steps["clip"]).tolist() == [(b"1",), (b"2", b"3")]
    assert np.asarray(found.episode["whole"]).tolist() == [b"4", b"5"]
    kinds = {feature.path: (feature.kind, feature.shape) for feature in RldsSource(tmp_path).description.features}
    assert kinds["clip"] == kinds["whole"] == ("bytes", (None, 4, 4, 3))


def test_features_of_the_episode_are_scalars_arrays_and_texts(tmp_path: Path) -> None:
    kinds = {
        "episode_metadata": feature_dict(
            {"path": text(), "good": tensor("bool"), "pose": tensor("float64", 2, encoding="bytes")}
        ),
        "scores": sequence(tensor("float32")),
        "names": sequence(text()),
        "icon": image(2, 2, 3),
        "maybe": {**tensor("int32"), "tensor": {**tensor("int32")["tensor"], "optional": True}},
    }
    record = {
        "episode_metadata/path": ("bytes", [b"a/b"]),
        "episode_metadata/good": ("int", [1]),
        "episode_metadata/pose": ("bytes", [struct.pack("<2d", 0.1, 0.2)]),
        "scores": ("float", [1, 2, 3]),
        "names": ("bytes", [b"x", b"y"]),
        "icon": ("bytes", [b"\x89PNG\0"]),
    }
    found = read_one(tmp_path, {}, record, kinds).episode
    assert found["episode_metadata/path"] == "a/b"
    assert found["episode_metadata/good"] is True
    assert np.asarray(found["episode_metadata/pose"]).tolist() == [0.1, 0.2]
    assert np.asarray(found["scores"]).tolist() == [1, 2, 3]
    assert np.asarray(found["names"]).tolist() == ["x", "y"]
    assert np.asarray(found["icon"]).item() == b"\x89PNG\0"
    assert "maybe" not in found


def test_an_optional_feature_that_is_there_is_given(tmp_path: Path) -> None:
    kind = {**tensor("int32"), "tensor": {**tensor("int32")["tensor"], "optional": True}}
    assert read_one(tmp_path, {}, {"maybe": ("int", [-4])}, {"maybe": kind}).episode["maybe"] == -4


def test_an_episode_without_steps_has_length_0(tmp_path: Path) -> None:
    found = read_one(tmp_path, {"x": tensor("float32", 7)}, {"steps/is_first": ("int", []), "steps/x": ("float", [])})
    assert found.length == 0
    assert np.asarray(found.steps["x"]).shape == (0, 7)


@pytest.mark.parametrize("nested_text", [True, False], ids=["content as text", "content as object"])
def test_the_features_json_of_old_tfds_says_the_same(tmp_path: Path, nested_text: bool) -> None:
    def old(short: str, content: dict) -> dict:
        return {"type": f"{CLASSES}.x.{short}", "content": json.dumps(content) if nested_text else content}

    action = old("Tensor", {"shape": [2], "dtype": "float32", "encoding": "none"})
    eye = old("Image", {"shape": [None, None, 3], "dtype": "uint8", "encoding_format": "png"})
    inner = old("FeaturesDict", {"action": action, "eye": eye, "said": old("Text", {})})
    features = old("FeaturesDict", {"steps": old("Dataset", {"feature": inner, "length": None})})
    record = {
        "steps/action": ("float", [1, 2, 3, 4]),
        "steps/eye": ("bytes", [b"p", b"q"]),
        "steps/said": ("bytes", [b"a", b"b"]),
    }
    write_folder(tmp_path, {}, [[slow_example(record)]])
    (tmp_path / "features.json").write_text(json.dumps(features))
    source = RldsSource(tmp_path)
    found = source.read(source.references()[0]).steps
    assert np.asarray(found["action"]).tolist() == [[1, 2], [3, 4]]
    assert (found["eye"], found["said"]) == ([b"p", b"q"], ["a", "b"])


@pytest.mark.parametrize(
    ("kind", "record", "message"),
    [
        (
            tensor("float32", 2),
            {"steps/x": ("float", [1, 2, 3])},
            "'steps/x': its 3 values are no whole number of steps",
        ),
        (tensor("float32", 2), {"steps/x": ("float", [1, 2])}, "'steps/is_first' has 2 steps; 'steps/x' has 1 steps"),
        (tensor("float32"), {"steps/x": ("int", [1, 2])}, "'steps/x': it holds int64; declared is float32"),
        (tensor("float32"), {"steps/x": ("bytes", [b"a", b"b"])}, "'steps/x': it holds bytes; declared is float32"),
        (tensor("uint8"), {"steps/x": ("int", [1, 256])}, "it holds 1 to 256; uint8 reaches from 0 to 255"),
        (tensor("bool"), {"steps/x": ("int", [1, 2])}, "bool reaches from 0 to 1"),
        (tensor("float32"), {}, "'steps/x': the record does not have it"),
        (text(), {"steps/x": ("int", [1, 2])}, "it holds int64; declared is text"),
        (
            tensor("int16", 2, encoding="bytes"),
            {"steps/x": ("bytes", [b"abcd", b"abc"])},
            r"has 3 bytes; int16 \(2,\) has 4",
        ),
        (tensor("int16", -1, encoding="bytes"), {"steps/x": ("bytes", [b"abcd", b"abc"])}, "no whole number of int16"),
        (tensor("bool", 1, encoding="bytes"), {"steps/x": ("bytes", [b"\0", b"\2"])}, "a byte 2; a bool is 0 or 1"),
        (tensor("int8", 1, encoding="zlib"), {"steps/x": ("bytes", [b"abcd", b""])}, "no zlib stream"),
        (tensor("int8", 1, encoding="zlib"), {"steps/x": ("bytes", [zlib.compress(b"a")[:-2]] * 2)}, "truncated zlib"),
        (
            tensor("int8", 1, encoding="zlib"),
            {"steps/x": ("bytes", [zlib.compress(bytes(10**6))] * 2)},
            "more than the 1 bytes",
        ),
        (
            tensor("int8", -1, -1, encoding="bytes"),
            {"steps/x/value": ("bytes", [b"abcd", b"ab"]), "steps/x/shape": ("int", [2, 2, 2, 2])},
            r"an element of 2 numbers says its shape is \(2, 2\)",
        ),
        (
            sequence(tensor("int64")),
            {"steps/x/ragged_flat_values": ("int", [1, 2]), "steps/x/ragged_row_lengths_0": ("int", [1, 2])},
            r"'steps/x': 2 numbers do not fill the shape \(3,\)",
        ),
        (
            sequence(tensor("int64")),
            {"steps/x/ragged_flat_values": ("int", [1, 2]), "steps/x/ragged_row_lengths_0": ("int", [3, -1])},
            "do not fit 2 rows",
        ),
        (
            sequence(tensor("int64"), 2),
            {"steps/x/ragged_flat_values": ("int", [1, 2, 3]), "steps/x/ragged_row_lengths_0": ("int", [2, 1])},
            "a row has 1 elements; declared are 2",
        ),
    ],
)
def test_a_record_that_is_not_as_declared_is_refused(tmp_path: Path, kind: dict, record: dict, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        read_one(tmp_path, {"x": kind}, record)
    assert f"{tmp_path}/made-train.tfrecord-00000-of-00001, record 0: " in str(caught.value)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            {"pythonClassName": "my.Own", "jsonFeature": {"json": "{}"}},
            "feature 'steps/x' is a my.Own; this reader knows",
        ),
        (tensor("complex64"), "'steps/x' has type 'complex64'"),
        (tensor("float32", encoding="gzip"), "'steps/x' is encoded as 'gzip'"),
        (tensor("float32", -2), "an axis of -2"),
        (tensor("float32", -1, -1), "several varying axes and no encoding"),
        (tensor("float32", 2**30, 2**30), "more than 1099511627776 numbers"),
        (image(4, 4), r"shape \(4, 4\); expected \(height, width, channels\)"),
        (image(4, 4, 3, dtype="string"), "'steps/x' is a picture of texts"),
        (sequence(tensor("float32"), 0), "a sequence of 0"),
    ],
)
def test_a_feature_that_nobody_could_read_is_refused_by_name(tmp_path: Path, node: dict, message: str) -> None:
    write_folder(tmp_path, {"steps": steps({"x": node})}, [[]])
    with pytest.raises(DatasetError, match=message) as caught:
        RldsSource(tmp_path)
    assert "features.json" in str(caught.value)
