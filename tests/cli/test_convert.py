"""`qsft convert` and `qsft inspect SRC` from the command line: what is printed, written and refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from qsft_datasets.registry import SOURCES
from vlm_qsft.cli.main import main
from vlm_qsft.data import DatasetReader

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "datasets"))
import scripted_source  # type: ignore[import-not-found]

EPISODES = 6


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the scripted format, the only one that is known."""
    for name in list(SOURCES):
        monkeypatch.delitem(SOURCES, name)
    monkeypatch.setitem(SOURCES, "scripted", "scripted_source")
    root = tmp_path / "logs"
    root.mkdir()
    (root / "scripted.json").write_text(json.dumps({"episodes": EPISODES}))
    return root


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "scripted.yaml"
    path.write_text(scripted_source.MAPPING)
    return path


def run(*words: object) -> int:
    return main([str(word) for word in words])


def test_a_conversion_says_what_it_does_and_what_it_did(
    logs: Path, mapping: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("convert", logs, tmp_path / "set", "--mapping", mapping, "--workers", 1) == 0
    out = capsys.readouterr().out
    assert f"Converting 'scripted' (rlds) to {tmp_path / 'set'} by {mapping}: 12.5 steps/s, cameras front, wrist" in out
    assert "  episodes: 6/6  " in out and " per second" in out
    assert "6 episodes in, 6 out (30 steps, 3 successes), 0 refused" in out
    assert out.endswith(f"Wrote {tmp_path / 'set'}\n")
    assert DatasetReader(tmp_path / "set").n_episodes == EPISODES


def test_without_a_mapping_one_is_proposed_and_nothing_is_converted(
    logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proposed = tmp_path / "set.mapping.yaml"
    assert run("convert", logs, tmp_path / "set") == 2
    error = capsys.readouterr().err
    assert (
        error.startswith("No complete mapping ships for 'scripted' (rlds). A proposal is in ")
        and error.count("\n") == 1
    )
    assert not (tmp_path / "set").exists()
    # not overwritten: a person may have worked on it
    assert run("convert", logs, tmp_path / "set") == 2
    assert f"{proposed} stands there already" in capsys.readouterr().err
    # not converted before it is reviewed
    assert run("convert", logs, tmp_path / "set", "--mapping", proposed) == 2
    assert "still to be decided by a person who knows the data: fps" in capsys.readouterr().err
    text = proposed.read_text()
    for place, word in (("fps", "5"), ("open", "1"), ("closed", "0")):
        text = text.replace(f"{place}: decide", f"{place}: {word}")
    proposed.write_text(text)
    assert run("convert", logs, tmp_path / "set", "--mapping", proposed, "--workers", 1) == 0


def test_bad_episodes_end_the_work_or_are_skipped_and_counted(
    logs: Path, mapping: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (logs / "scripted.json").write_text(json.dumps({"episodes": EPISODES, "bad": [1]}))
    words = ("convert", logs, tmp_path / "set", "--mapping", mapping, "--workers", 1)
    assert run(*words) == 2
    assert capsys.readouterr().err == "Episode 'shard-0#1': shard-0, record 1: the checksum is wrong.\n"
    assert run(*words, "--skip-bad") == 0
    out = capsys.readouterr().out
    assert "6 episodes in, 5 out" in out and "1 refused" in out
    assert "  refused shard-0#1: shard-0, record 1: the checksum is wrong." in out


OVERRIDES = {
    "assumed": (("--outcome", "assume-success"), EPISODES, "assumed"),
    "a table": (("--outcome", "csv", "table.csv"), 1, "csv"),
}


@pytest.mark.parametrize("name", OVERRIDES)
def test_the_outcome_of_the_mapping_can_be_replaced(
    logs: Path, mapping: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, successes, label = OVERRIDES[name]
    monkeypatch.chdir(tmp_path)
    keys = [reference.key for reference in scripted_source.open_source(logs).references()]
    rows = "".join(f"{key},{int(number == 2)}\n" for number, key in enumerate(keys))
    (tmp_path / "table.csv").write_text("episode,success\n" + rows)
    assert run("convert", logs, "set", "--mapping", mapping, "--workers", 1, *words) == 0
    episodes = DatasetReader(tmp_path / "set").episodes
    assert episodes.success is not None and int(episodes.success.sum()) == successes
    assert set(episodes.attributes["outcome_source"]) == {label}


WRONG = {
    "no such outcome": (("--outcome", "guess"), "Outcome 'guess' is not known"),
    "csv without a file": (("--outcome", "csv"), "--outcome csv takes one file."),
    "a flag that the mapping does not name": (("--outcome", "flag"), "the mapping has outcome 'reward'"),
    "no such rule": (("--rule", "binary"), "Did you mean 'binary01'?"),
    "no such decoder": (("--decoder", "pillow"), "Decoder 'pillow' is not known"),
    "no rewards to keep is no error, a gamma of 2 is": (("--gamma", "2"), "gamma is 2.0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_argument_is_one_line(
    logs: Path, mapping: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words, message = WRONG[name]
    assert run("convert", logs, tmp_path / "set", "--mapping", mapping, *words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "set").exists()


def test_a_foreign_folder_is_shown_with_ranges_pictures_and_a_proposal(
    logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("inspect", logs, "--write-mapping", tmp_path / "m.yaml", "--out", tmp_path / "pictures") == 0
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert ["episodes", "6", "(train:", "6)"] in lines
    assert [
        "observation/image_0",
        "image",
        "uint8",
        "?",
        "x",
        "?",
        "x",
        "3",
        "step",
        "24",
        "x",
        "32",
        "pixels",
    ] in lines
    assert ["reward", "number", "float32", "scalar", "step", "0", "to", "1"] in lines
    assert (tmp_path / "m.yaml").read_text().startswith("# Proposed mapping of 'scripted' (rlds)")
    assert len(list((tmp_path / "pictures").glob("observation_wrist-episode_*-*.png"))) == 18
    assert run("inspect", logs, "--write-mapping", tmp_path / "m.yaml") == 2
    assert "is there already" in capsys.readouterr().err


def test_inspect_without_a_folder_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", "tokens") == 2
    assert "`qsft inspect tokens` needs a folder" in capsys.readouterr().err
