"""The messages of one episode, feature by feature, in the order of their stamps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qsft_datasets.rosbag.bag import Bag
from qsft_datasets.rosbag.fields import names_of
from qsft_datasets.rosbag.gaps import Gap
from qsft_datasets.rosbag.pictures import encoded_picture, header_stamp_ns
from qsft_datasets.rosbag.resampling import in_time_order
from qsft_datasets.rosbag.topics import Decoder
from qsft_datasets.source import SourceFeature
from vlm_qsft.errors import DatasetError

CLOCK_SPREAD_NS = 10 * 10**9
"""Topics whose stamps lag their receive times by amounts that differ by more than this run on different clocks."""
LATEST_NS = 2**62
"""Of receive times, in the year 2116: two of them and their difference stay within 64 bits."""
LAG_NS = 5 * 10**9
"""A message may be received this much later than it is stamped."""


class TopicMessages:
    """What was received on one topic, in that order.

    Attributes:
        decoder: how it is read.
        wanted: features that are asked of it.
        received_ns, stamp_ns: of every message; the stamp is the receive time where the message has none.
        values: field path -> (message number, value) of the messages that have it; nothing for pictures.
        names: joint names of every message.
    """

    def __init__(self, decoder: Decoder, wanted: list[SourceFeature]) -> None:
        """Begin without a message."""
        self.decoder, self.wanted = decoder, wanted
        asked = {topic_and_field(feature.path)[1] for feature in wanted}
        self.fields = {} if decoder.is_picture else {each.path: each for each in decoder.fields() if each.path in asked}
        self.clear()

    def clear(self) -> None:
        """Forget every message."""
        self.received_ns: list[int] = []
        self.stamp_ns: list[int] = []
        self.values: dict[str, list[tuple[int, np.ndarray | str]]] = {name: [] for name in self.fields}
        self.names: list[tuple[str, ...]] = []

    def take(self, received_ns: int, content: bytes) -> None:
        """Add a message.

        Raises:
            DatasetError: damaged, or received at no time; names bag and topic.
        """
        if not 0 <= received_ns < LATEST_NS:
            raise DatasetError(f"{self.decoder.place} has a message received at {received_ns} ns, which is no time.")
        number, stamp_ns = len(self.received_ns), 0
        if self.decoder.is_picture:
            stamp_ns = header_stamp_ns(content, self.decoder.place)
        else:
            message = self.decoder.message(content)
            if self.decoder.header is not None:
                stamp = getattr(message, self.decoder.header).stamp
                stamp_ns = int(stamp.sec) * 10**9 + int(stamp.nanosec)
            self.names.append(names_of(message))
            for name, field in self.fields.items():
                value = field.of(message)
                if value is not None:
                    self.values[name].append((number, value))
        self.received_ns.append(received_ns)
        # A stamp of zero means "now" to controllers and "not set" to drivers.
        self.stamp_ns.append(stamp_ns or received_ns)


@dataclass(frozen=True)
class Stream:
    """One feature over time.

    Attributes:
        feature: what it is.
        topic: its topic.
        stamps: of its messages, ascending, ns.
        values: one row per stamp: numbers, texts, or for pictures the numbers of the messages that hold them.
    """

    feature: SourceFeature
    topic: str
    stamps: np.ndarray
    values: np.ndarray | list[str]


def topic_and_field(path: str) -> tuple[str, str]:
    """Return ("/joint_states", "position") for "/joint_states:position"."""
    topic, _, name = path.rpartition(":")
    return topic, name


def received(
    bag: Bag, decoders: Mapping[str, Decoder], features: Iterable[SourceFeature], window: tuple[int, int] | None
) -> dict[str, TopicMessages]:
    """Read the numbers, texts and stamps of the topics of some features; pictures are left in the bag.

    Args:
        window: of receive times, ns, of an episode that is a part of the bag.
    Raises:
        DatasetError: a message is damaged; names bag and topic.
    """
    wanted: dict[str, list[SourceFeature]] = {topic: [] for topic in decoders}
    for feature in features:
        wanted[topic_and_field(feature.path)[0]].append(feature)
    found = {topic: TopicMessages(decoder, wanted[topic]) for topic, decoder in decoders.items()}
    for topic, received_ns, content in bag.messages(found.keys(), *widened(window)):
        found[topic].take(received_ns, content)
    if window is not None:
        # What is held at the beginning of the episode may be much older: an instruction, a gripper's last command.
        late = [name for name, topic in found.items() if not topic.decoder.is_picture and not _has_begun(topic, window)]
        for name in late:
            found[name].clear()
        for topic, received_ns, content in bag.messages(late, None, widened(window)[1]):
            found[topic].take(received_ns, content)
    return found


def widened(window: tuple[int, int] | None) -> tuple[int | None, int | None]:
    """Return the receive times between which the messages of an episode are read; None is the end of the bag."""
    return (None, None) if window is None else (max(window[0] - LAG_NS, 0), window[1] + LAG_NS)


def _has_begun(topic: TopicMessages, window: tuple[int, int]) -> bool:
    return any(stamp_ns <= window[0] for stamp_ns in topic.stamp_ns)


def clock_gap(topics: Mapping[str, TopicMessages]) -> Gap | None:
    """Return why receive times have to serve for every topic; None where the stamps are of one clock."""
    lags = {
        topic: int(np.median(np.array(messages.received_ns) - np.array(messages.stamp_ns)))
        for topic, messages in topics.items()
        if messages.received_ns
    }
    if not lags or max(lags.values()) - min(lags.values()) <= CLOCK_SPREAD_NS:
        return None
    least, most = min(lags, key=lags.__getitem__), max(lags, key=lags.__getitem__)
    at_ns = min(messages.received_ns[0] for messages in topics.values() if messages.received_ns)
    what = f"stamped by another clock than {least}; receive times serve for every topic; difference"
    return Gap(most, at_ns, lags[most] - lags[least], what)


def streams_of(messages: TopicMessages, *, by_receive_time: bool, limit_ns: int) -> tuple[list[Stream], list[Gap]]:
    """Return the streams of a topic and what is to be said of its clock.

    Raises:
        DatasetError: a vector of another length or of other joints than described; names bag and topic.
    """
    topic, place = messages.decoder.topic, messages.decoder.place
    stamps = np.array(messages.received_ns if by_receive_time else messages.stamp_ns, dtype=np.int64)
    ordered = in_time_order(stamps, limit_ns)
    gaps = [Gap(topic, at_ns, back_ns, "stamped before its predecessor") for at_ns, back_ns in ordered.late]
    if ordered.cut is not None:
        at_ns, back_ns, n_left = ordered.cut
        gaps.append(Gap(topic, at_ns, back_ns, f"the clock is set back, the {n_left} messages after it are left out"))
    position = np.full(len(stamps), -1)
    position[ordered.order] = np.arange(ordered.order.size)
    streams = []
    for feature in messages.wanted:
        name = topic_and_field(feature.path)[1]
        if messages.decoder.is_picture:
            streams.append(Stream(feature, topic, stamps[ordered.order], ordered.order))
            continue
        kept = sorted((int(position[n]), n, value) for n, value in messages.values[name] if position[n] >= 0)
        numbers, values = [n for _, n, _ in kept], [value for _, _, value in kept]
        if feature.kind == "text":
            streams.append(Stream(feature, topic, stamps[numbers], [str(value) for value in values]))
        elif feature.names and messages.fields[name].size == (None,):
            first, rows = _by_joint(feature, values, [messages.names[n] for n in numbers], place)
            streams.append(Stream(feature, topic, stamps[numbers[first:]], rows))
        else:
            streams.append(Stream(feature, topic, stamps[numbers], _stacked(feature, values, place)))
    return streams, gaps


def read_pictures(
    bag: Bag, chosen: Sequence[tuple[Decoder, np.ndarray]], window: tuple[int, int] | None
) -> dict[str, dict[int, bytes]]:
    """Return topic -> message number -> encoded picture of the chosen messages, in one pass over the bag.

    Raises:
        DatasetError: a picture is damaged; names bag, topic and message.
    """
    decoders = {decoder.topic: decoder for decoder, _ in chosen}
    wanted = {decoder.topic: frozenset(numbers.tolist()) for decoder, numbers in chosen}
    pictures: dict[str, dict[int, bytes]] = {topic: {} for topic in decoders}
    count = dict.fromkeys(decoders, 0)
    for topic, _, content in bag.messages(decoders.keys(), *widened(window)):
        number, decoder = count[topic], decoders[topic]
        count[topic] += 1
        if number in wanted[topic]:
            place = f"Message {number} of {decoder.place}"
            pictures[topic][number] = encoded_picture(decoder.message(content), decoder.msgtype, place)
    return pictures


def _stacked(feature: SourceFeature, vectors: Sequence[np.ndarray | str], place: str) -> np.ndarray:
    for vector in vectors:
        if np.shape(vector) != feature.shape:
            raise DatasetError(
                f"{place} has a message with {np.size(vector)} numbers in {feature.path}; expected {feature.shape}."
            )
    return np.array(vectors, dtype=feature.dtype).reshape(len(vectors), *(size or 0 for size in feature.shape))


def _by_joint(
    feature: SourceFeature, vectors: Sequence[np.ndarray | str], names: list[tuple[str, ...]], place: str
) -> tuple[int, np.ndarray]:
    """Return (first message, numbers in the order of the feature's names from it on), every joint held on its own.

    Nodes that take turns on one topic name some joints each; the first message is the one that completes them.
    """
    column = {name: index for index, name in enumerate(feature.names)}
    current = np.zeros(len(column), dtype=feature.dtype)
    known = np.zeros(len(column), dtype=bool)
    rows = np.zeros((len(vectors), len(column)), dtype=feature.dtype)
    first = len(vectors)
    for index, (vector, message_names) in enumerate(zip(vectors, names, strict=True)):
        unknown = [name for name in message_names if name not in column]
        if unknown or len(message_names) != np.size(vector):
            raise DatasetError(
                f"{place} has a message with {np.size(vector)} numbers in {feature.path} for the joints "
                f"{', '.join(message_names) or 'without names'}; the bag began with {', '.join(feature.names)}."
            )
        columns = [column[name] for name in message_names]
        current[columns] = vector
        known[columns] = True
        rows[index] = current
        if first == len(vectors) and known.all():
            first = index
    return first, rows[first:]
