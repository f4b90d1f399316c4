"""From an utterance to one instruction, a choice between several, or what is not understood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType

from vlm_qsft.dialogue.operator.instruction_book import InstructionBook, Template
from vlm_qsft.dialogue.operator.utterance import Phrase, Utterance, read_utterance
from vlm_qsft.dialogue.operator.words import COURTESY, DETERMINERS, split_utterance

MOST_OPTIONS = 8
"""Things that a question lists."""

_PLACES = MappingProxyType(
    {"first": 0, "1": 0, "former": 0, "second": 1, "2": 1, "latter": 1, "third": 2, "3": 2, "fourth": 3, "4": 3}
)


@dataclass(frozen=True)
class Understood:
    """One instruction.

    Attributes:
        template: of it.
        objects: that fill it.
        text: as it goes to the controller.
        is_literal: the operator said it in these very words, courtesy aside.
    """

    template: Template
    objects: tuple[str, ...]
    text: str
    is_literal: bool


@dataclass(frozen=True)
class Choice:
    """Several instructions that could be meant, and the question between them."""

    question: str
    options: tuple[Understood, ...]


@dataclass(frozen=True)
class NotUnderstood:
    """What is missing, as an answer."""

    answer: str


Meaning = Understood | Choice | NotUnderstood


def understand(
    words: list[str], book: InstructionBook, *, objects: Sequence[str] | None, last: Understood | None
) -> Meaning:
    """Return what an operator means.

    Args:
        words: of the utterance.
        book: what the policy was trained to do.
        objects: what is known to lie before the robot; None where nobody knows: then all that was trained with.
        last: the instruction before, for "it", "the other one" and what is not said again.
    """
    pool = tuple(book.objects if objects is None else objects)
    object_words = frozenset(word for thing in (*pool, *book.objects) for word in thing.split())
    utterance = read_utterance(words, object_words=object_words, template_words=book.words)
    if utterance.unknown:
        known = "', '".join(utterance.unknown[:3])
        return NotUnderstood(f"I do not know the word '{known}'. {trained_to(book)}")
    if utterance.n_verbs > 1:
        return NotUnderstood("One thing at a time, please: tell me the second when the first is done.")
    template = _template(utterance, book, last)
    if isinstance(template, NotUnderstood):
        return template
    phrases = _phrases(utterance, template, last)
    if phrases is None:
        return NotUnderstood(f"You name more things than I can deal with at once. {trained_to(book)}")
    found = [_candidates(phrase, pool, last) for phrase in phrases]
    for phrase, candidates in zip(phrases, found, strict=True):
        if not candidates:
            return NotUnderstood(_not_there(phrase, pool, is_known=objects is not None, has_last=last is not None))
    said = [word for word in words if word not in COURTESY]
    options = [
        Understood(template, combination, text := book.text(template, combination), said == split_utterance(text))
        for combination in product(*found)
        if len(set(combination)) == len(combination)
    ]
    if not options:
        return NotUnderstood(f"That would be one and the same thing twice: the {found[0][0]}.")
    if len(options) == 1:
        return options[0]
    return Choice(_question(template, found, is_known=objects is not None), tuple(options))


def narrowed(choice: Choice, words: list[str]) -> tuple[Understood, ...]:
    """Return the options of a choice that an answer leaves: by their words, or by their number in the question."""
    asked = {word for word in words if any(word in option.text.split() for option in choice.options)}
    open_slots = [slot for slot in range(choice.options[0].template.n_slots) if len(_of_slot(choice, slot)) > 1]
    distinct = _of_slot(choice, open_slots[0])
    number = next((_PLACES[word] for word in words if word in _PLACES), len(distinct) - 1 if "last" in words else None)
    if number is not None:
        named = {distinct[number]} if 0 <= number < len(distinct) else set()
        return tuple(option for option in choice.options if option.objects[open_slots[0]] in named)
    telling = {word for word in asked if any(word not in option.text.split() for option in choice.options)}
    if not telling:
        return ()
    return tuple(option for option in choice.options if any(telling <= set(thing.split()) for thing in option.objects))


def trained_to(book: InstructionBook) -> str:
    """Return what can be asked for, as a sentence."""
    return f"I was trained to: {book.describe()}."


def listed(things: Sequence[str]) -> str:
    """Return `the red cube, the red ball or the blue cube`."""
    named = [f"the {thing}" for thing in things[:MOST_OPTIONS]]
    rest = f" or one of {len(things) - MOST_OPTIONS} more" if len(things) > MOST_OPTIONS else ""
    return (", ".join(named[:-1]) + " or " + named[-1] if len(named) > 1 and not rest else ", ".join(named)) + rest


def _template(utterance: Utterance, book: InstructionBook, last: Understood | None) -> Template | NotUnderstood:
    n_things = len(utterance.phrases) + utterance.begins_with_link
    needed = 2 if utterance.link is not None else max(1, n_things)
    if utterance.verb is None and not n_things:
        return NotUnderstood(f"I did not understand that. {trained_to(book)}")
    fitting = [
        template
        for template in book.templates
        if (utterance.verb is None or template.verb == utterance.verb)
        and (utterance.link is None or template.link == utterance.link or (utterance.link == "to" and template.link))
    ]
    if utterance.verb is None and utterance.link is None and last is not None and last.template.n_slots >= needed:
        return last.template
    exact = [template for template in fitting if template.n_slots == needed] or [
        template for template in fitting if template.n_slots > needed
    ]
    if not exact:
        return NotUnderstood(f"I was not trained to do that. {trained_to(book)}")
    if len({(template.verb, template.link) for template in exact}) > 1:
        return NotUnderstood(f"What shall I do with it? {trained_to(book)}")
    return exact[0]


def _phrases(utterance: Utterance, template: Template, last: Understood | None) -> list[Phrase] | None:
    """Return one phrase per slot; what was not said is "it" before a link, anything elsewhere. None: too many."""
    phrases = list(utterance.phrases)
    if utterance.begins_with_link and last is not None:
        phrases.insert(0, Phrase(frozenset(), "it", "it"))
    if len(phrases) > template.n_slots:
        return None
    return phrases + [Phrase(frozenset(), "words", "")] * (template.n_slots - len(phrases))


def _candidates(phrase: Phrase, pool: Sequence[str], last: Understood | None) -> list[str]:
    if phrase.named_as == "it":
        return [thing for thing in pool if last is not None and last.objects and thing == last.objects[0]]
    left = [thing for thing in pool if phrase.words <= set(thing.split())]
    if phrase.named_as == "other" and last is not None:
        left = [thing for thing in left if thing not in last.objects[:1]]
    return left


def _not_there(phrase: Phrase, pool: Sequence[str], *, is_known: bool, has_last: bool) -> str:
    if phrase.named_as == "it":
        return (
            "The thing before is not here any more." if has_last else "I do not know what 'it' is: nothing was named."
        )
    where = "On the table I know of" if is_known else "I was trained with"
    return f"I know of no '{_without_article(phrase)}' here. {where} {listed(pool)}."


def _without_article(phrase: Phrase) -> str:
    words = phrase.text.split()
    return " ".join(words[1:] if words[0] in DETERMINERS else words)


def _question(template: Template, found: list[list[str]], *, is_known: bool) -> str:
    slot = next(slot for slot, candidates in enumerate(found) if len(candidates) > 1)
    things = [thing for thing in found[slot] if all(thing != other[0] or len(other) > 1 for other in found[:slot])]
    gap = tuple(
        "..." if place == slot else (found[place][0] if len(found[place]) == 1 else "...")
        for place in range(len(found))
    )
    doubt = "" if is_known else " I do not know what lies before me; these are what I was trained with."
    return f"{template.fill(gap).capitalize()}: which one, {listed(things)}?{doubt}"


def _of_slot(choice: Choice, slot: int) -> list[str]:
    return list(dict.fromkeys(option.objects[slot] for option in choice.options))
