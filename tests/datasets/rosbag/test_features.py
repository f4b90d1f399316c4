"""Which numbers, texts and pictures of a message become features, and with which values."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qsft_datasets.rosbag import open_source
from qsft_datasets.rosbag.source import RosbagSource
from qsft_datasets.source import SourceEpisode
from vlm_qsft.errors import DatasetError
from vlm_qsft.images import decode, encode_jpeg, encode_png

from .writing import START_NS, Sent, compressed, header, image, joint_state, make, trajectory, write_bag

STEP_NS = 100_000_000
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 4, 4), dtype=np.uint8)


def at(index: int) -> int:
    return START_NS + index * STEP_NS


def bag_of(path: Path, messages: list[Any], topic: str = "/x") -> RosbagSource:
    return open_source(write_bag(path, [Sent(topic, at(i), each) for i, each in enumerate(messages)]))


def read(source: RosbagSource, paths: list[str] | None = None) -> SourceEpisode:
    source = source.at_rate(Fraction(10), observed=paths)
    return source.read(source.references()[0])


def numbers(episode: SourceEpisode, path: str) -> list:
    return np.asarray(episode.steps[path]).tolist()


def test_a_pose_becomes_two_vectors_with_the_names_of_its_parts(tmp_path: Path) -> None:
    poses = [
        make("PoseStamped", header(at(i)), make("Pose", make("Point", i, 2, 3), make("Quaternion", 0, 0, i, 1)))
        for i in range(3)
    ]
    source = bag_of(tmp_path / "bag", [make("PoseStamped", p.header, p.pose) for p in poses])
    assert [(f.path, f.names, f.shape) for f in source.description.features] == [
        ("/x:pose.position", ("x", "y", "z"), (3,)),
        ("/x:pose.orientation", ("x", "y", "z", "w"), (4,)),
    ]
    assert numbers(read(source), "/x:pose.orientation") == [[0, 0, i, 1] for i in range(3)]


def test_a_twist_becomes_linear_and_angular(tmp_path: Path) -> None:
    twists = [
        make("TwistStamped", header(at(i)), make("Twist", make("Vector3", i, 0, 0), make("Vector3", 0, 0, -i)))
        for i in range(3)
    ]
    source = bag_of(tmp_path / "bag", twists)
    assert [feature.path for feature in source.description.features] == ["/x:twist.linear", "/x:twist.angular"]
    assert numbers(read(source), "/x:twist.angular") == [[0, 0, -i] for i in range(3)]


def test_scalars_flags_and_texts_keep_their_kind(tmp_path: Path) -> None:
    sent = []
    for i in range(3):
        sent += [Sent("/flag", at(i), make("Bool", i == 1)), Sent("/count", at(i), make("Int32", i))]
        sent += [Sent("/force", at(i), make("Float32", 0.1 * i)), Sent("/task", at(i), make("String", f"say {i}"))]
    source = open_source(write_bag(tmp_path / "bag", sent))
    assert {f.path: (f.kind, f.dtype, f.shape) for f in source.description.features} == {
        "/count:data": ("number", "int32", ()),
        "/flag:data": ("number", "bool", ()),
        "/force:data": ("number", "float32", ()),
        "/task:data": ("text", "str", ()),
    }
    episode = read(source)
    assert numbers(episode, "/flag:data") == [False, True, False]
    assert np.asarray(episode.steps["/force:data"]).dtype == np.float32
    assert episode.steps["/task:data"] == ["say 0", "say 1", "say 2"]


def test_joints_in_another_order_are_put_in_the_first_one(tmp_path: Path) -> None:
    states = [joint_state(at(0), ["a", "b"], [1, 2]), joint_state(at(1), ["b", "a"], [20, 10])]
    assert numbers(read(bag_of(tmp_path / "bag", states)), "/x:position") == [[1, 2], [10, 20]]


def test_nodes_that_take_turns_on_one_topic_are_held_joint_by_joint(tmp_path: Path) -> None:
    states = []
    for i in range(4):
        states += [joint_state(at(2 * i), ["a", "b"], [i, 10 + i]), joint_state(at(2 * i + 1), ["grip"], [100 + i])]
    source = bag_of(tmp_path / "bag", states)
    assert source.description.feature("/x:position").names == ("a", "b", "grip")
    # The first step is the second message: only then every joint has spoken.
    expected = [[0, 10, 100], [1, 11, 100], [1, 11, 101], [2, 12, 101], [2, 12, 102], [3, 13, 102], [3, 13, 103]]
    assert numbers(read(source), "/x:position") == expected


def test_velocities_that_are_empty_are_left_out_and_do_not_hold_up_positions(tmp_path: Path) -> None:
    states = [joint_state(at(i), ["a", "b"], [i, i], [0.5, i] if i >= 2 else []) for i in range(5)]
    source = bag_of(tmp_path / "bag", states)
    assert source.description.feature("/x:effort").note.endswith("left out, empty in the first messages")
    assert numbers(read(source, ["/x:position"]), "/x:position") == [[i, i] for i in range(5)]
    assert numbers(read(source, ["/x:velocity"]), "/x:velocity") == [[0.5, i] for i in range(2, 5)]


def test_a_joint_that_appears_late_is_an_error_that_names_it(tmp_path: Path) -> None:
    states = [joint_state(at(i), ["a"], [i]) for i in range(210)] + [joint_state(at(210), ["a", "b"], [1, 2])]
    with pytest.raises(
        DatasetError, match=r"/x of .*bag has a message with 2 numbers in /x:position for the joints a, b"
    ):
        read(bag_of(tmp_path / "bag", states))


def test_vectors_that_change_their_length_are_left_out_or_refused(tmp_path: Path) -> None:
    def array(length: int) -> Any:
        return make("Float64MultiArray", make("MultiArrayLayout", [], 0), np.zeros(length))

    early = bag_of(tmp_path / "early", [array(2), array(3)])
    assert early.description.feature("/x:data").note.endswith("left out, 2 to 3 numbers")
    late = bag_of(tmp_path / "late", [array(2)] * 205 + [array(3)])
    with pytest.raises(DatasetError, match=r"a message with 3 numbers in /x:data; expected \(2,\)"):
        read(late)


def test_the_first_point_of_a_trajectory_is_taken_and_an_empty_one_says_nothing(tmp_path: Path) -> None:
    sent = [trajectory(0, ["a", "b"], [[i, -i], [9, 9]] if i != 2 else []) for i in range(4)]
    source = bag_of(tmp_path / "bag", sent)
    feature = source.description.feature("/x:points[0].positions")
    assert (feature.names, feature.shape) == (("a", "b"), (2,))
    # A stamp of zero means "now": the time of receiving counts. The stop at step 2 names no target; the last one holds.
    assert numbers(read(source, [feature.path]), feature.path) == [[0, 0], [1, -1], [1, -1], [3, -3]]


def test_lists_of_messages_and_of_bytes_are_left_out_by_name(tmp_path: Path) -> None:
    cloud = make("PointCloud2", header(at(0)), 1, 1, [], False, 4, 4, np.zeros(4, dtype=np.uint8), True)
    notes = {f.path: f.note for f in bag_of(tmp_path / "bag", [cloud]).description.features if f.kind == "bytes"}
    assert notes["/x:fields"].endswith("left out, sensor_msgs/msg/PointField messages of varying number")
    assert notes["/x:data"].endswith("left out, bytes of varying number")


ENCODINGS = {
    "rgb8": (PIXELS[:, :, :3], PIXELS[:, :, :3]),
    "bgr8": (PIXELS[:, :, :3], PIXELS[:, :, 2::-1]),
    "rgba8": (PIXELS, PIXELS[:, :, :3]),
    "bgra8": (PIXELS, PIXELS[:, :, 2::-1]),
    "mono8": (PIXELS[:, :, :1], PIXELS[:, :, [0, 0, 0]]),
}


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_raw_pictures_become_lossless_rgb(tmp_path: Path, encoding: str, padding: int) -> None:
    stored, shown = ENCODINGS[encoding]
    rows = stored.reshape(3, -1)
    padded = np.concatenate([rows, np.full((3, padding), 77, dtype=np.uint8)], axis=1)
    source = bag_of(
        tmp_path / "bag", [image(at(i), encoding, 3, 4, padded.tobytes(), step=padded.shape[1]) for i in range(2)]
    )
    feature = source.description.feature("/x:data")
    assert (feature.kind, feature.shape, feature.dtype) == ("image", (3, 4, 3), "uint8")
    pictures = read(source).steps["/x:data"]
    assert isinstance(pictures, list) and len(pictures) == 2
    for picture in pictures:
        assert isinstance(picture, bytes)
        assert np.array_equal(decode(picture), shown)


@pytest.mark.parametrize("encoding", ["16UC1", "mono16", "32FC1", "8UC3", "bayer_rggb8", "yuv422"])
def test_depth_and_encodings_without_an_order_of_colours_are_left_out_by_name(tmp_path: Path, encoding: str) -> None:
    source = bag_of(tmp_path / "bag", [image(at(0), encoding, 2, 2, bytes(8), step=4)])
    feature = source.description.feature("/x:data")
    assert feature.kind == "bytes"
    assert f"left out, pictures of encoding '{encoding}'; taken are rgb8, bgr8" in feature.note


def test_an_encoding_that_changes_is_refused_with_the_message(tmp_path: Path) -> None:
    good, bad = (image(at(i), name, 1, 1, bytes(3), step=3) for i, name in enumerate(["rgb8", "16UC1"]))
    with pytest.raises(DatasetError, match=r"Message 1 of /x of .*bag is left out: pictures of encoding '16UC1'"):
        read(bag_of(tmp_path / "bag", [good, bad]))


def test_a_raw_picture_with_too_few_bytes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="declares 4 x 4 pixels of 'rgb8' in rows of 12 bytes and holds 47 bytes"):
        _ = bag_of(tmp_path / "bag", [image(at(0), "rgb8", 4, 4, bytes(47), step=12)]).description


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_encoded_pictures_pass_through_byte_by_byte(tmp_path: Path, kind: str) -> None:
    encode = encode_jpeg if kind == "jpeg" else encode_png
    stored = [encode(np.roll(PIXELS[:, :, :3], i, axis=1)) for i in range(3)]
    messages = [compressed(at(i), each, f"bgr8; {kind} compressed bgr8") for i, each in enumerate(stored)]
    assert read(bag_of(tmp_path / "bag", messages)).steps["/x:data"] == stored


@pytest.mark.parametrize(
    ("stated", "data", "reason"),
    [
        ("16UC1; compressedDepth png", bytes(12) + b"\x89PNG", "depth pictures of format"),
        ("h264", b"\x00\x00\x00\x01", "neither JPEG nor PNG"),
        ("16UC1; png compressed ", b"\x89PNG\r\n\x1a\n" + bytes(16) + b"\x10", "depth pictures"),
        ("png", b"\x89PNG\r\n\x1a\n" + bytes(16) + b"\x10", "PNG pictures of 16 bits"),
    ],
)
def test_encoded_depth_and_video_are_left_out(tmp_path: Path, stated: str, data: bytes, reason: str) -> None:
    feature = bag_of(tmp_path / "bag", [compressed(at(0), data, stated)]).description.feature("/x:data")
    assert feature.kind == "bytes"
    assert reason in feature.note
