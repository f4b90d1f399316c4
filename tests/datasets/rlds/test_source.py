"""RLDS folders: versions, splits, shards, and what happens where one of them is damaged or missing."""

from __future__ import annotations

import gzip
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from qsft_datasets.rlds import open_source, recognise
from vlm_qsft.errors import DatasetError

from .handmade import (
    PLAIN_FEATURES,
    feature_dict,
    plain_record,
    shard_path,
    slow_tfrecord,
    steps,
    tensor,
    write_folder,
)

SHARDS = [[plain_record(2, 0), plain_record(3, 1), plain_record(1, 2)], [plain_record(4, 3)]]


def made(folder: Path, **settings) -> Path:
    return write_folder(folder, PLAIN_FEATURES, SHARDS, **settings)


def test_the_folder_of_the_version_and_the_one_above_give_the_same_episodes(tmp_path: Path) -> None:
    made(tmp_path / "made/1.0.0")
    above, version = open_source(tmp_path / "made"), open_source(tmp_path / "made/1.0.0")
    assert [r.key for r in above.references()] == [r.key for r in version.references()]
    assert above.references()[3].file == "1.0.0/made-train.tfrecord-00001-of-00002"
    for one, other in zip(above.references(), version.references(), strict=True):
        assert np.array_equal(
            np.asarray(above.read(one).steps["action"]), np.asarray(version.read(other).steps["action"])
        )


def test_several_versions_have_to_be_chosen_from(tmp_path: Path) -> None:
    for version in ("0.1.0", "1.0.0"):
        made(tmp_path / version)
    with pytest.raises(DatasetError, match=r"holds several versions or data sets: 0\.1\.0, 1\.0\.0"):
        open_source(tmp_path)


def test_episodes_come_in_the_order_of_splits_shards_and_records(tmp_path: Path) -> None:
    made(tmp_path)
    extra = [plain_record(1, 9)]
    (tmp_path / "made-val.tfrecord-00000-of-00001").write_bytes(slow_tfrecord(extra))
    info = json.loads((tmp_path / "dataset_info.json").read_text())
    info["splits"].append({"name": "val", "shardLengths": [1]})
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    source = open_source(tmp_path)
    references = source.references()
    assert [(r.split, r.key.partition("-of-")[2]) for r in references] == [
        ("train", "00002#0"),
        ("train", "00002#1"),
        ("train", "00002#2"),
        ("train", "00002#0"),
        ("val", "00001#0"),
    ]
    assert [source.read(r).episode["episode_id"] for r in references] == [f"episode {n}" for n in (0, 1, 2, 3, 9)]
    assert [source.read(r).length for r in references] == [2, 3, 1, 4, 1]
    assert references[-1] == references[len(references) - 1] == references[3:][-1]
    assert len({r.key for r in references}) == 5


def test_a_source_and_its_references_travel_to_another_process(tmp_path: Path) -> None:
    made(tmp_path)
    source = open_source(tmp_path)
    reference = source.references()[1]
    source.read(reference)
    again, same = pickle.loads(pickle.dumps((source, reference)))
    assert same == reference
    assert np.asarray(again.read(same).steps["action"]).tolist() == [[1.0, 1.5], [2.0, 2.5], [3.0, 3.5]]


def test_the_description_names_features_without_steps_and_guesses_no_rate(tmp_path: Path) -> None:
    source = open_source(made(tmp_path))
    description = source.description
    assert (description.format, description.name, description.fps, description.robot_type) == (
        "rlds",
        "made",
        None,
        None,
    )
    assert [(f.path, f.kind, f.dtype, f.shape, f.per_episode) for f in description.features] == [
        ("action", "number", "float32", (2,), False),
        ("is_first", "number", "bool", (), False),
        ("episode_id", "text", "str", (), True),
    ]
    episode = source.read(source.references()[0])
    assert {*episode.steps, *episode.episode} == {feature.path for feature in description.features}


def test_a_feature_of_the_episode_with_the_name_of_one_of_the_steps_stays_apart(tmp_path: Path) -> None:
    from .handmade import slow_example

    record = slow_example({"steps/id": ("int", [5, 6]), "id": ("int", [7])})
    source = open_source(
        write_folder(tmp_path, {"steps": steps({"id": tensor("int64")}), "id": tensor("int64")}, [[record]])
    )
    episode = source.read(source.references()[0])
    assert np.asarray(episode.steps["id"]).tolist() == [5, 6]
    assert episode.episode == {"episode:id": 7}


