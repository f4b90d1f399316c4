"""A whole source -> a canonical data set: in any number of processes, resumable, with the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol, runtime_checkable

from qsft_datasets.conversion import EpisodeConversion, schema_of
from qsft_datasets.coverage import check_fit, used_whole
from qsft_datasets.mapping import Mapping
from qsft_datasets.mapping_checks import check_mapping
from qsft_datasets.mapping_file import MAPPING_NAME
from qsft_datasets.mapping_text import mapping_text
from qsft_datasets.outcome import OutcomeTable, label_source, read_outcome_table
from qsft_datasets.pictures import camera_values, may_be_copied
from qsft_datasets.source import EpisodeReference, Source, SourceEpisode
from qsft_datasets.source_checks import (
    refuse_found_again,
    refuse_lost,
    refuse_missing_files,
    refuse_overlap,
    refuse_repeated_keys,
)
from vlm_qsft.data import DatasetReader, Episode, LabelSettings, write_episodes
from vlm_qsft.data.recording import BAD_EPISODE, Run
from vlm_qsft.data.schema import CameraStorage
from vlm_qsft.data.writer import REFUSED_PATH
from vlm_qsft.errors import DatasetError
from vlm_qsft.processes import Progress


@dataclass(frozen=True)
class ConversionSettings:
    """What a conversion is asked for besides its mapping.

    Attributes:
        reward_rule, gamma: of the labels.
        skip_bad: leave damaged episodes out and count them, instead of ending at the first.
        decode_videos: store pictures also where video files could be copied.
        workers: processes.
    """

    reward_rule: str = "binary01"
    gamma: float = 0.97
    skip_bad: bool = False
    decode_videos: bool = False
    workers: int = 1


@dataclass(frozen=True)
class Summary:
    """What a conversion did.

    Attributes:
        episodes_in: of the source.
        refused: (episode, reason) of those that were left out.
        successes: episodes that reached their goal.
        without_instruction: episodes whose (first) instruction is empty.
        with_gaps: episodes in which a resampler bridged gaps.
    """

    episodes_in: int
    episodes_out: int
    frames: int
    refused: tuple[tuple[str, str], ...]
    successes: int
    without_instruction: int
    with_gaps: int


@runtime_checkable
class ResampledSource(Protocol):
    """A source whose steps come about only at a rate that the mapping gives (ROS 2 bags)."""

    def at_rate(
        self, fps: Fraction, *, observed: Collection[str] | None = None, following: Collection[str] = ()
    ) -> Source:
        """Return the source with steps at this rate.

        Args:
            observed: features of what the robot knew at a step; None takes every feature that does not follow.
            following: features of what came after it: actions and rewards.
        """
        ...


@dataclass(frozen=True)
class EpisodeMaker:
    """Reads and converts one episode; what a worker process needs."""

    source: Source
    conversion: EpisodeConversion

    def __call__(self, reference: EpisodeReference) -> Episode:
        """Return the canonical episode. Raises as `Source.read` and `EpisodeConversion`."""
        return self.conversion(self.source.read(reference), reference)


def convert_dataset(
    source: Source,
    mapping: Mapping,
    root: Path,
    *,
    settings: ConversionSettings,
    progress: Progress | None = None,
    run: Run | None = None,
) -> Summary:
    """Convert a source and finalize the result; interrupted, the same call continues to the same bytes.

    Args:
        root: folder of the canonical data set.
        progress: called with (complete, total) episodes.
        run: see `write_episodes`; a Ray cluster, for example.
    Raises:
        DatasetError: the source is damaged or does not fit the mapping; without `skip_bad` also a damaged episode; or
            the result is finalized without episodes that can be read by now.
        InvalidSetting: the mapping contradicts itself, or success is not decided.
        UnknownName: a feature that the source does not have.
        StorageError: disk full; what is complete is kept.
    """
    root = Path(root)
    refuse_overlap(source.root, root)
    check_mapping(mapping)
    check_fit(mapping, source.description)
    labels = LabelSettings(settings.reward_rule, settings.gamma, label_source(mapping.outcome))
    outcomes = None
    if mapping.outcome.source == "csv":
        outcomes = read_outcome_table(Path(mapping.outcome.path or ""))
    source = at_rate(source, mapping)
    references = source.references()
    refuse_repeated_keys(source, references)
    if not settings.skip_bad:
        refuse_lost(references)
        refuse_missing_files(source, mapping)
    first = first_readable(source, references, skip_bad=settings.skip_bad)
    storage = picture_storage(mapping, first, decode_videos=settings.decode_videos)
    schema = schema_of(mapping, source.description, first, storage=storage)
    conversion = EpisodeConversion(mapping, source.description, schema, settings.reward_rule, outcomes)
    del first
    make_episode = EpisodeMaker(source, conversion)
    refuse_found_again(root, references, make_episode)
    write_episodes(
        root,
        schema,
        references,
        make_episode,
        labels=labels,
        workers=settings.workers,
        progress=progress,
        recipe=recipe_of(source, mapping, references, outcomes),
        skip_bad=settings.skip_bad,
        name_of=name_of,
        documents={MAPPING_NAME: mapping_text(mapping, header="How this data set came about.")},
        run=run,
    )
    return summary_of(root, len(references))


def at_rate(source: Source, mapping: Mapping) -> Source:
    """Return the source with steps at the mapping's rate, where it has none of its own."""
    if not isinstance(source, ResampledSource):
        return source
    following = {part.path for part in mapping.action} | {path for path in (mapping.reward,) if path is not None}
    observed = {part.path for part in mapping.state} | set(used_whole(mapping))
    per_step = {feature.path for feature in source.description.features if not feature.per_episode}
    return source.at_rate(
        mapping.fps, observed=sorted((observed - following) & per_step), following=sorted(following & per_step)
    )


