"""Mapping files: every Mapping comes back from its YAML, and every mistake is one line that names its place."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qsft_datasets.mapping import CameraMapping, GripperMapping, Mapping, OutcomeMapping, VectorPart
from qsft_datasets.mapping_checks import check_mapping
from qsft_datasets.mapping_file import load_mapping, parse_mapping
from qsft_datasets.mapping_text import mapping_text
from qsft_datasets.yaml_entries import MAX_BYTES
from vlm_qsft.errors import InvalidSetting, QsftError, UnknownName

from .mutations import INPUTS
from .scripted_source import MAPPING

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
AWKWARD = st.sampled_from(
    ["decide", "null", "true", "12", "1e5", "- a", "a: b", "#x", "é", "/joint:pos", "'", '"', "\u2028"]
)
WORDS = TEXT | AWKWARD
NAMES = st.from_regex(r"[a-z_][a-z0-9_.\-]{0,8}", fullmatch=True)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def vector_parts(draw: Any, names: list[str], *, is_action: bool) -> VectorPart:
    columns = draw(st.none() | st.permutations(range(len(names))).map(tuple))
    meaning = draw(st.sampled_from(["absolute", "delta", "velocity"])) if is_action else None
    scale = draw(NUMBERS.filter(lambda number: number != 0))
    return VectorPart(draw(WORDS), tuple(names), columns, meaning, scale, draw(NUMBERS))


@st.composite
def mappings(draw: Any) -> Mapping:
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    is_told = draw(st.booleans())
    source = draw(st.sampled_from(["flag", "reward", "assume-success", "unknown"]))
    grippers = ()
    if draw(st.booleans()):
        opened = draw(NUMBERS)
        grippers = (GripperMapping(names[0], opened, draw(NUMBERS.filter(lambda number: number != opened))),)
    return Mapping(
        name=draw(WORDS),
        format=draw(WORDS),
        fps=draw(st.fractions(min_value=Fraction(1, 1000), max_value=1000, max_denominator=100_000)),
        robot_type=draw(WORDS),
        cameras=tuple(
            CameraMapping(
                name,
                draw(WORDS),
                draw(st.sampled_from(["rgb", "bgr"])),
                draw(st.sampled_from([0, 90, 180, 270])),
                draw(st.none() | st.tuples(st.integers(1, 999), st.integers(1, 999))),
            )
            for name in draw(st.lists(st.sampled_from(["front", "a.b", "0"]), max_size=2, unique=True))
        ),
        state=draw(st.just(()) | vector_parts(["s"], is_action=False).map(lambda part: (part,))),
        action=(draw(vector_parts(names, is_action=True)),),
        outcome=OutcomeMapping(
            source, draw(WORDS), threshold=draw(NUMBERS), where=draw(st.sampled_from(["last", "any"]))
        ),
        gripper=grippers,
        instruction=draw(WORDS) if is_told else None,
        instruction_text=None if is_told else draw(WORDS),
        reward=draw(st.none() | WORDS),
        terminated=draw(st.none() | WORDS),
        terminal_rule=draw(st.sampled_from(["outcome", "never"])),
        last_step=draw(st.sampled_from(["padding", "action"])),
        jpeg=draw(st.sampled_from(["opencv", "tensorflow"])),
        keep=draw(st.dictionaries(st.sampled_from(["joint", "a.b"]), WORDS, max_size=2)),
        attributes=draw(st.dictionaries(st.sampled_from(["scene", "x-1"]), WORDS, max_size=2)),
        ignore=draw(st.dictionaries(WORDS, WORDS.filter(str.strip), max_size=3)),
    )


@settings(max_examples=300, deadline=None)
@given(mappings())
def test_every_mapping_comes_back_from_its_file(mapping: Mapping) -> None:
    check_mapping(mapping)
    assert parse_mapping(mapping_text(mapping, header="a\nb"), "m.yaml") == mapping


def test_comments_stand_beside_their_fields(mapping: Mapping) -> None:
    text = mapping_text(mapping, comments={("action", 0, "meaning"): "5 of 6"}, header="Review.")
    assert text.startswith("# Review.\nname: scripted\n")
    assert "    meaning: delta  # 5 of 6\n" in text


def test_rates_are_exact() -> None:
    for written, exact in (
        ("12.5", Fraction(25, 2)),
        ("30000/1001", Fraction(30000, 1001)),
        ("29.97", Fraction(2997, 100)),
    ):
        assert parse_mapping(MAPPING.replace("12.5", written), "m").fps == exact


WRONG = {
    "an unknown field": (
        ("robot_type", "robot_typ"),
        UnknownName,
        r"Field 'robot_typ' is not known in m\.yaml, line 5\. .*Did you mean 'robot_type'\?",
    ),
    "an unknown field of a part": (
        ("path: action", "pat: action"),
        InvalidSetting,
        r"line 14: action\[0\]\.path is missing",
    ),
    "a choice that does not exist": (
        ("meaning: delta", "meaning: relative"),
        UnknownName,
        r"'relative' is not known in m\.yaml, line 14\. Valid: absolute, delta, velocity",
    ),
    "a number for text": (("robot_type: widow", "robot_type: 7"), InvalidSetting, r"line 5: robot_type: expected text"),
    "text for a number": (
        ("open: 1", "open: wide"),
        InvalidSetting,
        r"line 18: gripper\[0\]\.open: expected a number; got 'wide'",
    ),
    "no rate": (("fps: 12.5", "fps: fast"), InvalidSetting, r"line 4: fps: expected control steps per second"),
    "a rate of nothing": (("fps: 12.5", "fps: 0"), InvalidSetting, r"Fps is 0"),
    "a rate over nothing": (("fps: 12.5", "fps: 5/0"), InvalidSetting, r"line 4: fps: expected"),
    "a field twice": (
        ("robot_type: widow", "robot_type: widow\nrobot_type: panda"),
        InvalidSetting,
        r"line 6: 'robot_type' stands here for the second time; the first is in line 5",
    ),
    "a missing field": (("name: scripted\n", ""), InvalidSetting, r"line \d: name is missing"),
    "no instruction": (("instruction: language_instruction\n", ""), InvalidSetting, "Exactly one of instruction"),
    "a gripper that is no number of the action": (
        ("name: grip", "name: hand"),
        InvalidSetting,
        "Gripper 'hand' is no number of the action",
    ),
    "other names than numbers": (
        ("names: [dx, dy, dz, grip]", "names: [dx, dx, dz, grip]"),
        InvalidSetting,
        "Action: dx stands there more than once",
    ),
    "no reason": (("boundaries come from the records", '" "'), InvalidSetting, "gives no reason"),
    "a pattern that is none": (
        ("{source: reward, path: reward, where: any}", '{source: path, pattern: "("}'),
        InvalidSetting,
        "Outcome: pattern is no regular expression",
    ),
    "a decision that is left": (
        ("meaning: delta", "meaning: decide"),
        InvalidSetting,
        r"m\.yaml, line 16: still to be decided by a person who knows the data: action\[0\]\.meaning \(line 16\)",
    ),
    "an alias": (("name: scripted", "name: &a scripted\nformat: *a"), InvalidSetting, "line 2: anchors and aliases"),
    "a tag": (("name: scripted", "name: !!python/object/apply:os.getcwd []"), InvalidSetting, "line 2: tags"),
    "two documents": (("name: scripted", "name: scripted\n---\nname: x"), InvalidSetting, "a second document"),
    "no YAML": (("fps: 12.5", "fps: ]"), InvalidSetting, r"line 4: no valid YAML"),
    "a list": ((MAPPING, "- a\n- b"), InvalidSetting, r"line 1: the file: expected fields .*; got a list"),
    "nothing": ((MAPPING, ""), InvalidSetting, "m.yaml is empty"),
    "half a character": (("name: scripted", r'name: "\ud800"'), InvalidSetting, "half a character"),
    "too deep": (("fps: 12.5", "fps: " + "[" * 5000), InvalidSetting, "deeper than 8 levels"),
    "too large": ((MAPPING, "#" * (MAX_BYTES + 1)), InvalidSetting, "larger than 256 kB"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_line_that_names_its_place(name: str) -> None:
    (before, after), kind, message = WRONG[name]
    assert before in MAPPING
    with pytest.raises(kind, match=message) as raised:
        parse_mapping(MAPPING.replace(before, after, 1), "m.yaml")
    assert "\n" not in str(raised.value)


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    with pytest.raises(InvalidSetting, match=r"m\.yaml cannot be read: No such file"):
        load_mapping(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidSetting, match=r"no text in UTF-8 \(byte 0\)"):
        load_mapping(path)


@st.composite
def damaged(draw: Any) -> str:
    """A mapping with pieces cut out, doubled, moved or replaced by characters that mean something in YAML."""
    text = MAPPING
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, max(0, len(text) - 1)))
        stop = min(len(text), start + draw(st.integers(0, 12)))
        piece = draw(
            st.sampled_from(
                [
                    "",
                    text[start:stop] * 2,
                    "\n",
                    "  ",
                    ": ",
                    "- ",
                    "[",
                    "]",
                    "{",
                    "}",
                    "&",
                    "*",
                    "|",
                    ">",
                    "'",
                    '"',
                    "#",
                    "!",
                    "%",
                    "\t",
                    "\\",
                    "\x00",
                    "0",
                    "-",
                    "~",
                ]
            )
            | st.text(max_size=4)
        )
        text = text[:start] + piece + text[stop:]
    return text


@pytest.mark.fuzz
@settings(max_examples=INPUTS, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(damaged() | st.text(max_size=200))
def test_fuzzed_mappings_end_in_nothing_but_a_clear_error(text: str) -> None:
    try:
        mapping = parse_mapping(text, "m.yaml")
    except QsftError as error:
        assert str(error) and "m.yaml" in str(error)
    else:
        check_mapping(mapping)
