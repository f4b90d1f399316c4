from __future__ import annotations

from vlm_qsft.cli.table import table


def test_numbers_stand_right_and_words_left() -> None:
    assert table(("name", "count"), [("a", 7), ("bcdef", 123)]).splitlines() == [
        "name   count",
        "a          7",
        "bcdef    123",
    ]


def test_a_missing_cell_is_a_dash_and_floats_are_short() -> None:
    assert table(("x",), [(0.123456,), (None,)]).splitlines() == ["     x", "0.1235", "     -"]


def test_no_rows_leave_the_header() -> None:
    assert table(("a", "b"), []) == "a  b"
