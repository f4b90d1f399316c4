"""`qsft label`: words to a request, what it prints, and the same command twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm_qsft.cli.label import build_parser, label_request
from vlm_qsft.cli.main import main
from vlm_qsft.cli.outcome_words import joined_outcomes
from vlm_qsft.data import DatasetReader
from vlm_qsft.errors import InvalidSetting, UnknownName


def test_a_csv_takes_its_file_wherever_the_folder_stands() -> None:
    assert joined_outcomes(["--outcome", "csv", "o.csv", "data"]) == ["--outcome", "csv:o.csv", "data"]
    assert joined_outcomes(["data", "--outcome", "flag", "--outcome=csv", "o.csv"]) == [
        "data", "--outcome", "flag", "--outcome", "csv:o.csv",
    ]  # fmt: skip
    for words in (["--outcome", "csv"], ["--outcome", "csv", "--rule", "vgps"]):
        with pytest.raises(InvalidSetting, match=r"needs a file: --outcome csv FILE"):
            joined_outcomes(words)


def test_the_request_has_what_was_given_and_leaves_the_rest_open() -> None:
    words = ["--rule", "recap", "--failure-penalty", "20", "--outcome", "flag", "--outcome", "csv", "a:b.csv", "data"]
    request = label_request(build_parser().parse(words))
    assert (request.rule, request.gamma, request.failure_penalty) == ("recap", None, 20.0)
    assert (request.outcome.sources, request.outcome.csv) == (("flag", "csv"), Path("a:b.csv"))
    assert (request.counterfactual, request.seed) == (None, None)


@pytest.mark.parametrize(
    ("words", "error", "reason"),
    [
        (["data", "--rule", "binary"], UnknownName, r"Did you mean 'binary01'"),
        (["data", "--outcome", "assume_success"], UnknownName, r"Did you mean 'assume-success'"),
        (["data", "--outcome", "csv", "a", "--outcome", "csv", "b"], InvalidSetting, r"given twice \(a, b\)"),
        (["data", "--flag", "next.success"], InvalidSetting, r"`--flag` belongs to `--outcome flag`"),
        (["data", "--pattern", "x"], InvalidSetting, r"`--pattern` belongs to `--outcome path`"),
        (["data", "--counterfactual", "2"], InvalidSetting, r"expected 0 to 1"),
        (["data", "--where", "first"], InvalidSetting, r"invalid choice: 'first'"),
    ],
)
def test_words_that_make_no_sense_are_refused(words: list[str], error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        label_request(build_parser().parse(words))


def test_labelling_prints_what_it_did_and_does_nothing_the_second_time(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["label", str(data), "--rule", "vgps", "--gamma", "0.5", "--counterfactual", "1"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "2 episodes, 1 successes (2 by flag), and 1 counterfactual failures" in printed
    assert "Rule vgps, gamma 0.5; stored return = 1 + 0.5 x return" in printed
    assert f"Wrote {data}/meta and {data}/data" in printed
    assert main(words) == 0
    assert f"{data} had these labels already" in capsys.readouterr().out
    assert DatasetReader(data).n_episodes == 3


def test_an_outcome_that_overrules_the_record_is_counted(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["label", str(data), "--outcome", "assume-success"]) == 0
    assert "1 episodes have another outcome than was recorded" in capsys.readouterr().out


def test_an_unlabelled_folder_is_an_error_of_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["label", str(tmp_path / "nowhere"), "--rule", "vgps"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
