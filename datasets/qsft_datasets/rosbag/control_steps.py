"""One episode of a bag as control steps.

The episode begins when every topic has a message, and ends with the first topic that ends; what lies outside is left
out and reported. Three kinds of topic do not end it, because what they said last stays true: texts, flags, and commands
that come more seldom than the gap limit (a gripper that is closed once). An observation that is older than the gap
limit, or than three of its topic's own periods where those are longer, is held and reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from qsft_datasets.rosbag import resampling
from qsft_datasets.rosbag.bag import Bag
from qsft_datasets.rosbag.gaps import Gap, in_words
from qsft_datasets.rosbag.streams import Stream, clock_gap, read_pictures, received, streams_of, topic_and_field
from qsft_datasets.rosbag.topics import Decoder, decoder_of
from qsft_datasets.source import SourceFeature, StepValues
from vlm_qsft.errors import DatasetError, UnknownName

MOST_TICKS = 5_000_000
"""More than a day at 50 steps per second: such an episode comes from stamps of two clocks."""
PERIODS = 3


@dataclass(frozen=True)
class ControlRate:
    """How messages become steps.

    Attributes:
        fps: control steps per second, exact.
        reference_topic: its first message inside the episode is the first step; None begins with the episode.
        tolerance_ns: an observation stamped this much after a step still counts for it.
        gap_limit_ns: see the module.
    """

    fps: Fraction
    reference_topic: str | None = None
    tolerance_ns: int = 0
    gap_limit_ns: int = 200_000_000


@dataclass(frozen=True)
class Interval:
    """The steps of an episode: the first at `start_ns`, none after `end_ns`."""

    start_ns: int
    end_ns: int
    gaps: tuple[Gap, ...]


def resampled(
    bag: Bag,
    observed: Sequence[SourceFeature],
    following: Sequence[SourceFeature],
    rate: ControlRate,
    window: tuple[int, int] | None,
) -> tuple[dict[str, StepValues], int, tuple[str, ...]]:
    """Return (feature path -> values per step, number of steps, what had to be bridged).

    Args:
        window: of an episode that is a part of the bag, ns.
    Raises:
        DatasetError: a topic is missing or damaged, or topics do not overlap; names bag and topic.
    """
    features = [*observed, *following]
    decoders = _decoders(bag, features)
    topics = received(bag, decoders, features, window)
    clock = clock_gap(topics)
    streams: list[Stream] = []
    gaps = [clock] if clock is not None else []
    for messages in topics.values():
        of_topic, topic_gaps = streams_of(messages, by_receive_time=clock is not None, limit_ns=rate.gap_limit_ns)
        streams += of_topic
        gaps += topic_gaps
    follows = {feature.path for feature in following}
    interval = interval_of(streams, follows, rate, window, place=str(bag.path))
    times, next_ns = _ticks(bag, streams, rate, interval)
    rows = {
        stream.feature.path: resampling.following(stream.stamps, times, next_ns)
        if stream.feature.path in follows
        else resampling.held(stream.stamps, times, rate.tolerance_ns)
        for stream in streams
    }
    pictures = read_pictures(bag, _chosen(streams, rows, decoders), window)
    steps = {stream.feature.path: _values(stream, rows[stream.feature.path], pictures) for stream in streams}
    for stream in streams:
        limit_ns = limit_of(stream, rate)
        if ends_episode(stream, follows, rate):
            for at_ns, length_ns in resampling.silences(stream.stamps, int(times[0]), int(times[-1]), limit_ns):
                gaps.append(Gap(stream.topic, at_ns, length_ns, f"no message for more than {limit_ns / 1e9:.3f} s"))
    inside = [gap for gap in gaps if window is None or window[0] - rate.gap_limit_ns <= gap.at_ns <= window[1]]
    ordered = {feature.path: steps[feature.path] for feature in features}
    return ordered, len(times), in_words([*interval.gaps, *inside], int(times[0]))


def ends_episode(stream: Stream, follows: set[str], rate: ControlRate) -> bool:
    """Return whether a stream's last message ends the episode: see the module."""
    if stream.feature.kind == "text" or stream.feature.dtype == "bool":
        return False
    return stream.feature.path not in follows or _period_ns(stream) <= rate.gap_limit_ns


def limit_of(stream: Stream, rate: ControlRate) -> int:
    """Return the age from which a held message is reported, ns."""
    period_ns = _period_ns(stream)
    return max(rate.gap_limit_ns, PERIODS * period_ns) if stream.stamps.size > PERIODS else rate.gap_limit_ns


