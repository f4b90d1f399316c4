"""`qsft train`: flags that do not belong together, and what `--help` says about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm_qsft.cli import train
from vlm_qsft.cli.main import main
from vlm_qsft.cli.settings_flags import attribute_meanings
from vlm_qsft.training.settings import TrainSettings

BEHAVIOR = ("train", "behavior", "--data", "d", "--out", "o")
Q = ("train", "q", "--data", "d", "--out", "o", "--behavior", "b")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((*BEHAVIOR, "--behavior", "b"), "--behavior belongs to `qsft train q`"),
        ((*BEHAVIOR, "--backup", "max"), "--backup belongs to `qsft train q`"),
        ((*BEHAVIOR, "--gamma", "0.9"), "--gamma belongs to `qsft train q`"),
        ((*BEHAVIOR, "--target-update-rate", "0.1"), "--target-update-rate belongs to `qsft train q`"),
        ((*BEHAVIOR, "--allow-download"), "--allow-download needs --source"),
        ((*BEHAVIOR, "--source", "x", "--channels", "8"), "--channels belongs to the small model, not to --source"),
        ((*BEHAVIOR, "--gripper", ",,"), "expected NAME,NAME"),
        ((*BEHAVIOR, "--limits", "dx"), "expected NAME=LOW:HIGH"),
        (Q[:-2], "`qsft train q` needs --behavior"),
        ((*Q, "--patience", "3"), "--patience belongs to `qsft train behavior`"),
        ((*Q, "--n-bins", "64"), "--n-bins belongs to `qsft train behavior`"),
        ((*Q, "--limits", "dx=0:1"), "--limits belongs to `qsft train behavior`"),
        ((*Q, "--width", "16"), "--width belongs to `qsft train behavior`"),
        ((*Q, "--successes-only"), "--successes-only belongs to `qsft train behavior`"),
        ((*Q, "--seed", "-1"), "seed must be a whole number of at least 0"),
    ],
    ids=lambda part: " ".join(part[6:]) if isinstance(part, tuple) else "",
)
def test_a_flag_without_effect_is_refused(
    words: tuple[str, ...],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    complaint = capsys.readouterr().err
    assert expected in complaint and complaint.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_help_of_a_flag_is_what_the_docstring_says() -> None:
    meanings = attribute_meanings(TrainSettings)
    assert meanings["learning_rate"] == "its peak; a warm-up leads to it and a cosine from it to 0."
    assert meanings["patience"].endswith("0 never stops it and keeps the last weights.")  # over several lines
    text = " ".join(train.build_parser().format_help().split())
    assert all(meanings[name] in text for name in train.TRAIN_FLAGS)


def test_the_remedy_for_a_constant_dimension_can_be_given(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "behavior", "--data", str(data), "--out", str(tmp_path / "b"), "--preset", "smoke"]
    assert main([*words, "--limits", "dx=1:1"]) == 2
    assert "Limits of action dimension 'dx' are (1.0, 1.0); expected low < high" in capsys.readouterr().err
    assert main([*words, "--limits", "dy=0:1"]) == 2
    assert "Action dimension 'dy' is not known in limits. Valid: dx, gripper" in capsys.readouterr().err
    smallest = ["--steps", "1", "--n-bins", "4", "--chunk", "2", "--validation-fraction", "0.5", "--width", "16"]
    assert main([*words, "--limits", "dx=-2:2", *smallest]) == 0
    assert main(["inspect", "tokens", str(tmp_path / "b/policy")]) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["dx", "uniform", "-2", "2", "1", "1"] in shown


@pytest.mark.parametrize("words", [("--n-bins", "1"), ("--n-bins", "10" * 9), ("--chunk", "0"), ("--strategy", "log")])
def test_token_settings_outside_their_range_are_refused(
    words: tuple[str, str], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "behavior", "--data", str(data), "--out", str(tmp_path / "b"), *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "b").exists()
