"""InstructionBook: what the policy was trained to do, as templates and the objects that fill them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vlm_qsft.dialogue.operator.words import LINKS, joined_apart, split_utterance, verb_group
from vlm_qsft.errors import CheckpointError, InvalidSetting

_BEFORE_OBJECT = frozenset({"the", "a", "an"})
SLOT = "{}"


@dataclass(frozen=True)
class Template:
    """An instruction without its objects.

    Attributes:
        words: with `SLOT` for every object, its article kept.
    """

    words: tuple[str, ...]

    @property
    def n_slots(self) -> int:
        """Return how many objects it names."""
        return self.words.count(SLOT)

    @property
    def verb(self) -> str:
        """Return the group of its verb, which stands first."""
        return verb_group(self.words[0])

    @property
    def link(self) -> str | None:
        """Return the group of what stands before its second object, None where there is none."""
        slots = [place for place, word in enumerate(self.words) if word == SLOT]
        between = self.words[slots[0] + 1 : slots[1]] if len(slots) > 1 else ()
        return next((LINKS[word] for word in between if word in LINKS), None)

    def fill(self, objects: tuple[str, ...]) -> str:
        """Return the instruction about these objects."""
        return " ".join(joined_apart(word) for word in self.words).format(*objects)


@dataclass(frozen=True)
class InstructionBook:
    """What the policy was trained to do.

    Attributes:
        trained: template and objects -> the instruction as the data set has it.
        templates: the different ones, in the order they first stand.
        objects: everything they name.
    """

    trained: Mapping[tuple[Template, tuple[str, ...]], str]
    templates: tuple[Template, ...]
    objects: tuple[str, ...]

    @classmethod
    def of(cls, instructions: Iterable[str]) -> InstructionBook:
        """Take instructions apart: an object is what follows an article, up to a preposition or the end.

        Raises:
            InvalidSetting: there is no instruction with a word.
        """
        templates: dict[Template, None] = {}
        objects: dict[str, None] = {}
        trained: dict[tuple[Template, tuple[str, ...]], str] = {}
        for instruction in instructions:
            words = split_utterance(instruction)
            if not words:
                continue
            template, named = _taken_apart(words)
            trained.setdefault((template, named), instruction)
            templates[template] = None
            objects |= dict.fromkeys(named)
        if not trained:
            raise InvalidSetting(
                "Nothing says what the policy was trained to do. A checkpoint lists it (`instructions` in its "
                "metadata.json) since it is written by this version: train it again."
            )
        return cls(trained, tuple(templates), tuple(objects))

    @classmethod
    def of_checkpoint(cls, folder: Path) -> InstructionBook:
        """Read what a checkpoint says that it was trained to do; its networks are not loaded.

        Raises:
            CheckpointError: its metadata cannot be read.
            InvalidSetting: it names no instruction.
        """
        try:
            metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{folder} does not say what it was trained to do: {error}") from error
        return cls.of(metadata.get("instructions", ()))

    @classmethod
    def of_file(cls, path: Path) -> InstructionBook:
        """Read a text file with one instruction per line.

        Raises:
            InvalidSetting: it cannot be read, or holds no word.
        """
        try:
            return cls.of(path.read_text(encoding="utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidSetting(f"The instructions cannot be read from {path}: {error}") from error

    @property
    def words(self) -> frozenset[str]:
        """Return every word of the templates that stands for no object."""
        return frozenset(word for template in self.templates for word in template.words) - {SLOT}

    def text(self, template: Template, objects: tuple[str, ...]) -> str:
        """Return an instruction as the data set has it; one that it does not have, in the words of its template."""
        return self.trained.get((template, objects)) or template.fill(objects)

    def describe(self) -> str:
        """Return what can be asked for, for people: `pick up the ..., move the ... near the ...`."""
        return "; ".join(template.fill(("...",) * template.n_slots) for template in self.templates[:8])


def _taken_apart(words: list[str]) -> tuple[Template, tuple[str, ...]]:
    shape: list[str] = []
    objects: list[str] = []
    place = 0
    while place < len(words):
        shape.append(words[place])
        place += 1
        if shape[-1] in _BEFORE_OBJECT:
            begin = place
            while place < len(words) and words[place] not in LINKS and words[place] not in _BEFORE_OBJECT:
                place += 1
            if place > begin:
                objects.append(" ".join(words[begin:place]))
                shape.append(SLOT)
    return Template(tuple(shape)), tuple(objects)
