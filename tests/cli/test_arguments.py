from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from vlm_qsft.cli.arguments import CommandParser, names, one_of, place, positive_integer, quality_shares, ranges
from vlm_qsft.errors import InvalidSetting, UnknownName


def parser() -> CommandParser:
    built = CommandParser("try", description="Try.")
    built.add_argument("--episodes", type=positive_integer, default=3)
    built.add_argument("--task", type=one_of("task", ("pick", "near")), default="pick")
    return built


def test_known_flags_are_parsed() -> None:
    namespace = parser().parse(["--episodes", "7", "--task=near"])
    assert (namespace.episodes, namespace.task) == (7, "near")


def test_an_unknown_flag_names_the_nearest_one() -> None:
    with pytest.raises(UnknownName, match=r"'--episode' is not known in `qsft try`.*Did you mean '--episodes'\?"):
        parser().parse(["--episode", "7"])


def test_a_flag_is_not_guessed_from_its_beginning() -> None:
    with pytest.raises(UnknownName, match="--epi"):
        parser().parse(["--epi=7"])


def test_an_unknown_choice_lists_the_valid_ones() -> None:
    with pytest.raises(UnknownName, match=r"Task 'pik' is not known. Valid: near, pick. Did you mean 'pick'\?"):
        parser().parse(["--task", "pik"])


def test_a_left_over_word_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="takes no argument 'pick'"):
        parser().parse(["pick"])


@pytest.mark.parametrize("word", ["0", "-1", "2.5", "many", ""])
def test_a_count_must_be_a_whole_number_above_zero(word: str) -> None:
    with pytest.raises(InvalidSetting, match="--episodes"):
        parser().parse([f"--episodes={word}"])


def test_quality_shares_are_read() -> None:
    assert quality_shares("expert=0.25,noisy=0.75") == {"expert": 0.25, "noisy": 0.75}


@pytest.mark.parametrize("word", ["expert", "expert=", "expert=0.5", "expert=0.5,expert=0.5", "a=1.5,b=-0.5", "a=nan"])
def test_quality_shares_that_are_no_mixture_are_refused(word: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        quality_shares(word)


@pytest.mark.parametrize("word", ["1000001", "99999999999999999999", "9" * 5000])
def test_a_count_that_would_fill_the_memory_is_refused(word: str) -> None:
    with pytest.raises(InvalidSetting, match=r"--episodes.*\(to 1000000\)"):
        parser().parse([f"--episodes={word}"])


@pytest.mark.parametrize("word", ["", " "])
def test_a_path_from_an_unset_variable_is_not_the_current_folder(word: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="got nothing"):
        place(word)


def test_a_tilde_is_the_home_folder_behind_an_equals_sign_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert place("~/runs") == Path("/home/somebody/runs")
    with pytest.raises(argparse.ArgumentTypeError, match="~nobody-of-this-name"):
        place("~nobody-of-this-name/runs")


def test_names_are_separated_by_commas() -> None:
    assert names("gripper,suction") == ("gripper", "suction")
    for word in ("", ",", "a,", "a,a"):
        with pytest.raises(argparse.ArgumentTypeError, match="NAME,NAME"):
            names(word)


def test_help_names_a_default_only_where_there_is_one() -> None:
    built = parser()
    built.add_argument("--out", type=place, help="a folder")
    built.add_argument("--fast", action="store_true", help="a switch")
    built.add_argument("--size", type=int, default=3, help="a number")
    text = built.format_help()
    assert "(default: 3)" in text
    assert "None" not in text and "False" not in text


def test_ranges_are_read() -> None:
    assert ranges("lift=-0.1:0.1,grip=0:1") == (("lift", -0.1, 0.1), ("grip", 0.0, 1.0))
    for word in ("", "lift", "lift=1", "lift=a:b", "=0:1", "a=0:1,a=0:2", "a=0:1,"):
        with pytest.raises(argparse.ArgumentTypeError, match="NAME=LOW:HIGH"):
            ranges(word)
