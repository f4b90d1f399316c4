"""YAML as far as mapping files need it: plain values with their lines, of bounded size and depth, without aliases.

The parser's events are read directly: nothing is constructed that a file could choose, a key that appears twice is an
error instead of the last one winning, and every problem can name its line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from vlm_qsft.errors import InvalidSetting

MAX_BYTES = 256 * 1024
"""A mapping of 200 features is 20 kB; the parser needs about a second for this much."""
MAX_DEPTH = 8
NUMBER = re.compile(r"[-+]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][-+]?\d{1,4})?")
INTEGER = re.compile(r"[-+]?\d{1,18}")
UNDECIDED = "decide"
"""What a proposal writes, without quotes, where only a person can know."""

Value = str | int | float | bool | None | list["Entry"] | dict[str, "Entry"]


@dataclass(frozen=True)
class Entry:
    """A value and where it stands.

    Attributes:
        line: from 1.
        text: of a number as it is written; empty for others.
        is_undecided: the word `decide` without quotes.
    """

    value: Value
    line: int
    text: str = ""
    is_undecided: bool = False


def read_file(path: Path) -> str:
    """Return the text of a file of bounded size.

    Raises:
        InvalidSetting: missing, too large, or no UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InvalidSetting(f"{path} is larger than {MAX_BYTES // 1024} kB: no mapping file.")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidSetting(f"{path} is no text in UTF-8 (byte {error.start}).") from error
    except OSError as error:
        raise InvalidSetting(f"{path} cannot be read: {error.strerror}.") from error


def parse_entries(text: str, name: str) -> Entry:
    """Return the one document of a YAML text.

    Args:
        name: of the file, for errors.
    Raises:
        InvalidSetting: no YAML, several documents, a key twice, aliases, tags, or too deep; names the line.
    """
    if len(text) > MAX_BYTES:
        raise InvalidSetting(f"{name} is larger than {MAX_BYTES // 1024} kB: no mapping file.")
    builder = _Builder(name)
    try:
        loader = yaml.SafeLoader(text)
        while loader.check_event():
            builder.take(loader.get_event())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise InvalidSetting(f"{name}{line}: no valid YAML: {error.problem or error.context}.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidSetting(f"{name}: no valid YAML: {' '.join(str(error).split())}.") from error
    if builder.root is None:
        raise InvalidSetting(f"{name} is empty.")
    return builder.root


class _Builder:
    """Puts the events of the parser together."""

    def __init__(self, name: str) -> None:
        self.root: Entry | None = None
        self._name = name
        self._open: list[Entry] = []
        self._keys: list[str | None] = []

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise InvalidSetting(f"{self._name}, line {line}: anchors and aliases are not used in mapping files.")
        if getattr(event, "tag", None) is not None:
            raise InvalidSetting(f"{self._name}, line {line}: tags (!...) are not used in mapping files.")
        if isinstance(event, yaml.ScalarEvent):
            self._add(self._scalar(event, line))
        elif isinstance(event, yaml.MappingStartEvent):
            self._begin(Entry({}, line))
        elif isinstance(event, yaml.SequenceStartEvent):
            self._begin(Entry([], line))
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._open.pop()
            self._keys.pop()

    def _begin(self, entry: Entry) -> None:
        if len(self._open) == MAX_DEPTH:
            raise InvalidSetting(f"{self._name}, line {entry.line}: deeper than {MAX_DEPTH} levels: no mapping file.")
        self._add(entry)
        self._open.append(entry)
        self._keys.append(None)

    def _add(self, entry: Entry) -> None:
        if not self._open:
            if self.root is not None:
                raise InvalidSetting(f"{self._name}, line {entry.line}: a second document; expected one.")
            self.root = entry
            return
        holder, key = self._open[-1].value, self._keys[-1]
        if isinstance(holder, list):
            holder.append(entry)
        elif isinstance(holder, dict):
            if key is None:
                self._keys[-1] = self._key(entry, holder)
            else:
                holder[key] = entry
                self._keys[-1] = None

    def _key(self, entry: Entry, holder: dict[str, Entry]) -> str:
        key = entry.value
        if not isinstance(key, str) or not key:
            raise InvalidSetting(f"{self._name}, line {entry.line}: a name is text; write it in quotes.")
        if key in holder:
            raise InvalidSetting(
                f"{self._name}, line {entry.line}: '{key}' stands here for the second time; "
                f"the first is in line {holder[key].line}."
            )
        return key

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Entry:
        text: str = event.value
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidSetting(f"{self._name}, line {line}: half a character (a lone surrogate).") from error
        if event.style is not None:
            return Entry(text, line)
        if text == UNDECIDED:
            return Entry(text, line, is_undecided=True)
        if text in ("", "~", "null"):
            return Entry(None, line)
        if text in ("true", "false"):
            return Entry(text == "true", line)
        if INTEGER.fullmatch(text):
            return Entry(int(text), line, text)
        if NUMBER.fullmatch(text):
            return Entry(float(text), line, text)
        return Entry(text, line)
