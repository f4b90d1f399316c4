"""ROS 2 bags as a source: topics as features, and episodes resampled to a control rate."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from qsft_datasets.rosbag.bag import opened_bag, read_metadata
from qsft_datasets.rosbag.control_steps import ControlRate, resampled
from qsft_datasets.rosbag.finding import bags_below
from qsft_datasets.rosbag.markers import (
    EPISODE_TOPIC,
    LAST_NS,
    OUTCOME_TOPIC,
    Stretch,
    marker_topic,
    stretches_of,
)
from qsft_datasets.rosbag.topics import features_of
from qsft_datasets.source import (
    EpisodeReference,
    Scalar,
    SourceDescription,
    SourceEpisode,
    SourceFeature,
)
from vlm_qsft.errors import DatasetError, InvalidSetting

LABEL, SUCCESS, CUSTOM = "episode:label", "episode:success", "custom_data/"


@dataclass(frozen=True)
class RosbagSource:
    """One bag, or a folder of bags.

    Attributes:
        root: the bag or the folder.
        rate: control steps per second; without it episodes cannot be read.
        reference_topic: a message of this topic is the first control step; None begins where every topic has begun.
        observed: features taken as last known at a step; None takes everything that does not follow it.
        following: features taken as what follows a step: actions, rewards.
        episode_topic, outcome_topic: see `markers`.
        tolerance_s: an observation stamped this much after a step still counts for it.
        gap_limit_s: an observation older than this is reported; see `control_steps`.
    """

    root: Path
    rate: Fraction | None = None
    reference_topic: str | None = None
    observed: tuple[str, ...] | None = None
    following: tuple[str, ...] = ()
    episode_topic: str | None = None
    outcome_topic: str | None = None
    tolerance_s: float = 0.0
    gap_limit_s: float = 0.2

    def __post_init__(self) -> None:
        if self.rate is not None and not 0 < self.rate <= 10_000:
            raise InvalidSetting(f"The control rate is {self.rate}; expected 0 < steps per second <= 10000.")
        if not 0 <= self.tolerance_s < 1 or not 0 < self.gap_limit_s < 3600:
            raise InvalidSetting(
                f"tolerance_s is {self.tolerance_s} and gap_limit_s {self.gap_limit_s}; expected 0 <= tolerance_s < 1 "
                "and 0 < gap_limit_s < 3600."
            )

    def at_rate(
        self, fps: Fraction, *, observed: Collection[str] | None = None, following: Collection[str] = ()
    ) -> RosbagSource:
        """Return the same bags at a control rate.

        Args:
            fps: control steps per second, exact.
            observed: features of what the robot knew: cameras, state, instruction. Only their topics decide when an
                episode begins and ends. None takes every feature that does not follow.
            following: features of what came after: actions and rewards.
        Raises:
            UnknownName: no such feature.
            InvalidSetting: a rate that is none, or a feature in both.
        """
        for path in (*(observed or ()), *following):
            self.description.feature(path)
        both = sorted({*(observed or ())} & {*following})
        if both:
            raise InvalidSetting(f"{', '.join(both)} cannot be both what a step observes and what follows it.")
        chosen = None if observed is None else tuple(observed)
        changed = replace(self, rate=Fraction(fps), observed=chosen, following=tuple(following))
        # It holds for any rate, and a compressed bag is slow to open.
        changed.__dict__["description"] = self.description
        return changed

    @cached_property
    def description(self) -> SourceDescription:
        """The topics of the first bag as "/topic:field". Those of kind "bytes" are left out; their note says why.

        Raises:
            DatasetError: the first bag is damaged; names it.
        """
        path = bags_below(self.root)[0]
        with opened_bag(path) as bag:
            features = [feature for topic in bag.topics.values() for feature in features_of(bag, topic)]
            custom = [SourceFeature(f"{CUSTOM}{key}", "text", "str", (), per_episode=True) for key in bag.custom]
            episodes = marker_topic(bag, self.episode_topic, EPISODE_TOPIC)
            outcomes = marker_topic(bag, self.outcome_topic, OUTCOME_TOPIC)
        if episodes is not None:
            features.append(SourceFeature(LABEL, "text", "str", (), note=episodes, per_episode=True))
        if episodes is not None or outcomes is not None:
            note = ", ".join(topic for topic in (episodes, outcomes) if topic)
            features.append(SourceFeature(SUCCESS, "number", "bool", (), note=note, per_episode=True))
        name = self.root.name if self.root.is_dir() else self.root.stem
        return SourceDescription("rosbag2", name, tuple(features + custom))

    def references(self) -> Sequence[EpisodeReference]:
        """Return every episode, bags in natural order; only marker and outcome topics are read.

        Raises:
            DatasetError: a bag is damaged or misses a file, or a marker is none; names the bag.
        """
        references = []
        for path in bags_below(self.root):
            name = path.name if path == self.root else path.relative_to(self.root).as_posix()
            stretches = self._stretches(path)
            for index, stretch in enumerate(stretches):
                outcome = "" if stretch.is_success is None else ("success" if stretch.is_success else "failure")
                is_whole = (stretch.start_ns, stretch.end_ns) == (0, LAST_NS)
                key = name if is_whole else f"{name}#{index}"
                position = (stretch.start_ns, stretch.end_ns, stretch.label, outcome)
                references.append(EpisodeReference(key, name, position))
        return references

    def read(self, reference: EpisodeReference) -> SourceEpisode:
        """Return an episode at the control rate; pictures stay encoded.

        Raises:
            InvalidSetting: no rate was chosen.
            DatasetError: a message is damaged, a topic is missing, topics do not overlap; names bag and topic.
        """
        if self.rate is None:
            raise InvalidSetting(f"{self.root} needs a control rate: the mapping's fps.")
        start_ns, end_ns, label, outcome = reference.position
        window = None if (start_ns, end_ns) == (0, LAST_NS) else (int(start_ns), int(end_ns))
        path = self.root if path_is_bag(self.root, reference.file) else self.root / reference.file
        rate = ControlRate(
            self.rate,
            reference_topic=self.reference_topic,
            tolerance_ns=round(self.tolerance_s * 1e9),
            gap_limit_ns=round(self.gap_limit_s * 1e9),
        )
        with opened_bag(path) as bag:
            steps, n_ticks, gaps = resampled(bag, self._observed(), self._following(), rate, window)
            facts: dict[str, Scalar] = {f"{CUSTOM}{key}": value for key, value in bag.custom.items()}
        if label:
            facts[LABEL] = str(label)
        if outcome:
            facts[SUCCESS] = outcome == "success"
        return SourceEpisode(reference.key, n_ticks, steps, facts, gaps)

    def _stretches(self, path: Path) -> list[Stretch]:
        markers = (self.episode_topic or EPISODE_TOPIC, self.outcome_topic or OUTCOME_TOPIC)
        was_asked = self.episode_topic is not None or self.outcome_topic is not None
        if path.is_dir() and not was_asked and not any(topic in topics_stated(path) for topic in markers):
            return [Stretch(0, LAST_NS)]
        with opened_bag(path) as bag:
            episodes = marker_topic(bag, self.episode_topic, EPISODE_TOPIC)
            return stretches_of(bag, episodes, marker_topic(bag, self.outcome_topic, OUTCOME_TOPIC))

    def _observed(self) -> list[SourceFeature]:
        stepwise = [each for each in self.description.features if not each.per_episode]
        if self.observed is None:
            return [each for each in stepwise if each.kind != "bytes" and each.path not in self.following]
        return [self._convertible(path) for path in self.observed]

    def _following(self) -> list[SourceFeature]:
        return [self._convertible(path) for path in self.following]

    def _convertible(self, path: str) -> SourceFeature:
        feature = self.description.feature(path)
        if feature.kind == "bytes" or feature.per_episode:
            raise DatasetError(f"{path} has no value per step: {feature.note or 'it belongs to the episode'}.")
        return feature


def path_is_bag(root: Path, name: str) -> bool:
    """Return whether a reference means the root itself, which is a bag."""
    return root.name == name and not (root / name).exists()


def topics_stated(path: Path) -> list[str]:
    """Return the topics that the metadata of a bag folder names, without opening its files, which may be compressed.

    Raises:
        DatasetError: the metadata is damaged, or a file that it names is missing.
    """
    stated = read_metadata(path).get("topics_with_message_count")
    entries = stated if isinstance(stated, list) else []
    return [str(entry["topic_metadata"]["name"]) for entry in entries]
