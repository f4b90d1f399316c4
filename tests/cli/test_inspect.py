from __future__ import annotations

from pathlib import Path

import pytest

from vlm_qsft.cli.main import main


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_an_episode_shows_every_frame_with_its_labels(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "episode", str(data), "0"]) == 0
    lines = lines_of(capsys)
    assert ["instruction", "pick", "up", "the", "red", "cube"] in lines
    assert ["quality", "expert"] in lines
    # gamma 0.5, success in the third step: returns 1/4, 1/2, 1; nothing is bootstrapped after a termination
    assert lines[-3:] == [
        ["0", "0.5", "1", "0", "0.25", "1"],
        ["1", "-1", "1", "0", "0.5", "1"],
        ["2", "1", "-1", "1", "1", "terminated", "success", "0"],
    ]


def test_a_truncated_episode_is_bootstrapped_to_its_end(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "episode", str(data), "1"]) == 0
    assert lines_of(capsys)[-1] == ["1", "0.75", "-1", "0", "0", "truncated", "1"]


def test_an_episode_that_is_not_there_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "episode", str(data), "2"]) == 2
    assert "Episode 2 is not in this data set: episodes are 0 to 1." in capsys.readouterr().err


def test_tokens_of_a_data_set_show_bins_and_what_they_decode_to(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "tokens", str(data), "0", "--frames", "1"]) == 0
    lines = lines_of(capsys)
    assert lines[-1][:4] == ["0", "gripper", "1", "255"]
    assert lines[-1][-1] == "1"  # the end bin of a gripper decodes to its exact maximum
    assert lines[-2][:3] == ["0", "dx", "0.5"]


def test_tokens_of_a_checkpoint_show_its_own_bins_and_the_text_mask(
    data: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", "tokens", str(checkpoint), "1", "--data", str(data)]) == 0
    lines = lines_of(capsys)
    # 8 uniform bins from -1 to 1 are 0.25 wide; 0.25 lies on the edge below bin 5, 0.75 on that below bin 7
    assert ["dx", "uniform", "-1", "1", "0.25", "0.25"] in lines
    assert ["0", "dx", "0.25", "5", "[0.25,", "0.5]", "0.375"] in lines
    assert ["1", "dx", "0.75", "7", "[0.75,", "1]", "0.875"] in lines
    # "pick up the ball" has four words of at most five
    assert [line[-1] for line in lines if len(line) == 3 and line[0] in "01234"] == ["read"] * 4 + ["masked"]


def test_a_checkpoint_shows_its_scorers_and_its_metadata(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "checkpoint", str(checkpoint)]) == 0
    lines = lines_of(capsys)
    assert ["q_model", "absent", "-"] in lines
    assert ["steps", "12"] in lines
    assert ["action", "dx,", "gripper"] in lines


def test_an_altered_checkpoint_is_refused(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkpoint / "metadata.json").write_text('{"steps": 13}')
    assert main(["inspect", "checkpoint", str(checkpoint)]) == 2
    assert "metadata.json" in capsys.readouterr().err


def test_a_damaged_policy_file_is_refused(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkpoint / "policy.json").write_text("{")
    assert main(["inspect", "checkpoint", str(checkpoint)]) == 2
    assert "policy.json cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [("checkpoint", "c", "3"), ("checkpoint", "c", "--frames", "2"), ("episode", "d", "0", "--data", "e")]
)
def test_an_argument_without_effect_is_refused(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", *words]) == 2
    assert f"`qsft inspect {words[0]}` takes no" in capsys.readouterr().err


def test_a_data_set_for_the_tokens_of_a_data_set_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "tokens", str(data), "--data", str(data)]) == 2
    assert "--data goes with a checkpoint" in capsys.readouterr().err
