from __future__ import annotations

import argparse

import pytest

from vlm_qsft.cli.arguments import CommandParser, one_of, positive_integer, quality_shares
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
