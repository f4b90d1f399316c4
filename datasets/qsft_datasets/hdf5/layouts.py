"""Where the episodes of an HDF5 file lie: demos in a group (robomimic, LIBERO), or one file per episode (ALOHA)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import h5py
import numpy as np

from qsft_datasets.hdf5.attributes import attributes_of, json_object
from qsft_datasets.hdf5.files import group_at, member, place_of
from qsft_datasets.hdf5.values import as_text, read_texts
from qsft_datasets.natural_order import natural_key
from qsft_datasets.source import Scalar
from vlm_qsft.errors import DatasetError

SPLITS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
"""Filter keys of robomimic that divide a set; the others ("better", "20_percent") select from it."""


@dataclass(frozen=True)
class Place:
    """Where an episode lies in its file.

    Attributes:
        group: its name, "/" for the whole file.
        masks: names of the filter keys that list it.
    """

    group: str
    masks: tuple[str, ...] = ()

    @property
    def split(self) -> str:
        """The source's own split; "train+valid" where the filter keys put it into both."""
        return "+".join(dict.fromkeys(SPLITS[mask] for mask in self.masks if mask in SPLITS))


@dataclass(frozen=True)
class DemoLayout:
    """Demos below `data`, of any name, each with `actions`: robomimic, MimicGen, robosuite, Isaac Lab, LIBERO."""

    format: Literal["hdf5-robomimic", "hdf5-libero"]

    def places(self, file: h5py.File) -> list[Place]:
        """Return the demos in natural order, without reading their arrays.

        Raises:
            DatasetError: there is none.
        """
        demos = member(file, "data")
        if not isinstance(demos, h5py.Group):
            raise DatasetError(f"{file.filename} has no group 'data'; it holds {', '.join(sorted(file)) or 'nothing'}.")
        masks = mask_members(file)
        names = [name for name in sorted(demos, key=natural_key) if isinstance(member(demos, name), h5py.Group)]
        if not names:
            raise DatasetError(f"{place_of(demos)} has no demo: no group such as 'demo_0'.")
        return [
            Place(f"data/{name}", tuple(mask for mask, listed in masks.items() if name in listed)) for name in names
        ]

    def length(self, group: h5py.Group) -> int:
        """Return the steps of a demo: the rows of its actions.

        Raises:
            DatasetError: no actions, or `num_samples` contradicts them.
        """
        length = rows_of(group, ("actions",))
        stated = group.attrs.get("num_samples")
        if isinstance(stated, np.number | int) and int(stated) != length:
            raise DatasetError(f"{place_of(group)} states num_samples {stated}; its actions have {length} rows.")
        return length

    def is_step(self, path: str) -> bool:
        """Return whether an array holds one row per step in every file of this layout."""
        return path.split("/")[0] in ("actions", "rewards", "dones", "states", "obs", "next_obs")

    def is_container(self, path: str) -> bool:
        """Return whether an array only serves to store others."""
        return False

    def attributes(self, file: h5py.File, place: Place) -> dict[str, Scalar | np.ndarray]:
        """Return the attributes of the file, of all demos and of the demo, and which filter keys list it."""
        masks = {f"mask/{name}": name in place.masks for name in mask_names(file)}
        demos, demo = group_at(file, "data"), group_at(file, place.group)
        return attributes_of(file) | attributes_of(demos, "data/") | attributes_of(demo, "demo/") | masks

    def fps(self, file: h5py.File) -> Fraction | None:
        """Return the control rate that the environment's arguments state."""
        rate = environment(file).get("control_freq")
        if not isinstance(rate, int | float) or isinstance(rate, bool) or not math.isfinite(rate) or rate <= 0:
            return None
        return Fraction(str(rate))

    def robot_type(self, file: h5py.File) -> str | None:
        """Return the robots that the environment's arguments state."""
        robots = environment(file).get("robots")
        names = [name for name in (robots if isinstance(robots, list) else [robots]) if isinstance(name, str)]
        return " + ".join(names) or None


