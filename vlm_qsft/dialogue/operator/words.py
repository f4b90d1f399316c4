"""The words of an operator: how a text is split, and which words mean the same."""

from __future__ import annotations

import re
import unicodedata
from types import MappingProxyType

from vlm_qsft.dialogue.plain_text import plain_text

LONGEST_UTTERANCE = 40
"""Words of an utterance that is still taken for an instruction or a question."""

_WORD = re.compile(r"[\w'-]+|<\||\|>")
_STOP = re.compile(r"s+t+o+p+|(?:stopp?|halt|hold|paus|freez|wait|stay|abort|cancel)(?:s|e|ed|ing)?|whoa|don't|quit")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TOLD_QUESTIONS = _words("why what what's when where how who which did have has had")

DETERMINERS = _words("the a an this that these those my your")
PRONOUNS = _words("it")
ANY_THING = _words("one thing object item ones things objects items")
OTHERS = _words("other another")
IGNORED = _words(
    "please now then could you can would will robot and go ahead just also i want to me us okay ok so let's try again "
    "first well hey hi hello should need"
)
COURTESY = _words("please now then robot okay ok")
YES = _words("yes y yeah yep yup ok okay sure correct right confirm confirmed do go affirmative please")
NO = _words("no n nope nah not wrong negative never nevermind")
RESUME = _words("resume continue proceed unpause")

VERBS = MappingProxyType(
    {
        **dict.fromkeys(_words("pick grab take get lift grasp fetch raise"), "pick"),
        **dict.fromkeys(_words("move put place bring push set carry lay drag"), "move"),
    }
)
"""Verb -> the one word for all that mean the same; a verb that is not here means itself."""

LINKS = MappingProxyType(
    {
        **dict.fromkeys(_words("near by beside alongside next-to close-to"), "near"),
        **dict.fromkeys(_words("on onto upon on-top-of"), "on"),
        **dict.fromkeys(_words("in into inside"), "in"),
        **{word: word for word in _words("to from under behind with between before above over")},
    }
)
"""What stands between two things -> the one word for all that mean the same."""

_JOINED = (("next", "to"), ("close", "to"), ("on", "top", "of"))


def split_utterance(text: str) -> list[str]:
    """Return the words of a text in lower case; marks of a chat template count as words, which no robot knows."""
    words = _WORD.findall(unicodedata.normalize("NFKC", plain_text(text)).casefold().replace("\u2019", "'"))
    joined: list[str] = []
    place = 0
    while place < len(words):
        found = next((group for group in _JOINED if tuple(words[place : place + len(group)]) == group), None)
        joined.append("-".join(found) if found else words[place])
        place += len(found) if found else 1
    return joined


def joined_apart(word: str) -> str:
    """Return a word as it was written: the links of several words are one word here."""
    return word.replace("-", " ") if tuple(word.split("-")) in _JOINED else word


def stop_word(words: list[str]) -> str | None:
    """Return the word for which the robot must hold now: anywhere but in a question about what happened.

    "Don't stop" holds too: holding in vain costs a word, not holding may cost more.
    """
    if words and words[0] in _TOLD_QUESTIONS:
        return None
    return next((word for word in words if _STOP.fullmatch(word)), None)


def is_emergency(words: list[str]) -> bool:
    """Return whether the operator calls an emergency."""
    return "emergency" in words and not (words and words[0] in _TOLD_QUESTIONS)


def verb_group(word: str) -> str:
    """Return the one word for all verbs that mean the same."""
    return VERBS.get(word, word)