def interval_of(
    streams: Sequence[Stream], follows: set[str], rate: ControlRate, window: tuple[int, int] | None, *, place: str
) -> Interval:
    """Return when the episode begins and ends, and what is left out at both ends.

    Raises:
        DatasetError: a topic has no message, or one ends before another begins; names them with their times.
    """
    if not streams:
        raise DatasetError(f"{place} has no topic that can be converted; every one is left out.")
    empty = sorted({stream.feature.path for stream in streams if not stream.stamps.size})
    if empty:
        raise DatasetError(f"{place} has no message for {', '.join(empty)} in this episode.")
    firsts = {stream.feature.path: int(stream.stamps[0]) for stream in streams}
    lasts = {each.feature.path: int(each.stamps[-1]) for each in streams if ends_episode(each, follows, rate)}
    begun, open_end = max(firsts.values()), max(int(stream.stamps[-1]) for stream in streams)
    ended = min(lasts.values()) if lasts else open_end
    start_ns = begun if window is None else max(begun, window[0])
    end_ns = ended if window is None else min(ended, window[1])
    if end_ns < start_ns:
        late, early = max(firsts, key=firsts.__getitem__), min(lasts or firsts, key=(lasts or firsts).__getitem__)
        raise DatasetError(
            f"{place} has no time at which every topic is there: {late} begins at {start_ns / 1e9:.3f} s, {early} ends "
            f"at {end_ns / 1e9:.3f} s. If both are right, they were stamped by different clocks."
        )
    earliest = min(firsts.values()) if window is None else window[0]
    latest = max(lasts.values()) if lasts else end_ns
    if window is not None:
        latest = min(latest, window[1])
    gaps = [
        Gap(topic_and_field(path)[0], earliest, first - earliest, "begins late, what came before is left out")
        for path, first in firsts.items()
        if first - earliest > rate.gap_limit_ns
    ]
    gaps += [
        Gap(topic_and_field(path)[0], last, latest - last, "ends early, what comes after is left out")
        for path, last in lasts.items()
        if latest - last > rate.gap_limit_ns
    ]
    return Interval(start_ns, end_ns, tuple(gaps))


def _ticks(bag: Bag, streams: Sequence[Stream], rate: ControlRate, interval: Interval) -> tuple[np.ndarray, int]:
    """Return the times of the steps and the time of the one after the last."""
    start_ns = interval.start_ns
    if rate.reference_topic is not None:
        of_topic = {stream.topic: stream for stream in streams}
        if rate.reference_topic not in of_topic:
            raise UnknownName("reference topic", rate.reference_topic, of_topic, where=f"what is taken of {bag.path}")
        stamps = of_topic[rate.reference_topic].stamps
        index = int(np.searchsorted(stamps, start_ns))
        start_ns = int(stamps[index]) if index < stamps.size else interval.end_ns + 1
    n_ticks = resampling.tick_count(start_ns, interval.end_ns, rate.fps)
    if not 0 < n_ticks <= MOST_TICKS:
        raise DatasetError(
            f"{bag.path} gives {n_ticks} steps at {rate.fps} per second between {interval.start_ns / 1e9:.3f} s and "
            f"{interval.end_ns / 1e9:.3f} s; expected 1 to {MOST_TICKS}."
        )
    return resampling.ticks(start_ns, n_ticks, rate.fps), resampling.tick_ns(start_ns, n_ticks, rate.fps)


def _period_ns(stream: Stream) -> int:
    """Return the middle time between messages; more than any limit where there is one message only."""
    return int(np.median(np.diff(stream.stamps))) if stream.stamps.size > 1 else 2**62


def _chosen(
    streams: Sequence[Stream], rows: Mapping[str, np.ndarray], decoders: Mapping[str, Decoder]
) -> list[tuple[Decoder, np.ndarray]]:
    """Return the cameras and the numbers of their messages that a step shows."""
    return [
        (decoders[stream.topic], np.asarray(stream.values)[rows[stream.feature.path]])
        for stream in streams
        if stream.feature.kind == "image"
    ]


def _values(stream: Stream, rows: np.ndarray, pictures: Mapping[str, Mapping[int, bytes]]) -> StepValues:
    if stream.feature.kind == "image":
        return [pictures[stream.topic][int(number)] for number in np.asarray(stream.values)[rows]]
    if isinstance(stream.values, list):
        return [stream.values[row] for row in rows]
    return stream.values[rows]


def _decoders(bag: Bag, features: Sequence[SourceFeature]) -> Mapping[str, Decoder]:
    decoders = {}
    for feature in features:
        topic = topic_and_field(feature.path)[0]
        if topic not in bag.topics:
            raise DatasetError(f"{bag.path} has no topic {topic}. Topics: {', '.join(bag.topics) or 'none'}.")
        if topic not in decoders:
            decoders[topic] = decoder_of(bag, bag.topics[topic])
    return decoders