def test_a_corrupt_record_in_the_middle_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    made(tmp_path)
    path = shard_path(tmp_path, 0, 2)
    content = bytearray(path.read_bytes())
    content[len(slow_tfrecord(SHARDS[0][:1])) + 30] ^= 1
    path.write_bytes(content)
    source = open_source(tmp_path)
    references = source.references()
    assert len(references) == 4
    with pytest.raises(DatasetError, match=r"made-train\.tfrecord-00000-of-00002, record 1: its checksum"):
        source.read(references[1])
    assert [source.read(references[number]).length for number in (0, 2, 3)] == [2, 1, 4]


def test_the_records_of_a_truncated_shard_keep_their_keys_and_say_how_many_are_gone(tmp_path: Path) -> None:
    made(tmp_path)
    path = shard_path(tmp_path, 0, 2)
    path.write_bytes(path.read_bytes()[: len(slow_tfrecord(SHARDS[0][:1])) + 20])
    source = open_source(tmp_path)
    references = source.references()
    assert [reference.key[-1] for reference in references] == ["0", "1", "2", "0"]
    assert [bool(reference.lost) for reference in references] == [False, True, True, False]
    for lost in references[1:3]:
        reason = r"00000-of-00002, record 1: the file ends .*; 2 of its 3 records are lost"
        with pytest.raises(DatasetError, match=reason):
            source.read(lost)
    assert source.read(references[3]).length == 4


def test_a_shard_with_fewer_records_than_announced_says_so(tmp_path: Path) -> None:
    made(tmp_path)
    shard_path(tmp_path, 0, 2).write_bytes(slow_tfrecord(SHARDS[0][:2]))
    source = open_source(tmp_path)
    with pytest.raises(DatasetError, match=r"record 2: the file ends here; 1 of its 3 records are lost"):
        source.read(source.references()[2])


def test_a_shard_with_more_records_than_announced_is_refused(tmp_path: Path) -> None:
    made(tmp_path)
    shard_path(tmp_path, 1, 2).write_bytes(slow_tfrecord(SHARDS[0]))
    with pytest.raises(DatasetError, match=r"00001-of-00002 has 3 records or more; dataset_info.json announces 1"):
        open_source(tmp_path).references()


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    made(tmp_path)
    shard_path(tmp_path, 1, 2).unlink()
    source = open_source(tmp_path)
    references = source.references()
    assert [reference.key[-3:] for reference in references] == ["2#0", "2#1", "2#2", "2#0"]
    assert [bool(reference.lost) for reference in references] == [False, False, False, True]
    reason = r"made-train\.tfrecord-00001-of-00002 is missing: dataset_info\.json announces 1 records in it"
    assert re.search(reason, references[3].lost)
    with pytest.raises(DatasetError, match=reason):
        source.read(references[3])
    assert source.read(references[2]).length == 1


def test_the_episodes_have_the_same_keys_while_a_shard_is_missing(tmp_path: Path) -> None:
    made(tmp_path)
    whole = [reference.key for reference in open_source(tmp_path).references()]
    shard_path(tmp_path, 0, 2).unlink()
    references = open_source(tmp_path).references()
    assert [reference.key for reference in references] == whole
    assert [bool(reference.lost) for reference in references] == [True, True, True, False]


def test_a_number_of_records_that_no_shard_has_is_one_lost_reference(tmp_path: Path) -> None:
    split = {"name": "train", "shardLengths": ["3", str(2**40)]}
    made(tmp_path, info={"name": "made", "splits": [split]})
    shard_path(tmp_path, 1, 2).unlink()
    assert [bool(reference.lost) for reference in open_source(tmp_path).references()] == [False, False, False, True]


