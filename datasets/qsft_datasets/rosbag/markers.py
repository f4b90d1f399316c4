"""Episodes inside one bag: where a marker topic says they begin and end, and how an outcome topic says they went.

One bag is one episode unless it has a marker topic: std_msgs/Bool or std_msgs/String, "/episode" or as the caller says.

    Bool    true begins an episode, false ends it
    String  first word "start" or "begin" begins one, "stop" or "end" ends it, "success" or "failure" ends it with that
            outcome; what follows the first word is kept as its label: "start: pick up the red cube"

A beginning also ends the episode before it; the last one ends with the bag. The outcome topic, Bool or String, named
"/episode/outcome" or by the caller, speaks of the episode that began last before its message.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from qsft_datasets.rosbag.bag import Bag
from qsft_datasets.rosbag.topics import decoder_of
from vlm_qsft.errors import DatasetError, UnknownName

EPISODE_TOPIC = "/episode"
OUTCOME_TOPIC = "/episode/outcome"
TYPES = ("std_msgs/msg/Bool", "std_msgs/msg/String")
BEGIN, END = ("start", "begin"), ("stop", "end")
LAST_NS = 2**62 - 1
"""The end of a stretch that ends with its bag."""
OUTCOMES = {"success": True, "succeeded": True, "true": True, "failure": False, "failed": False, "false": False}


@dataclass(frozen=True)
class Stretch:
    """A part of a bag.

    Attributes:
        start_ns, end_ns: receive times.
        label: what the marker said behind its first word.
        is_success: where a topic said so.
    """

    start_ns: int
    end_ns: int
    label: str = ""
    is_success: bool | None = None


def marker_topic(bag: Bag, name: str | None, default: str) -> str | None:
    """Return the topic of a bag that marks episodes or outcomes; None where none was asked for and there is no default.

    Raises:
        UnknownName: the bag has no topic of the name asked for.
        DatasetError: it is of another type.
    """
    if name is None:
        is_there = default in bag.topics and bag.topics[default].msgtype in TYPES
        return default if is_there else None
    if name not in bag.topics:
        raise UnknownName("topic", name, bag.topics, where=str(bag.path))
    if bag.topics[name].msgtype not in TYPES:
        raise DatasetError(f"{name} of {bag.path} is {bag.topics[name].msgtype}; expected one of {', '.join(TYPES)}.")
    return name


def stretches_of(bag: Bag, episodes: str | None, outcomes: str | None) -> list[Stretch]:
    """Return the episodes of a bag in their order; one stretch of all of it where no topic marks episodes.

    Args:
        episodes, outcomes: topics.
    Raises:
        DatasetError: a message that is no marker or no outcome; names the bag.
    """
    topics = [topic for topic in (episodes, outcomes) if topic is not None]
    decoders = {topic: decoder_of(bag, bag.topics[topic]) for topic in topics}
    said: dict[str, list[tuple[int, bool | str]]] = {topic: [] for topic in topics}
    for topic, received_ns, content in bag.messages(topics):
        said[topic].append((received_ns, decoders[topic].message(content).data))
    found = [Stretch(0, LAST_NS)] if episodes is None else _episodes(bag, said[episodes])
    for at_ns, words in said[outcomes] if outcomes is not None else []:
        begun = sum(stretch.start_ns <= at_ns for stretch in found)
        if begun:
            found[begun - 1] = replace(found[begun - 1], is_success=_outcome(bag, words))
    return found


def _episodes(bag: Bag, markers: list[tuple[int, bool | str]]) -> list[Stretch]:
    found: list[Stretch] = []
    running = False
    for at_ns, words in markers:
        kind, label = _kind(words)
        if kind not in (*BEGIN, *END, *OUTCOMES):
            raise DatasetError(
                f"{bag.path} has the episode marker {words!r:.60}; expected it to begin with one of "
                f"{', '.join((*BEGIN, *END, *OUTCOMES))}."
            )
        if running:
            ended = replace(found[-1], end_ns=at_ns)
            found[-1] = (
                ended if kind in BEGIN else replace(ended, label=ended.label or label, is_success=OUTCOMES.get(kind))
            )
        running = kind in BEGIN
        if running:
            found.append(Stretch(at_ns, LAST_NS, label))
    return found


def _kind(words: bool | str) -> tuple[str, str]:
    if isinstance(words, bool):
        return ("start" if words else "stop"), ""
    kind, _, label = words.strip().replace(":", " ", 1).partition(" ")
    return kind.lower(), label.strip()


def _outcome(bag: Bag, words: bool | str) -> bool:
    word = str(words).strip().lower()
    if word not in OUTCOMES:
        raise DatasetError(f"{bag.path} has the outcome {words!r:.60}; expected one of {', '.join(OUTCOMES)}.")
    return OUTCOMES[word]
