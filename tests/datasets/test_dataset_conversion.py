"""Whole conversions: bad episodes, a full disk, a second start; LeRobot loads the result."""

from __future__ import annotations

import json
import logging
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qsft_datasets.dataset_conversion import ConversionSettings, Summary, convert_dataset
from qsft_datasets.mapping import Mapping, OutcomeMapping
from qsft_datasets.mapping_file import load_mapping
from vlm_qsft.errors import DatasetError, InvalidSetting

from .conversion_process import content, finish, start
from .scripted_source import ScriptedSource, scripted_steps

EPISODES = 16
BAD = (3, 9)


def convert(source: ScriptedSource, mapping: Mapping, root: Path, **settings) -> Summary:
    return convert_dataset(source, mapping, root, settings=ConversionSettings(**settings))


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    (folder / "scripted.json").write_text(json.dumps({"episodes": EPISODES, "bad": BAD}))
    return folder


@pytest.fixture(scope="module")
def uninterrupted(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return finish(logs, tmp_path_factory.mktemp("uninterrupted") / "set", "1", "skip")


def test_lerobot_loads_the_result_and_agrees_with_the_source(
    source: ScriptedSource, mapping: Mapping, tmp_path: Path
) -> None:
    lerobot_dataset = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="lerobot is not installed")
    logging.disable(logging.WARNING)
    root = tmp_path / "set"
    summary = convert(source, mapping, root)
    judged = lerobot_dataset.LeRobotDataset("local/scripted", root=root)
    logging.disable(logging.NOTSET)
    assert summary.episodes_out == judged.num_episodes == 6
    assert judged.fps == 12.5
    row = 0
    for number in range(6):
        steps = scripted_steps(number, 5 + number % 3)
        for step in range(4 + number % 3):
            item = judged[row]
            np.testing.assert_array_equal(item["action"].numpy(), np.asarray(steps["action"])[step])
            np.testing.assert_array_equal(
                item["observation.state"].numpy(), np.asarray(steps["observation/state"])[step]
            )
            assert item["joint"].numpy().astype(np.float64).tolist() == pytest.approx(
                np.asarray(steps["joint"])[step].tolist()
            )
            assert item["task"] == f"pick up cube {number % 3}"
            row += 1
    assert row == judged.num_frames == summary.frames
    assert summary.successes == 3


def test_the_mapping_stands_in_the_result(source: ScriptedSource, mapping: Mapping, tmp_path: Path) -> None:
    convert(source, mapping, tmp_path / "set")
    assert load_mapping(tmp_path / "set/meta/mapping.yaml") == mapping
    record = json.loads((tmp_path / "set/meta/labels.json").read_text())
    assert record["source"] == "reward"
    assert record["recipe"]["source"] == "scripted"


def test_bad_episodes_are_named_and_counted(logs: Path, uninterrupted: dict[str, bytes]) -> None:
    refused = json.loads(uninterrupted["meta/refused.json"])
    assert [entry["episode"] for entry in refused] == ["shard-0#3", "shard-2#9"]
    assert refused[0]["reason"] == "shard-0, record 3: the checksum is wrong."
    assert json.loads(uninterrupted["meta/info.json"])["total_episodes"] == EPISODES - len(BAD)


def test_without_leave_to_skip_a_bad_episode_ends_the_conversion_in_one_line(logs: Path, tmp_path: Path) -> None:
    process = start(logs, tmp_path / "set", "1")
    _, errors = process.communicate()
    assert process.returncode == 2
    assert errors == "DatasetError: Episode 'shard-0#3': shard-0, record 3: the checksum is wrong.\n"
    assert not (tmp_path / "set/meta").exists()


def test_a_full_disk_is_one_line_and_loses_nothing(logs: Path, tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    largest_episode = 60_000
    root = tmp_path / "set"
    limit = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest_episode, largest_episode))}
    process = start(logs, root, "1", "skip", **limit)
    _, errors = process.communicate()
    assert process.returncode == 2, errors
    assert errors.startswith("StorageError:") and errors.count("\n") == 1
    assert not (root / "meta").exists()
    process = start(logs, root, "1", "skip")
    output, _ = process.communicate()
    assert len(output.splitlines()) == len(BAD)  # only what was refused is tried again
    assert content(root) == uninterrupted


def test_a_second_start_with_another_mapping_is_refused(
    source: ScriptedSource, mapping: Mapping, tmp_path: Path
) -> None:
    convert(source, mapping, tmp_path / "set")
    assert convert(source, mapping, tmp_path / "set").episodes_out == 6
    with pytest.raises(InvalidSetting, match=r"recipe\.mapping"):
        convert(source, replace(mapping, robot_type="other"), tmp_path / "set")


def test_the_outcomes_of_a_table_decide(source: ScriptedSource, mapping: Mapping, tmp_path: Path) -> None:
    table = tmp_path / "outcomes.csv"
    rows = "".join(
        f"{reference.key},{'true' if number == 5 else 'false'}\n"
        for number, reference in enumerate(source.references())
    )
    table.write_text("episode,success\n" + rows)
    by_table = replace(mapping, outcome=OutcomeMapping("csv", str(table)))
    assert convert(source, by_table, tmp_path / "set").successes == 1
    table.write_text("episode,success\n" + rows + "shard-9#9,maybe\n")
    with pytest.raises(DatasetError, match=r"outcomes\.csv, line 8: success is 'maybe'; expected 1 or 0"):
        convert(source, by_table, tmp_path / "other")
    table.write_text("episode_index,success\n0,1\n")
    with pytest.raises(DatasetError, match=r"names episodes by episode_index; episodes of a source have keys"):
        convert(source, by_table, tmp_path / "other")


def test_the_target_may_not_lie_in_the_source(source: ScriptedSource, mapping: Mapping) -> None:
    with pytest.raises(DatasetError, match="lie in each other"):
        convert(source, mapping, source.root / "set")


def test_a_source_that_cannot_be_read_at_all_says_why(source: ScriptedSource, mapping: Mapping, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="6 episodes, none of which can be read; the first: shard-0, record 0"):
        convert(replace(source, bad=tuple(range(6))), mapping, tmp_path / "set", skip_bad=True)