@dataclass(frozen=True)
class EpisodeFileLayout:
    """One file per episode, with `observations` and `action` at its root: ALOHA, Mobile ALOHA and their kin."""

    format: Literal["hdf5-aloha"] = "hdf5-aloha"

    def places(self, file: h5py.File) -> list[Place]:
        """Return the one episode of the file."""
        return [Place("/")]

    def length(self, group: h5py.Group) -> int:
        """Return the steps: the rows of the actions.

        Raises:
            DatasetError: no actions.
        """
        return rows_of(group, ("action", "actions"))

    def is_step(self, path: str) -> bool:
        """Return whether an array holds one row per step in every file of this layout."""
        return path.split("/")[0] in ("action", "actions", "observations")

    def is_container(self, path: str) -> bool:
        """Return whether an array only serves to store others: the lengths of padded pictures."""
        return path == "compress_len"

    def attributes(self, file: h5py.File, place: Place) -> dict[str, Scalar | np.ndarray]:
        """Return the attributes of the file."""
        return attributes_of(file)

    def fps(self, file: h5py.File) -> Fraction | None:
        """Return nothing: these files do not say their rate (ALOHA's is 50 by its code)."""
        return None

    def robot_type(self, file: h5py.File) -> str | None:
        """Return nothing: these files do not name their robot."""
        return None


Layout = DemoLayout | EpisodeFileLayout


def layout_of(file: h5py.File) -> Layout | None:
    """Return the layout of a file by the names at its root; None where it is none of ours.

    Raises:
        DatasetError: a group that decides it is a link to another file.
    """
    data = member(file, "data")
    if isinstance(data, h5py.Group):
        is_libero = "problem_info" in data.attrs or "bddl_file_name" in data.attrs
        return DemoLayout("hdf5-libero" if is_libero else "hdf5-robomimic")
    has_actions = any(isinstance(member(file, name), h5py.Dataset) for name in ("action", "actions"))
    if has_actions and isinstance(member(file, "observations"), h5py.Group):
        return EpisodeFileLayout()
    return None


def rows_of(group: h5py.Group, names: tuple[str, ...]) -> int:
    """Return the rows of the first array of these names.

    Raises:
        DatasetError: none of them is there, or it has no row.
    """
    for name in names:
        dataset = member(group, name)
        if isinstance(dataset, h5py.Dataset) and dataset.shape:
            if dataset.shape[0] == 0:
                raise DatasetError(f"{place_of(group, name)} has no row: the episode has no step.")
            return dataset.shape[0]
    raise DatasetError(
        f"{place_of(group)} has no array '{names[0]}'. It holds: {', '.join(sorted(group)) or 'nothing'}."
    )


def mask_names(file: h5py.File) -> list[str]:
    """Return the filter keys of a file."""
    masks = member(file, "mask")
    return sorted(masks, key=natural_key) if isinstance(masks, h5py.Group) else []


def mask_members(file: h5py.File) -> dict[str, frozenset[str]]:
    """Return filter key -> names of its demos; a key may name demos that a smaller copy of the set left out.

    Raises:
        DatasetError: a filter key is no list of names.
    """
    found = {}
    for name in mask_names(file):
        listed = member(group_at(file, "mask"), name)
        if not isinstance(listed, h5py.Dataset) or h5py.check_string_dtype(listed.dtype) is None:
            raise DatasetError(f"{place_of(file, f'mask/{name}')} is no list of demo names.")
        found[name] = frozenset(read_texts(listed))
    return found


def environment(file: h5py.File) -> dict[str, object]:
    """Return `env_kwargs` of the `env_args` that robomimic stores with its demos; empty where there are none."""
    text = group_at(file, "data").attrs.get("env_args", "")
    arguments = json_object(text if isinstance(text, str) else as_text(text)) or {}
    settings = arguments.get("env_kwargs")
    if isinstance(settings, str):
        settings = json_object(settings)
    return settings if isinstance(settings, dict) else {}