def name_of(reference: EpisodeReference) -> str:
    """Return how people call an episode."""
    return reference.key


def first_readable(source: Source, references: Sequence[EpisodeReference], *, skip_bad: bool) -> SourceEpisode:
    """Return the first episode that can be read.

    Raises:
        DatasetError: the first one is damaged, or with `skip_bad` all of them are.
    """
    reasons = []
    for reference in references:
        try:
            episode = source.read(reference)
            if episode.length:
                return episode
            reasons.append(f"'{reference.key}' has no step")
        except BAD_EPISODE as error:
            if not skip_bad:
                raise
            reasons.append(str(error))
    raise DatasetError(
        f"{source.root} has {len(references)} episodes, none of which can be read"
        + (f"; the first: {reasons[0]}" if reasons else ".")
    )


def picture_storage(mapping: Mapping, first: SourceEpisode, *, decode_videos: bool) -> CameraStorage:
    """Return "video" where the files of all cameras can be copied as they are."""
    if decode_videos or not mapping.cameras:
        return "image"
    copied = all(may_be_copied(camera_values(first, camera), camera) for camera in mapping.cameras)
    return "video" if copied else "image"


def recipe_of(
    source: Source, mapping: Mapping, references: Sequence[EpisodeReference], outcomes: OutcomeTable | None
) -> dict[str, str | int | float | bool]:
    """Return what decides the content: a second start with anything else is refused."""
    recipe: dict[str, str | int | float | bool] = {
        "source": source.description.name,
        "format": source.description.format,
        "mapping": digest(mapping_text(mapping)),
        "episode_keys": digest(*(reference.key for reference in references)),
    }
    if outcomes is not None:
        said = {key: (row.success, row.terminated) for key, row in outcomes.items()}
        recipe["outcomes"] = digest(json.dumps(said, sort_keys=True))
    return recipe


def digest(*texts: str) -> str:
    """Return a short name of texts that changes with them."""
    whole = hashlib.sha256()
    for text in texts:
        whole.update(text.encode() + b"\0")
    return whole.hexdigest()[:16]


def summary_of(root: Path, episodes_in: int) -> Summary:
    """Return what stands in a converted data set."""
    reader = DatasetReader(root)
    table = reader.episodes
    path = root / REFUSED_PATH
    refused = json.loads(path.read_text()) if path.exists() else []
    return Summary(
        episodes_in=episodes_in,
        episodes_out=len(table),
        frames=reader.n_frames,
        refused=tuple((entry["episode"], entry["reason"]) for entry in refused),
        successes=0 if table.success is None else int(table.success.sum()),
        without_instruction=sum(not text.strip() for text in table.instruction),
        with_gaps=sum(gaps is not None for gaps in table.attributes.get("gaps", ())),
    )


def with_overrides(mapping: Mapping, **changes: object) -> Mapping:
    """Return the mapping with what was asked for on the command line; None changes nothing."""
    given = {name: value for name, value in changes.items() if value is not None}
    return replace(mapping, **given) if given else mapping
