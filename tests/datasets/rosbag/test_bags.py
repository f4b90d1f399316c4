"""Bags of every storage give the same: MCAP, db3 with and without definitions, compressed, split; the real samples."""

from __future__ import annotations

import pickle
import shutil
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from qsft_datasets.rosbag import open_source, recognise
from vlm_qsft.errors import DatasetError, InvalidSetting, UnknownName

from .mcap_records import without_summary
from .writing import (
    GRIPPER,
    START_NS,
    STORE,
    Sent,
    image,
    make,
    record_arm,
    write_bag,
    write_humble,
    write_metadata,
    write_split,
)

SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "data" / "rosbag"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="The third-party samples are not beside this repository (../shared/data/rosbag)."
)
Write = Callable[[Path, list[Sent]], Path]


def write_lz4(path: Path, sent: list[Sent]) -> Path:
    write_bag(path, sent)
    without_summary(next(path.glob("*.mcap")))
    return path


def write_version(path: Path, sent: list[Sent], version: int) -> Path:
    write_humble(path, sent)
    write_metadata(path, sent, [f"{path.name}_0.db3"], "sqlite3", version=version)
    return path


WAYS: dict[str, Write] = {
    "mcap": lambda path, sent: write_bag(path, sent),
    "mcap, chunks compressed": lambda path, sent: write_bag(path, sent, compression="storage"),
    "mcap, file compressed": lambda path, sent: write_bag(path, sent, compression="file"),
    "mcap, messages compressed": lambda path, sent: write_bag(path, sent, compression="message"),
    "mcap, split": lambda path, sent: write_split(path, sent, 3),
    "mcap, file alone": lambda path, sent: next(write_bag(path, sent).glob("*.mcap")),
    "mcap, chunks by LZ4 and no summary": write_lz4,
    "db3": lambda path, sent: write_bag(path, sent, "sqlite3"),
    "db3, file compressed": lambda path, sent: write_bag(path, sent, "sqlite3", compression="file"),
    "db3, messages compressed": lambda path, sent: write_bag(path, sent, "sqlite3", compression="message"),
    "db3, split": lambda path, sent: write_split(path, sent, 3, "sqlite3"),
    "db3, file alone": lambda path, sent: next(write_bag(path, sent, "sqlite3").glob("*.db3")),
    "db3 of Humble, without definitions": write_humble,
    "db3 of Humble, file alone": lambda path, sent: next(write_humble(path, sent).glob("*.db3")),
}
OBSERVED = ["/joint_states:position", "/camera/compressed:data"]


def read_one(path: Path) -> tuple[dict[str, object], tuple[str, ...]]:
    assert recognise(path)
    source = pickle.loads(pickle.dumps(open_source(path)))
    source = source.at_rate(Fraction(20), observed=OBSERVED, following=["/arm/commands:data"])
    (reference,) = source.references()
    episode = source.read(reference)
    return {name: np.asarray(v).tolist() for name, v in episode.steps.items()}, episode.gaps


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_storing_gives_the_same_steps(tmp_path: Path, way: str) -> None:
    sent = record_arm(length_s=1.0).sent
    expected = read_one(write_bag(tmp_path / "plain", sent))
    assert read_one(WAYS[way](tmp_path / "bag", sent)) == expected


@pytest.mark.parametrize("version", range(4, 10))
def test_metadata_of_every_version_since_foxy_gives_the_same_steps(tmp_path: Path, version: int) -> None:
    sent = record_arm(length_s=1.0).sent
    assert read_one(write_version(tmp_path / "bag", sent, version)) == read_one(write_bag(tmp_path / "plain", sent))


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_types_defined_in_the_bag_alone_are_read(tmp_path: Path, storage: str) -> None:
    sent = [Sent("/gripper", 10**18 + index * 10**8, STORE.types[GRIPPER](0.01 * index, 5.0)) for index in range(20)]
    source = open_source(write_bag(tmp_path / "bag", sent, storage)).at_rate(Fraction(10))
    episode = source.read(source.references()[0])
    assert np.asarray(episode.steps["/gripper:position"]).tolist() == [0.01 * index for index in range(20)]


def test_a_type_defined_nowhere_is_left_out_with_the_reason(tmp_path: Path) -> None:
    sent = [*record_arm(length_s=0.3).sent, Sent("/gripper", 10**18, STORE.types[GRIPPER](0.0, 5.0))]
    source = open_source(write_humble(tmp_path / "bag", sent))
    feature = source.description.feature("/gripper")
    assert feature.kind == "bytes"
    assert f"left out, The type {GRIPPER} is defined neither in the bag nor by the distribution" in feature.note
    with pytest.raises(DatasetError, match=r"/gripper has no value per step: .* is defined neither"):
        source.at_rate(Fraction(10), observed=["/gripper"]).read(source.references()[0])


def test_a_folder_of_bags_is_one_episode_each_in_natural_order(tmp_path: Path) -> None:
    for index in (0, 2, 10):
        write_bag(tmp_path / f"episode_{index}", record_arm(index, 0.5).sent)
    source = open_source(tmp_path)
    assert [reference.key for reference in source.references()] == ["episode_0", "episode_2", "episode_10"]
    resampled = source.at_rate(Fraction(10), observed=OBSERVED)
    lengths = [resampled.read(reference).length for reference in resampled.references()]
    assert all(4 <= length <= 6 for length in lengths)


