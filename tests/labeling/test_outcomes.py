"""Who decides on success: each source, their order, and what happens where nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from qsft_datasets.labeling import LabelRequest, OutcomeRequest, label_dataset
from qsft_datasets.labeling.outcome import Outcome, Verdict, complete, decide
from vlm_qsft.data import DatasetReader
from vlm_qsft.errors import DatasetError, InvalidSetting, UnknownName

from .sets import SUCCESSES, without_labels, write_set

KEYS = ("success/0", "unsuccessful/1", "day/successful_2", "fail/3", "day/4")


@pytest.fixture
def keyed(tmp_path: Path) -> Path:
    return write_set(tmp_path / "keyed", KEYS)


def labelled(root: Path, *sources: str, **options) -> tuple[tuple[bool, ...], tuple[object, ...]]:
    request = LabelRequest(rule="binary01", outcome=OutcomeRequest(sources, **options))
    label_dataset(root, request)
    table = DatasetReader(root).episodes
    assert table.success is not None
    return tuple(table.success.tolist()), table.attributes["outcome_source"]


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_most_trusted_verdict_decides_whatever_the_order_of_the_sources():
    flag: list[Verdict | None] = [Verdict(True, "flag"), None, None, None]
    path: list[Verdict | None] = [Verdict(False, "path"), Verdict(True, "path"), None, None]
    csv: list[Verdict | None] = [Verdict(False, "csv"), Verdict(False, "csv"), Verdict(True, "csv"), None]
    assumed: list[Verdict | None] = [Verdict(False, "assumed")] * 4
    for order in ([flag, path, csv, assumed], [assumed, csv, path, flag]):
        outcomes = decide(order, [None] * 4)
        assert [outcome.success for outcome in outcomes] == [True, True, True, False]
        assert [outcome.source for outcome in outcomes] == ["flag", "path", "csv", "assumed"]


def test_a_success_terminates_and_a_failure_is_cut_off_unless_someone_knows_better():
    assert complete(Verdict(True, "csv"), None) == Outcome(True, True, False, "csv")
    assert complete(Verdict(False, "csv"), None) == Outcome(False, False, True, "csv")
    assert complete(Verdict(False, "csv", terminated=True), None) == Outcome(False, True, False, "csv")
    record = Verdict(False, "flag", terminated=True, truncated=False)
    assert complete(Verdict(False, "csv"), record) == Outcome(False, True, False, "csv")
    # the record says how a failure ended; that says nothing about a success
    assert complete(Verdict(True, "csv"), record) == Outcome(True, True, False, "csv")


def test_what_was_recorded_is_found_again_after_other_outcomes(root: Path):
    assert labelled(root, "assume-failure") == ((False,) * 5, ("assumed",) * 5)
    assert labelled(root, "flag") == (SUCCESSES, ("flag",) * 5)


def test_paths_tell_by_whole_words_and_leave_the_rest_to_others(keyed: Path):
    with pytest.raises(DatasetError, match=r"Nothing decides on the success of episode 4 \(1 of 5\)"):
        labelled(keyed, "path")
    success, sources = labelled(keyed, "path", "assume-failure")
    assert success == (True, False, True, False, False)
    assert sources == ("path",) * 4 + ("assumed",)


def test_a_pattern_decides_on_every_path(keyed: Path):
    assert labelled(keyed, "path", pattern="day")[0] == (False, False, True, False, True)


def test_a_set_without_paths_says_so(root: Path):
    with pytest.raises(DatasetError, match=r"does not know the paths of its episodes"):
        labelled(root, "path")


def test_csv_by_number_with_the_reason_for_the_end(root: Path, tmp_path: Path):
    file = written(
        tmp_path / "o.csv",
        "\ufeffepisode_index, success, terminated\n4,no,yes\n0,1,\n1,FALSE,0\n2,failure,\n3,true,true\n",
    )
    assert labelled(root, "csv", csv=file) == ((True, False, False, True, False), ("csv",) * 5)
    table = DatasetReader(root).episodes
    assert table.terminated is not None and table.truncated is not None
    assert table.terminated.tolist() == [True, False, False, True, True]
    assert table.truncated.tolist() == [False, True, True, False, False]


def test_csv_by_key(keyed: Path, tmp_path: Path):
    file = written(tmp_path / "o.csv", "key,success\n" + "".join(f"{key},{n % 2}\n" for n, key in enumerate(KEYS)))
    assert labelled(keyed, "csv", csv=file)[0] == (False, True, False, True, False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("episode_index,success\n0,1\n2,1\n", r"says nothing about episodes 1, 3, 4 \(3 of 5\)"),
        ("episode_index,success\n0,1\n5,1\n", r"line 3: episode '5' is not in this data set; episodes are 0 to 4"),
        ("episode_index,success\n0,1\n0,0\n", r"line 3 names episode '0' again; line 2 did already"),
        ("episode_index,success\n0,perhaps\n", r"line 2: success is 'perhaps'; expected 1 or 0"),
        ("number,success\n0,1\n", r"has columns number, success; expected episode_index or key"),
        (
            "episode,success\n0,1\n",
            r"line 2: no episode has the key '0'; its episodes have no keys; use a",
        ),
        (
            "key,success\nday/9,1\n",
            r"line 2: no episode has the key 'day/9'; its episodes have no keys",
        ),
        ("", r"has columns none"),
        ("episode_index,success\n-1,1\n", r"episode '-1' is not in this data set"),
    ],
)
def test_a_csv_that_does_not_fit_is_refused_by_line_and_number(root: Path, tmp_path: Path, text: str, reason: str):
    with pytest.raises(DatasetError, match=reason):
        labelled(root, "csv", csv=written(tmp_path / "o.csv", text))


def test_a_csv_that_is_not_there_is_refused(root: Path, tmp_path: Path):
    with pytest.raises(DatasetError, match=r"o.csv cannot be read"):
        labelled(root, "csv", csv=tmp_path / "o.csv")
    with pytest.raises(InvalidSetting, match=r"needs its file"):
        OutcomeRequest(("csv",))


def test_an_assumption_gives_way_to_a_csv_even_where_it_was_stored(root: Path, tmp_path: Path):
    labelled(root, "assume-success")
    file = written(tmp_path / "o.csv", "episode_index,success\n3,0\n")
    success, sources = labelled(root, "csv", "assume-success", csv=file)
    assert success == (True, True, True, False, True)
    assert sources == ("assumed", "assumed", "assumed", "csv", "assumed")


def test_only_what_was_observed_counts_as_overruled(root: Path, tmp_path: Path):
    request = LabelRequest(rule="binary01", outcome=OutcomeRequest(("assume-failure",)))
    assert label_dataset(root, request).overruled == sum(SUCCESSES)
    (tmp_path / "bare").mkdir()
    bare = write_set(tmp_path / "bare/set", KEYS, outcome_source="assumed")
    assert label_dataset(bare, request).overruled == 0


def test_rewards_of_the_source_decide_at_the_end_or_anywhere(image_root: Path):
    # last rewards 9, 10, 11, 4, 15; largest elsewhere 4, 8, 6, 2, 10
    assert labelled(image_root, "reward", threshold=10.5)[0] == (False, False, True, False, True)
    assert labelled(image_root, "reward", threshold=9.5, where="any")[0] == (False, True, True, False, True)


def test_rewards_that_came_from_outcomes_do_not_decide_on_them(root: Path):
    with pytest.raises(DatasetError, match=r"no rewards of its source \(those that it has come from its outcomes\)"):
        labelled(root, "reward")


def test_a_flag_of_a_foreign_set_counts_on_its_last_frame(image_root: Path):
    assert labelled(image_root, "flag") == (SUCCESSES, ("flag",) * 5)


def test_a_flag_that_never_changes_says_nothing(image_root: Path):
    with pytest.raises(UnknownName, match=r"Column 'next.sucess' is not known"):
        labelled(image_root, "flag", flag="next.sucess")
    # it tells frames apart, if not episodes: taken at its word
    assert labelled(image_root, "flag", flag="next.done")[0] == (True,) * 5
    label_dataset(image_root, LabelRequest(rule="binary01", outcome=OutcomeRequest(("assume-failure",))))
    with pytest.raises(DatasetError, match=r"'next.success' is False in every frame of every episode"):
        labelled(image_root, "flag", flag="next.success")


def test_a_set_without_outcomes_asks_for_a_source(root: Path):
    without_labels(root)
    with pytest.raises(DatasetError, match=r"records no outcome. Say where success is known: --outcome flag"):
        labelled(root)
    with pytest.raises(DatasetError, match=r"no column of success.*Name one with --flag COLUMN \(columns: action"):
        labelled(root, "flag")
    assert labelled(root, "assume-success") == ((True,) * 5, ("assumed",) * 5)
    assert "recorded_success" not in DatasetReader(root).episodes.attributes
