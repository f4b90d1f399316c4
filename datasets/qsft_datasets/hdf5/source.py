"""HDF5 sets as a source: what their arrays are, where their episodes lie, and one episode at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import h5py

from qsft_datasets.hdf5.attributes import attribute_feature
from qsft_datasets.hdf5.files import array_at, group_at, opened, place_of
from qsft_datasets.hdf5.finding import hdf5_files
from qsft_datasets.hdf5.layouts import Layout, Place, layout_of
from qsft_datasets.hdf5.padding import check_lengths
from qsft_datasets.hdf5.tree import arrays_below
from qsft_datasets.hdf5.values import (
    check_declared,
    feature_of,
    first_picture_shape,
    is_raw_picture,
    read_single,
    read_steps,
    shape_of,
)
from qsft_datasets.source import EpisodeReference, SourceDescription, SourceEpisode, SourceFeature, StepValues
from vlm_qsft.errors import DatasetError

DESCRIBED_EPISODES = 8
"""Episodes whose declarations make up the description: one may lack what the others have."""


@dataclass(frozen=True)
class Hdf5Source:
    """A file or a folder of files of one layout.

    Attributes:
        root: the file or the folder.
        layout: where the episodes lie.
    """

    root: Path
    layout: Layout

    @cached_property
    def description(self) -> SourceDescription:
        """What the first episodes declare; an array is one of steps if in all of them it has as many rows as actions.

        Raises:
            DatasetError: none of the first episodes is readable; the error of the first.
        """
        found: dict[str, SourceFeature] = {}
        fps = robot_type = None
        places, errors = self._first_places()
        for path, place in places:
            try:
                with opened(path) as file:
                    for name, feature in self._declared(file, place).items():
                        found[name] = feature if name not in found else _united(found[name], feature)
                    fps, robot_type = fps or self.layout.fps(file), robot_type or self.layout.robot_type(file)
            except DatasetError as error:
                errors.append(error)
        if not found:
            raise errors[0]
        name = self.root.name if self.root.is_dir() else self.root.stem
        return SourceDescription(self.layout.format, name, tuple(found.values()), fps, robot_type)

    def references(self) -> Sequence[EpisodeReference]:
        """Return every episode, files and demos in natural order, without reading an array.

        Raises:
            DatasetError: a file is missing, damaged or of another layout; names it.
        """
        references = []
        for path in hdf5_files(self.root):
            name = path.name if path == self.root else path.relative_to(self.root).as_posix()
            with opened(path) as file:
                self._check_layout(file)
                for place in self.layout.places(file):
                    key = name if place.group == "/" else f"{name}#{place.group.removeprefix('data/')}"
                    references.append(EpisodeReference(key, name, (place.group, *place.masks), place.split))
        return references

    def read(self, reference: EpisodeReference) -> SourceEpisode:
        """Return an episode: all of it is checked by its declaration, an array is read when it is asked for.

        Pictures of the next observation double an image set, and conversions seldom take them.

        Raises:
            DatasetError: a group is missing, an array has other rows than the actions; names file and group. Asking
                for an array that is damaged, or that only other episodes have, raises it too.
        """
        path = self.root if self.root.is_file() else self.root / reference.file
        place = Place(str(reference.position[0]), tuple(str(mask) for mask in reference.position[1:]))
        described = {feature.path: feature for feature in self.description.features}
        with opened(path) as file:
            group = group_at(file, place.group)
            arrays, length = arrays_below(group), self.layout.length(group)
            missing = {
                name: f"{place_of(group)} has no array '{name}'; other episodes of the set have it."
                for name, feature in described.items()
                if name not in arrays and not feature.per_episode
            }
            steps, single = {}, {}
            for name, dataset in arrays.items():
                if self.layout.is_container(name):
                    continue
                check_declared(dataset)
                feature = self._feature(dataset, name, length, described.get(name))
                if feature.per_episode:
                    single[name] = read_single(dataset, feature)
                else:
                    steps[name] = feature
            single |= self.layout.attributes(file, place)
        return SourceEpisode(reference.key, length, StoredSteps(path, place.group, length, steps, missing), single)

    def _first_places(self) -> tuple[list[tuple[Path, Place]], list[DatasetError]]:
        """Return where the first episodes lie, and why files before them are not read."""
        places: list[tuple[Path, Place]] = []
        errors: list[DatasetError] = []
        for path in hdf5_files(self.root):
            try:
                with opened(path) as file:
                    self._check_layout(file)
                    places += [(path, place) for place in self.layout.places(file)]
            except DatasetError as error:
                errors.append(error)
            if len(places) >= DESCRIBED_EPISODES:
                break
        return places[:DESCRIBED_EPISODES], errors

    def _check_layout(self, file: h5py.File) -> None:
        if layout_of(file) != self.layout:
            raise DatasetError(
                f"{file.filename} has not the layout of this set, {self.layout.format}. "
                f"It holds: {', '.join(sorted(file)) or 'nothing'}."
            )

    def _declared(self, file: h5py.File, place: Place) -> dict[str, SourceFeature]:
        group = group_at(file, place.group)
        length = self.layout.length(group)
        arrays = {name: array for name, array in arrays_below(group).items() if not self.layout.is_container(name)}
        features = {name: self._feature(dataset, name, length, None) for name, dataset in arrays.items()}
        for name, feature in features.items():
            if feature.kind == "image" and None in feature.shape:
                features[name] = replace(feature, shape=first_picture_shape(arrays[name]))
        attributes = self.layout.attributes(file, place)
        return features | {name: attribute_feature(name, value) for name, value in attributes.items()}

    def _feature(self, dataset: h5py.Dataset, name: str, length: int, described: SourceFeature | None) -> SourceFeature:
        shape = shape_of(dataset)
        has_rows = len(shape) > 0 and shape[0] == length
        is_empty = 0 in shape and not has_rows
        must_have = described is not None and not described.per_episode
        if not has_rows and (must_have or self.layout.is_step(name)) and not is_empty:
            raise DatasetError(f"{place_of(dataset)} has the shape {shape}; expected {length} rows, one per action.")
        per_episode = not has_rows if described is None else described.per_episode or is_empty
        return feature_of(dataset, name, per_episode=per_episode)


class StoredSteps(Mapping[str, StepValues]):
    """The arrays of one episode in its file; each is read when it is asked for, and not kept.

    One that the episode lacks raises when it is asked for: a mapping may leave it out (a camera that was added later).
    """

    def __init__(
        self,
        path: Path,
        group: str,
        length: int,
        features: Mapping[str, SourceFeature],
        missing: Mapping[str, str] = {},
    ) -> None:
        """Remember where they are.

        Args:
            path: of the file.
            group: that holds them.
            length: rows of each.
            features: path from the group -> what the array is.
            missing: the same of arrays that only other episodes have -> what to say of them.
        """
        self._path, self._group, self._length, self._features = path, group, length, features
        self._missing = missing

    def __getitem__(self, name: str) -> StepValues:
        """Read an array.

        Raises:
            DatasetError: missing or damaged; names file and group.
        """
        if name in self._missing:
            raise DatasetError(self._missing[name])
        feature = self._features[name]
        with opened(self._path) as file:
            dataset = array_at(group_at(file, self._group), name)
            values = read_steps(dataset, feature)
            if feature.kind == "image" and not is_raw_picture(dataset):
                check_lengths(file, name, [len(picture) for picture in values])
        return values

    def __iter__(self) -> Iterator[str]:
        return iter((*self._features, *self._missing))

    def __len__(self) -> int:
        return len(self._features) + len(self._missing)


def _united(one: SourceFeature, other: SourceFeature) -> SourceFeature:
    """Return what holds for both episodes: an axis that differs varies, rows that fit one only are no steps."""
    if one.per_episode != other.per_episode:
        return one if one.per_episode else other
    if len(one.shape) != len(other.shape):
        return one
    return replace(one, shape=tuple(a if a == b else None for a, b in zip(one.shape, other.shape, strict=True)))


def opened_source(root: Path) -> Hdf5Source:
    """Return the source of a root; the first file that is readable decides the layout.

    Raises:
        DatasetError: no file, none readable, or of an unknown layout.
    """
    first_error: DatasetError | None = None
    for path in hdf5_files(root):
        try:
            with opened(path) as file:
                layout, names = layout_of(file), ", ".join(sorted(file)) or "nothing"
        except DatasetError as error:
            first_error = first_error or error
            continue
        if layout is None:
            raise DatasetError(
                f"{path} has an unknown layout: it holds {names}. Known: groups 'data/demo_0', ... with 'actions' "
                "(robomimic, LIBERO); 'observations' and 'action' (ALOHA)."
            )
        return Hdf5Source(root, layout)
    raise first_error or DatasetError(f"{root} holds no HDF5 file.")