@pytest.mark.parametrize("info", [None, {}, {"name": "made"}, {"name": "made", "splits": [{"name": "train"}]}])
def test_a_stub_of_dataset_info_is_enough_and_a_gap_between_the_shards_is_found(tmp_path: Path, info) -> None:
    made(tmp_path)
    if info is None:
        (tmp_path / "dataset_info.json").unlink()
    else:
        (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    assert [r.split for r in open_source(tmp_path).references()] == ["train"] * 4
    assert open_source(tmp_path).description.name == "made"
    shard_path(tmp_path, 0, 2).unlink()
    reason = r"made-train\.tfrecord-00000-of-00002 is missing: .* say that there are 2 shards, and 1 are here"
    assert [bool(re.search(reason, reference.lost)) for reference in open_source(tmp_path).references()] == [
        False,
        True,
    ]


def test_a_template_of_file_names_is_followed(tmp_path: Path) -> None:
    split = {"name": "train", "shardLengths": ["1"], "filepathTemplate": "{SPLIT}/{DATASET}_{SHARD_INDEX}.{FILEFORMAT}"}
    write_folder(tmp_path, PLAIN_FEATURES, [], info={"name": "made", "splits": [split]})
    (tmp_path / "train").mkdir()
    (tmp_path / "train/made_00000.tfrecord").write_bytes(slow_tfrecord(SHARDS[1]))
    source = open_source(tmp_path)
    assert source.references()[0].key == "made_00000.tfrecord#0"
    assert source.read(source.references()[0]).length == 4


@pytest.mark.parametrize("template", ["../{DATASET}", "/etc/passwd", "a\0b", "{DATASET.__class__}", "x" * 300])
def test_a_template_that_leads_out_of_the_folder_is_refused(tmp_path: Path, template: str) -> None:
    split = {"name": "train", "shardLengths": ["1"], "filepathTemplate": template}
    made(tmp_path, info={"name": "made", "splits": [split]})
    with pytest.raises(DatasetError, match=r"dataset_info\.json: it (names|announces)"):
        open_source(tmp_path).references()


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_shards_that_were_compressed_are_read_under_either_name(tmp_path: Path, suffix: str) -> None:
    made(tmp_path)
    for number in range(2):
        path = shard_path(tmp_path, number, 2)
        packed = gzip.compress(path.read_bytes())
        path.unlink()
        Path(f"{path}{suffix}").write_bytes(packed)
    source = open_source(tmp_path)
    assert [source.read(reference).length for reference in source.references()] == [2, 3, 1, 4]


def test_records_that_are_no_episodes_are_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, {"image": tensor("uint8", 2), "label": tensor("int64")}, [[]])
    with pytest.raises(DatasetError, match=r"no sequence 'steps', so its records are no episodes. It has image, label"):
        open_source(tmp_path)


def test_a_record_of_another_data_set_is_refused(tmp_path: Path) -> None:
    from .handmade import slow_example

    write_folder(tmp_path, PLAIN_FEATURES, [[slow_example({"image": ("bytes", [b"x"])})]])
    source = open_source(tmp_path)
    with pytest.raises(DatasetError, match="has none of steps/action, steps/is_first; it has image"):
        source.read(source.references()[0])


def test_parquet_shards_of_tfds_are_refused_by_name(tmp_path: Path) -> None:
    info = {"name": "made", "fileFormat": "parquet", "splits": [{"name": "train", "shardLengths": ["1"]}]}
    with pytest.raises(DatasetError, match="'parquet' files; this reader takes tfrecord and array_record"):
        open_source(made(tmp_path, info=info)).references()


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, '{"featuresDict": 5}', '{"a": NaN}'])
def test_a_damaged_features_json_is_named(tmp_path: Path, content: str) -> None:
    made(tmp_path)
    (tmp_path / "features.json").write_text(content)
    with pytest.raises(DatasetError, match=r"features.json"):
        open_source(tmp_path)


def test_rlds_is_recognised_and_nothing_else_is(tmp_path: Path) -> None:
    made(tmp_path / "rlds/made/1.0.0")
    assert recognise(tmp_path / "rlds/made/1.0.0")
    assert recognise(tmp_path / "rlds/made")
    assert recognise(tmp_path / "rlds")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "features.json").write_text('{"features": {}}')
    (foreign / "a.tfrecord").write_bytes(b"")
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "features.json").write_text(json.dumps(feature_dict({})))
    for folder in (foreign, alone, tmp_path / "gone", foreign / "features.json"):
        assert not recognise(folder)
