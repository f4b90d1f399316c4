from __future__ import annotations

from pathlib import Path

import pytest

from vlm_qsft.errors import InvalidSetting
from vlm_qsft.settings_record import flat, refuse_other_settings

BEGUN = {"train": {"steps": 10, "limits": [1, 2]}, "data": "a"}
PLACE = Path("runs/q")


def test_nested_settings_become_dotted_names() -> None:
    assert flat({"a": {"b": 1, "c": {"d": 2}}, "e": 3}) == {"a.b": 1, "a.c.d": 2, "e": 3}


def test_the_same_settings_are_let_through_also_where_a_file_has_made_lists_of_tuples() -> None:
    refuse_other_settings(PLACE, begun=BEGUN, asked={"data": "a", "train": {"limits": (1, 2), "steps": 10}})


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({**BEGUN, "data": "b"}, r"^runs/q was begun .*: data was a, is b now\."),
        ({**BEGUN, "data": None}, "data was a, is None now"),
        ({**BEGUN, "train": {"steps": 10}, "seed": 1}, r"seed was absent, is 1 now; train\.limits was \[1, 2\], is a"),
        ({**BEGUN, "train": {"steps": 8, "limits": (1, 3)}}, r"is \[1, 3\] now; train\.steps was 10, is 8 now"),
    ],
)
def test_every_difference_is_named(asked: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidSetting, match=words):
        refuse_other_settings(PLACE, begun=BEGUN, asked=asked)


def test_a_setting_that_is_none_differs_from_one_that_is_absent() -> None:
    with pytest.raises(InvalidSetting, match="seed was None, is absent now"):
        refuse_other_settings(PLACE, begun={"seed": None}, asked={})