def test_files_in_a_folder_without_metadata_are_bags_of_their_own(tmp_path: Path) -> None:
    for index in range(2):
        bag = write_bag(tmp_path / f"bag_{index}", record_arm(index, 0.3).sent)
        next(bag.glob("*.mcap")).rename(tmp_path / f"demo_{index}.mcap")
        shutil.rmtree(bag)
    assert [reference.key for reference in open_source(tmp_path).references()] == ["demo_0.mcap", "demo_1.mcap"]


def test_parts_of_an_interrupted_recording_are_refused_with_the_remedy(tmp_path: Path) -> None:
    path = write_split(tmp_path / "take", record_arm(length_s=0.5).sent, 2)
    (path / "metadata.yaml").unlink()
    with pytest.raises(DatasetError, match=r"take holds 2 parts of one bag and no metadata\.yaml.*ros2 bag reindex"):
        open_source(path).references()


def test_facts_that_the_recorder_was_given_belong_to_the_episode(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", record_arm(length_s=0.3).sent, custom={"task": "fold the towel"})
    source = open_source(path).at_rate(Fraction(10), observed=OBSERVED)
    assert source.description.feature("custom_data/task").per_episode
    assert source.read(source.references()[0]).episode == {"custom_data/task": "fold the towel"}


def test_reading_without_a_rate_is_refused(tmp_path: Path) -> None:
    source = open_source(write_bag(tmp_path / "bag", record_arm(length_s=0.3).sent))
    with pytest.raises(InvalidSetting, match="needs a control rate"):
        source.read(source.references()[0])
    with pytest.raises(InvalidSetting, match="0 < steps per second"):
        source.at_rate(Fraction(0))
    with pytest.raises(UnknownName, match="Did you mean '/joint_states:position'"):
        source.at_rate(Fraction(10), observed=["/joint_state:position"])
    with pytest.raises(InvalidSetting, match="cannot be both"):
        source.at_rate(Fraction(10), observed=["/arm/commands:data"], following=["/arm/commands:data"])


def test_a_topic_that_a_later_bag_lacks_is_named_with_the_bag(tmp_path: Path) -> None:
    sent = record_arm(length_s=0.3).sent
    write_bag(tmp_path / "a", sent)
    write_bag(tmp_path / "b", [each for each in sent if each.topic != "/arm/commands"])
    source = open_source(tmp_path).at_rate(Fraction(10), observed=OBSERVED, following=["/arm/commands:data"])
    assert source.read(source.references()[0]).length > 0
    with pytest.raises(DatasetError, match=r"b has no topic /arm/commands\. Topics: /camera/compressed, /joint_states"):
        source.read(source.references()[1])


def test_topics_of_the_middleware_are_left_out(tmp_path: Path) -> None:
    log = make("Log", make("Time", 0, 0), 20, "node", "hello", "", "", 0)
    sent = [*record_arm(length_s=0.3).sent, Sent("/rosout", 10**18, log)]
    feature = open_source(write_bag(tmp_path / "bag", sent)).description.feature("/rosout")
    assert (feature.kind, feature.note.endswith("left out, of the middleware")) == ("bytes", True)


def test_foreign_folders_are_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "metadata.yaml").write_text("name: something else\n")
    (tmp_path / "x.mcap").write_bytes(b"no MCAP")
    (tmp_path / "x.db3").write_bytes(b"")
    assert not recognise(tmp_path)
    assert not recognise(tmp_path / "x.mcap")
    assert not recognise(tmp_path / "absent")
    with pytest.raises(DatasetError, match="holds no bag"):
        open_source(tmp_path).references()


def test_raw_pictures_are_never_in_memory_together(tmp_path: Path) -> None:
    height, width, n_pictures = 240, 320, 150
    sent = []
    for index in range(n_pictures):
        stamp = START_NS + index * 33_000_000
        pixels = bytes([index]) * (height * width * 3)
        sent.append(Sent("/camera", stamp, image(stamp, "rgb8", height, width, pixels, step=width * 3)))
    path = write_bag(tmp_path / "bag", sent)
    del sent
    source = open_source(path).at_rate(Fraction(10))
    references = source.references()
    tracemalloc.start()
    episode = source.read(references[0])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert episode.length == 50
    assert peak < 0.25 * n_pictures * height * width * 3


@needs_samples
def test_the_samples_are_read_to_their_last_message() -> None:
    talker = open_source(SAMPLES / "ros2_talker", tolerance_s=0.05).at_rate(Fraction(2), observed=["/topic:data"])
    episode = talker.read(talker.references()[0])
    # One message about every half second: with the tolerance every step shows the next one.
    assert episode.steps["/topic:data"] == [f"Hello, world! {index}" for index in range(10)]
    split = open_source(SAMPLES / "ros2_wbag").at_rate(Fraction(10_000))
    assert [feature.kind for feature in split.description.features] == ["text"] * 8
    assert split.read(split.references()[0]).length == 1


@needs_samples
def test_the_samples_have_nothing_that_could_be_a_camera_or_an_action() -> None:
    for name in ("ros2_talker", "ros2_wbag"):
        kinds = {feature.kind for feature in open_source(SAMPLES / name).description.features}
        assert kinds <= {"text", "bytes"}


@needs_samples
def test_samples_are_not_recognised_as_another_format() -> None:
    assert recognise(SAMPLES)
    assert not recognise(SAMPLES.parent / "rlds" / "bridge_dataset")
