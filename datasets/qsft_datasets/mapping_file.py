"""Mapping files: YAML -> Mapping, strictly. The fields are those of the records in mapping.py, one to one."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from qsft_datasets.mapping import CameraMapping, GripperMapping, Mapping, OutcomeMapping, VectorPart
from qsft_datasets.mapping_checks import check_mapping
from qsft_datasets.yaml_entries import UNDECIDED, Entry, parse_entries, read_file
from vlm_qsft.errors import InvalidSetting, UnknownName

MAPPING_NAME = "mapping.yaml"
"""File of meta/ that says how a data set came about."""
FPS = re.compile(r"\d{1,9}(\.\d{1,9})?(/\d{1,9}(\.\d{1,9})?)?")
CHANNELS = ("rgb", "bgr")
MEANINGS = ("absolute", "delta", "velocity")
OUTCOMES = ("flag", "path", "reward", "csv", "assume-success", "assume-failure", "unknown")
WHERE = ("last", "any", "episode")
TERMINAL_RULES = ("outcome", "flag", "never")
LAST_STEPS = ("padding", "action")
DECODERS = ("opencv", "tensorflow")
_REQUIRED: Final[Any] = object()


def load_mapping(path: Path) -> Mapping:
    """Read a mapping file.

    Raises:
        InvalidSetting: no YAML, a wrong type, a contradiction, or decisions that are still to be made; names the line.
        UnknownName: a field or a choice that does not exist; names the line and what there is.
    """
    return parse_mapping(read_file(path), str(path))


def parse_mapping(text: str, name: str) -> Mapping:
    """Read the text of a mapping file. Raises as `load_mapping`.

    Args:
        name: of the file, for errors.
    """
    undecided: list[tuple[str, int]] = []
    record = Record(parse_entries(text, name), "", name, undecided)
    mapping = Mapping(
        name=record.text("name"),
        format=record.text("format"),
        fps=record.value("fps", _fps, placeholder=Fraction(1)),
        robot_type=record.text("robot_type", "unknown"),
        cameras=tuple(_camera(camera) for camera in record.records("cameras")),
        state=tuple(_part(part) for part in record.records("state")),
        action=tuple(_part(part) for part in record.records("action", _REQUIRED)),
        gripper=tuple(_gripper(gripper) for gripper in record.records("gripper")),
        instruction=record.text("instruction", None),
        instruction_text=record.text("instruction_text", None),
        reward=record.text("reward", None),
        terminated=record.text("terminated", None),
        terminal_rule=record.choice("terminal_rule", TERMINAL_RULES, "outcome"),
        last_step=record.choice("last_step", LAST_STEPS, "action"),
        outcome=_outcome(record.record("outcome")),
        jpeg=record.choice("jpeg", DECODERS, "opencv"),
        keep=record.texts("keep"),
        attributes=record.texts("attributes"),
        ignore=record.texts("ignore"),
    )
    record.end()
    if undecided:
        places = ", ".join(f"{path} (line {line})" for path, line in undecided)
        raise InvalidSetting(
            f"{name}, line {undecided[0][1]}: still to be decided by a person who knows the data: {places}. "
            f"Replace each '{UNDECIDED}'; the comments beside them say what was found."
        )
    try:
        check_mapping(mapping)
    except InvalidSetting as error:
        raise InvalidSetting(f"{name}: {error}") from error
    return mapping


def _camera(record: Record) -> CameraMapping:
    camera = CameraMapping(
        name=record.text("name"),
        path=record.text("path"),
        channels=record.choice("channels", CHANNELS, "rgb"),
        turn_deg=record.value("turn_deg", _integer, 0, placeholder=0),
        size=record.value("size", _size, None, placeholder=None),
    )
    record.end()
    return camera


def _part(record: Record) -> VectorPart:
    part = VectorPart(
        path=record.text("path"),
        names=record.value("names", _names, placeholder=()),
        columns=record.value("columns", _columns, None, placeholder=None),
        meaning=record.choice("meaning", MEANINGS, None),
        scale=record.value("scale", _number, 1.0, placeholder=1.0),
        offset=record.value("offset", _number, 0.0, placeholder=0.0),
    )
    record.end()
    return part


def _gripper(record: Record) -> GripperMapping:
    gripper = GripperMapping(
        name=record.text("name"),
        open=record.value("open", _number, placeholder=0.0),
        closed=record.value("closed", _number, placeholder=0.0),
    )
    record.end()
    return gripper


def _outcome(record: Record) -> OutcomeMapping:
    outcome = OutcomeMapping(
        source=record.choice("source", OUTCOMES, _REQUIRED),
        path=record.text("path", None),
        pattern=record.text("pattern", None),
        threshold=record.value("threshold", _number, 0.5, placeholder=0.5),
        where=record.choice("where", WHERE, "last"),
    )
    record.end()
    return outcome


class Record:
    """The fields of one block of a mapping file, taken one after the other; what is left at the end is unknown."""

    def __init__(self, entry: Entry, path: str, file: str, undecided: list[tuple[str, int]]) -> None:
        self._path, self._file, self._line, self._undecided = path, file, entry.line, undecided
        if not isinstance(entry.value, dict):
            raise self._wrong(entry, path or "the file", "fields (name: value)")
        self._left: dict[str, Entry] = dict(entry.value)
        self._known: list[str] = []

    def end(self) -> None:
        """Refuse fields that were not taken.

        Raises:
            UnknownName: names the line and the fields that there are.
        """
        for key, entry in self._left.items():
            kind = f"field of {self._path}" if self._path else "field"
            raise UnknownName(kind, key, self._known, where=f"{self._file}, line {entry.line}")

    def value(
        self, key: str, parse: Callable[[Entry], Any], default: Any = _REQUIRED, *, placeholder: Any = None
    ) -> Any:
        """Return a field as `parse` reads it, which raises ValueError with what it expects.

        Args:
            placeholder: stands in for a value that is still to be decided, until all of those are known.
        """
        entry = self._take(key, default)
        if entry is None:
            return default
        if entry.is_undecided:
            self._undecided.append((self._name(key), entry.line))
            return placeholder
        try:
            return parse(entry)
        except ValueError as error:
            raise self._wrong(entry, self._name(key), str(error)) from error

    def text(self, key: str, default: Any = _REQUIRED) -> Any:
        """Return a field of text."""
        return self.value(key, _text, default, placeholder="?")

    def choice(self, key: str, valid: tuple[str, ...], default: Any) -> Any:
        """Return a field that is one of a few words."""
        word = self.value(key, _text, default, placeholder=valid[0])
        if word is not default and word not in valid:
            raise UnknownName(self._name(key), word, valid, where=f"{self._file}, line {self._line}")
        return word

    def record(self, key: str) -> Record:
        """Return a field that is a block of fields itself."""
        entry = self._take(key, _REQUIRED)
        assert entry is not None  # a required field that is absent has been refused
        return Record(entry, self._name(key), self._file, self._undecided)

    def records(self, key: str, default: Any = ()) -> list[Record]:
        """Return a field that is a list of blocks."""
        entries = self.value(key, _list, default, placeholder=())
        return [
            Record(entry, f"{self._name(key)}[{number}]", self._file, self._undecided)
            for number, entry in enumerate(entries)
        ]

    def texts(self, key: str) -> dict[str, str]:
        """Return a field that is a block of names and texts."""
        entry = self._take(key, {})
        if entry is None or entry.value is None:
            return {}
        block = Record(entry, self._name(key), self._file, self._undecided)
        return {name: block.text(name) for name in list(block._left)}

    def _take(self, key: str, default: Any) -> Entry | None:
        self._known.append(key)
        entry = self._left.pop(key, None)
        if (entry is None or entry.value is None) and default is _REQUIRED:
            where = f"line {self._line if entry is None else entry.line}"
            raise InvalidSetting(f"{self._file}, {where}: {self._name(key)} is missing.")
        return None if entry is None or entry.value is None else entry

    def _name(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def _wrong(self, entry: Entry, name: str, expected: str) -> InvalidSetting:
        value = entry.value
        got = "a list" if isinstance(value, list) else "fields" if isinstance(value, dict) else repr(value)[:80]
        return InvalidSetting(f"{self._file}, line {entry.line}: {name}: expected {expected}; got {got}.")


def _text(entry: Entry) -> str:
    if isinstance(entry.value, str) and entry.value:
        return entry.value
    raise ValueError("text" + (" (write it in quotes)" if isinstance(entry.value, (bool, int, float)) else ""))


def _number(entry: Entry) -> float:
    if isinstance(entry.value, (int, float)) and not isinstance(entry.value, bool):
        return float(entry.value)
    raise ValueError("a number")


def _integer(entry: Entry) -> int:
    if isinstance(entry.value, int) and not isinstance(entry.value, bool):
        return entry.value
    raise ValueError("a whole number")


def _fps(entry: Entry) -> Fraction:
    text = entry.text or entry.value
    if isinstance(text, str) and FPS.fullmatch(text):
        numerator, _, denominator = text.partition("/")
        if Fraction(denominator or 1):
            return Fraction(numerator) / Fraction(denominator or 1)
    raise ValueError("control steps per second, exact: 5, 12.5 or 30000/1001")


def _list(entry: Entry) -> list[Entry]:
    if isinstance(entry.value, list):
        return entry.value
    raise ValueError("a list (lines that begin with '-')")


def _names(entry: Entry) -> tuple[str, ...]:
    return tuple(_text(name) for name in _list(entry))


def _columns(entry: Entry) -> tuple[int, ...]:
    return tuple(_integer(column) for column in _list(entry))


def _size(entry: Entry) -> tuple[int, int]:
    sides = [_integer(side) for side in _list(entry)]
    if len(sides) != 2:
        raise ValueError("[height, width] in pixels")
    return sides[0], sides[1]
