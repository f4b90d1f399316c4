"""`qsft record` for language tasks: the same verb, and which flags belong to robots."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm_qsft.cli.main import USER_ERROR, main
from vlm_qsft.dialogue import read_conversations


def test_a_language_task_is_recorded_by_the_same_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["record", "--task", "wordle", "--episodes", "30", "--out", str(tmp_path / "logs"), "--workers", "1"]
    assert main(words) == 0
    conversations = list(read_conversations(tmp_path / "logs"))
    assert len(conversations) == 30
    mean = sum(conversation.total_reward for conversation in conversations) / 30
    printed = capsys.readouterr().out
    assert f"Mean return {mean:.2f}" in printed
    assert main(words) == 0
    assert list(read_conversations(tmp_path / "logs")) == conversations


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--episodes", "3", "--image-size", "64"], "--image-size belongs to robot tasks"),
        (["--episodes", "3", "--qualities", "expert=1"], "--qualities belongs to robot tasks"),
        ([], "'wordle' needs --episodes"),
    ],
)
def test_flags_of_robots_are_refused_for_a_language_task(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", "--task", "wordle", "--out", str(tmp_path / "logs"), *words]) == USER_ERROR
    assert message in capsys.readouterr().err
    assert not (tmp_path / "logs").exists()


def test_a_task_that_is_neither_is_refused_with_those_of_both_kinds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", "--task", "wordl", "--episodes", "3", "--out", str(tmp_path / "logs")]) == USER_ERROR
    printed = capsys.readouterr().err
    assert "near, pick" in printed
    assert "Did you mean 'wordle'?" in printed
