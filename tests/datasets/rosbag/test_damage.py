"""Damaged, incomplete and hostile bags: one error that names the bag, and nothing is run or made up."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from qsft_datasets.rosbag import open_source
from vlm_qsft.errors import DatasetError

from .writing import STORE, make, record_arm, write_bag, write_metadata, write_split


def read_all(path: Path) -> None:
    source = open_source(path)
    paths = [feature.path for feature in source.description.features if feature.kind != "bytes"]
    resampled = source.at_rate(Fraction(10), observed=paths)
    for reference in resampled.references():
        resampled.read(reference)


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_truncated_file_is_refused_with_the_name_of_the_bag(tmp_path: Path, storage: str, kept: float) -> None:
    path = write_bag(tmp_path / "bag", record_arm(length_s=0.5).sent, storage)
    file = next(each for each in path.iterdir() if each.suffix != ".yaml")
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DatasetError, match=r"/bag.* (is truncated|states .* messages)") as caught:
        read_all(path)
    assert "\n" not in str(caught.value)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    path = write_split(tmp_path / "bag", record_arm(length_s=0.5).sent, 3)
    (path / "bag_1.mcap").unlink()
    with pytest.raises(DatasetError, match=r"bag lacks bag_1\.mcap, which its metadata\.yaml names"):
        open_source(path).references()


def test_a_bag_with_fewer_messages_than_it_states_is_refused(tmp_path: Path) -> None:
    sent = record_arm(length_s=0.5).sent
    path = write_split(tmp_path / "bag", sent, 2)
    extra = [*sent, *[each for each in sent if each.topic == "/arm/commands"]]
    write_metadata(path, extra, ["bag_0.mcap", "bag_1.mcap"], "mcap", version=8)
    with pytest.raises(DatasetError, match=r"bag states 50 messages of /arm/commands and holds 25"):
        read_all(path)


@pytest.mark.parametrize("text", ["rosbag2_bagfile_information: [", "rosbag2_bagfile_information: 3"])
def test_damaged_metadata_is_refused(tmp_path: Path, text: str) -> None:
    path = write_bag(tmp_path / "bag", record_arm(length_s=0.3).sent)
    (path / "metadata.yaml").write_text(text)
    with pytest.raises(DatasetError, match="bag"):
        open_source(path).references()


def test_metadata_cannot_name_files_outside_of_the_bag(tmp_path: Path) -> None:
    sent = record_arm(length_s=0.3).sent
    outside = write_bag(tmp_path / "outside", sent)
    path = write_bag(tmp_path / "bag", sent)
    write_metadata(path, sent, [f"../outside/{next(outside.glob('*.mcap')).name}"], "mcap", version=8)
    with pytest.raises(DatasetError, match=r"bag lacks outside\.mcap"):
        open_source(path).references()


DEFINITIONS = {
    "itself": ("x/msg/Node", "x/Node child\nfloat64 value\n", "x/msg/Node is defined by itself"),
    "endless array": ("x/msg/Many", "string[100000000] names\n", r"Many\.names declares 100000000 elements"),
    "another header": (
        "x/msg/Odd",
        "std_msgs/Header header\n" + "=" * 80 + "\nMSG: std_msgs/Header\nint32 stamp\n",
        "defines std_msgs/msg/Header otherwise than ROS does",
    ),
    "unknown part": (
        "x/msg/Part",
        "y/Unknown part\n",
        "y/msg/Unknown, a part of x/msg/Part, is defined neither",
    ),
    "no definition": ("x/msg/Text", "!!", "The definition of x/msg/Text in the bag cannot be used"),
    "service": ("x/srv/Add_Event", "int64 a\n---\nint64 sum\n", "left out, of the middleware"),
}


@pytest.mark.parametrize("case", DEFINITIONS)
def test_a_definition_that_cannot_be_used_leaves_its_topic_out(tmp_path: Path, case: str) -> None:
    typename, definition, reason = DEFINITIONS[case]
    path = write_with_definition(tmp_path / "bag", typename, definition)
    feature = open_source(path).description.feature("/odd")
    assert feature.kind == "bytes"
    assert reason.replace("\\", "") in feature.note


def test_a_definition_cannot_run_code(tmp_path: Path) -> None:
    name = "x/msg/A:\n    import os; os.mkdir('hacked')\nclass B"
    path = write_with_definition(tmp_path / "bag", name, "float64 value\n")
    assert open_source(path).description.feature("/odd").kind == "bytes"
    assert not Path("hacked").exists()


def write_with_definition(path: Path, typename: str, definition: str) -> Path:
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        odd = writer.add_connection("/odd", typename, msgdef=definition, rihs01="RIHS01_" + "0" * 64)
        writer.write(odd, 10**18, b"\x00\x01\x00\x00" + bytes(64))
        flag = make("Bool", True)
        good = writer.add_connection("/good", flag.__msgtype__, typestore=STORE)
        writer.write(good, 10**18, STORE.serialize_cdr(flag, flag.__msgtype__))
    return path


def test_a_damaged_message_is_refused_with_its_topic(tmp_path: Path) -> None:
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/flag", "std_msgs/msg/Bool", typestore=STORE)
        for index in range(300):
            writer.write(connection, 10**18 + index, b"\x00\x01\x00\x00\x01" if index < 250 else b"\x00\x01\x00\x00")
    with pytest.raises(DatasetError, match=r"/flag of .*bag is truncated, damaged or no ROS 2 bag"):
        read_all(tmp_path / "bag")


def test_a_bag_of_another_middleware_is_refused(tmp_path: Path) -> None:
    path = next(write_bag(tmp_path / "bag", record_arm(length_s=0.3).sent).glob("*.mcap"))
    path.write_bytes(path.read_bytes().replace(b"\x04\x00\x00\x00ros2", b"\x04\x00\x00\x00ros1", 1))
    with pytest.raises(DatasetError, match=r"bag\.mcap is truncated, damaged or no ROS 2 bag \(Profile is not ros2"):
        open_source(path).references()


def test_a_topic_with_messages_of_two_types_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bag"
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for message in (make("Bool", True), make("String", "x")):
            connection = writer.add_connection("/x", message.__msgtype__, typestore=STORE)
            writer.write(connection, 10**18, STORE.serialize_cdr(message, message.__msgtype__))
    with pytest.raises(DatasetError, match=r"several types on /x: std_msgs/msg/Bool, std_msgs/msg/String"):
        open_source(path).description  # noqa: B018
