"""What every source format offers: a description of its features, cheap references to episodes, and the episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

Scalar = str | int | float | bool
FeatureKind = Literal["number", "image", "video", "text", "bytes"]


@dataclass(frozen=True)
class SourceFeature:
    """One feature as the source itself describes it.

    Attributes:
        path: its address in the source, "/" between levels: "observation/image_0", "obs/agentview_image",
            "observation.images.front", "/joint_states:position". Mapping files name features by it.
        kind: "image" is one encoded or raw picture per step, "video" a stretch of a video file.
        dtype: NumPy's name of the numbers; "uint8" for pictures.
        shape: of one step, without the step axis; None where an axis varies.
        names: of the numbers of a vector, where the source gives them.
        note: the source's own words; they are often wrong and are shown, never believed.
        per_episode: True where there is one value per episode instead of one per step.
    """

    path: str
    kind: FeatureKind
    dtype: str
    shape: tuple[int | None, ...]
    names: tuple[str, ...] = ()
    note: str = ""
    per_episode: bool = False


@dataclass(frozen=True)
class SourceDescription:
    """What a source says of itself.

    Attributes:
        format: "rlds", "lerobot-v2.0", "lerobot-v2.1", "lerobot-v3.0", "hdf5-robomimic", "hdf5-aloha", "hdf5-libero",
            "rosbag2".
        name: of the data set, by which a shipped mapping is found.
        features: everything it holds, in its order.
        fps: control steps per second, where the source states it; never guessed.
        robot_type: where the source states it.
        notes: where the source contradicts itself or its files: declared cameras without files, missing files, other
            codecs, rates and shapes than announced.
    """

    format: str
    name: str
    features: tuple[SourceFeature, ...]
    fps: Fraction | None = None
    robot_type: str | None = None
    notes: tuple[str, ...] = ()

    def feature(self, path: str) -> SourceFeature:
        """Return a feature.

        Raises:
            UnknownName: no such feature; lists those there are.
        """
        from vlm_qsft.errors import UnknownName

        for feature in self.features:
            if feature.path == path:
                return feature
        raise UnknownName("feature", path, [feature.path for feature in self.features], where=self.name)


@dataclass(frozen=True)
class EpisodeReference:
    """Where an episode lies: small, picklable, and stable from run to run.

    Attributes:
        key: unique in the source and shown to people: "bridge-train.tfrecord-00000-of-00001#3", "demo_12".
        file: below the root of the source.
        position: what the source needs to find it in that file: record number, byte offset, group name, row range.
        split: the source's own split, "" where it has none.
        lost: why nothing can be read there, where that is known before reading: a shard that is missing or cut off.
            Where nobody knows how many episodes are lost with it, one reference stands for all of them.
    """

    key: str
    file: str
    position: tuple[int | str, ...] = ()
    split: str = ""
    lost: str = ""


@dataclass(frozen=True)
class VideoStretch:
    """A stretch of a video file, one frame per step; the file is copied as it is where nothing has to change.

    Attributes:
        path: of the video file.
        from_s, to_s: the stretch, seconds of the video's own clock.
        n_frames: steps.
    """

    path: Path
    from_s: float
    to_s: float
    n_frames: int


StepValues = np.ndarray | Sequence[bytes] | Sequence[str] | VideoStretch
"""One feature over an episode: (step, *shape) numbers of the source's own type; raw pictures (step, height, width, 3)
uint8; encoded pictures or bytes per step; texts per step; or a stretch of video."""


@dataclass(frozen=True)
class SourceEpisode:
    """One episode as the source gives it, nothing dropped and nothing interpreted.

    Attributes:
        key: of its reference.
        length: steps; every entry of `steps` has this many.
        steps: feature path -> values.
        episode: per-episode features: path -> value.
        gaps: what is odd about its times, in words: stretches that a resampler had to bridge, time stamps at odds with
            the stated rate, numbers that are missing.
    """

    key: str
    length: int
    steps: Mapping[str, StepValues]
    episode: Mapping[str, Scalar | np.ndarray] = field(default_factory=dict)
    gaps: tuple[str, ...] = ()


class Source(Protocol):
    """A data set of a foreign format. Picklable: worker processes open their own copy."""

    @property
    def root(self) -> Path:
        """The folder or file that was opened."""
        ...

    @property
    def description(self) -> SourceDescription:
        """What the source says of itself.

        Raises:
            DatasetError: the description is missing or contradicts itself; names the file.
        """
        ...

    def references(self) -> Sequence[EpisodeReference]:
        """Return every episode in a fixed order, without reading pictures.

        Raises:
            DatasetError: a file is missing or damaged; names it.
        """
        ...

    def read(self, reference: EpisodeReference) -> SourceEpisode:
        """Return one episode; memory holds this episode and no other.

        Raises:
            DatasetError: the record is damaged; names file and record.
        """
        ...
