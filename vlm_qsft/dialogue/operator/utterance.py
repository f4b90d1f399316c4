"""An utterance as verb, things and what stands between them, before anything is looked up."""

from __future__ import annotations

from dataclasses import dataclass

from vlm_qsft.dialogue.operator import words as said

NamedAs = str
"""How a thing is meant: "words" (by its own), "it" (the last one), "other" (not the last one)."""


@dataclass(frozen=True)
class Phrase:
    """One thing as it was said.

    Attributes:
        words: its own: colour, shape; none for "that one".
        named_as: see `NamedAs`.
        text: as it was said.
    """

    words: frozenset[str]
    named_as: NamedAs
    text: str


@dataclass(frozen=True)
class Utterance:
    """What was said.

    Attributes:
        verb: its group, None where there is none.
        phrases: the things, in order.
        link: group of what stands before the last thing, None where nothing does.
        begins_with_link: the link stands before the first thing: what goes there was not said again.
        unknown: words that mean nothing here.
        n_verbs: more than one is more than one instruction.
    """

    verb: str | None
    phrases: tuple[Phrase, ...]
    link: str | None
    begins_with_link: bool
    unknown: tuple[str, ...]
    n_verbs: int


def read_utterance(words: list[str], *, object_words: frozenset[str], template_words: frozenset[str]) -> Utterance:
    """Return the parts of an utterance.

    Args:
        words: see `words.split_utterance`.
        object_words: that name things, such as "red" and "cube".
        template_words: the other words of the trained instructions.
    """
    known_verbs = frozenset(said.VERBS) | {word for word in template_words if word not in said.LINKS}
    verbs: list[str] = []
    phrases: list[Phrase] = []
    unknown: list[str] = []
    link: str | None = None
    begins_with_link = False
    place = 0
    while place < len(words):
        word = words[place]
        phrase, length = _phrase_at(words, place, object_words)
        if phrase is not None:
            phrases.append(phrase)
            place += length
            continue
        if word in said.LINKS and word not in said.IGNORED:
            link = said.LINKS[word]
            begins_with_link = begins_with_link or not phrases
        elif word == "to":
            link = "to" if phrases else link
        elif word in said.VERBS or (word in known_verbs and word not in said.DETERMINERS and not verbs):
            verbs.append(said.verb_group(word))
        elif word not in said.IGNORED | said.DETERMINERS | template_words:
            unknown.append(word)
        place += 1
    return Utterance(verbs[0] if verbs else None, tuple(phrases), link, begins_with_link, tuple(unknown), len(verbs))


def _phrase_at(words: list[str], place: int, object_words: frozenset[str]) -> tuple[Phrase | None, int]:
    """Return the thing that is named from this place on and its number of words; None where none is."""
    end = place
    named: set[str] = set()
    is_other = has_noun = False
    while end < len(words):
        word = words[end]
        if word in object_words:
            named.add(word)
        elif word in said.OTHERS:
            is_other = True
        elif word in said.ANY_THING:
            has_noun = True
        elif word in said.PRONOUNS and end == place:
            return Phrase(frozenset(), "it", word), 1
        elif word not in said.DETERMINERS or named or has_noun or is_other:
            break
        end += 1
    if not (named or is_other or has_noun) and not (end > place and words[end - 1] in ("this", "that")):
        return None, 0
    return Phrase(frozenset(named), "other" if is_other else "words", " ".join(words[place:end])), end - place
