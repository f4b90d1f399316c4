"""One episode of a data set: every frame with its action, reward, flags and return."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vlm_qsft.cli.table import table
from vlm_qsft.data.reader import DatasetReader
from vlm_qsft.data.schema import ACTION_KEY
from vlm_qsft.errors import InvalidSetting

LABELS = ("next.reward", "mc_return", "next.terminated", "next.truncated", "next.success")


def episode_frames(reader: DatasetReader, episode: int) -> range:
    """Return the rows of an episode.

    Raises:
        InvalidSetting: the data set has no such episode.
    """
    if not 0 <= episode < reader.n_episodes:
        raise InvalidSetting(f"Episode {episode} is not in this data set: episodes are 0 to {reader.n_episodes - 1}.")
    first = int(reader.episodes.first_frame[episode])
    return range(first, first + int(reader.episodes.length[episode]))


def describe_episode(folder: Path, episode: int) -> str:
    """Return the frames of an episode as a table, under what is known of the whole.

    Raises:
        DatasetError: the folder is no readable data set.
        InvalidSetting: there is no such episode.
    """
    reader = DatasetReader(folder)
    frames, schema = episode_frames(reader, episode), reader.schema
    action = reader.column(ACTION_KEY)
    labels = {name: reader.column(name) for name in LABELS} if reader.has_labels else {}
    rows = [
        [frame - frames.start, *(float(number) for number in action[frame]), *_labels_of(frame, labels)]
        for frame in frames
    ]
    header = ["frame", *schema.action_names, *(["reward", "return", "flags", "bootstrap_mask"] if labels else [])]
    cameras = ", ".join(f"{name} {height} x {width}" for name, (height, width) in schema.cameras.items())
    facts = {
        "episode": f"{episode} of {reader.n_episodes}, rows {frames.start} to {frames.stop - 1}",
        "instruction": reader.episodes.instruction[episode],
        "cameras": f"{cameras} pixels, {float(schema.fps):g} frames per second",
        **{name: column[episode] for name, column in reader.episodes.attributes.items()},
    }
    if not labels:
        facts["labels"] = "none: without rewards and terminals there is only SFT"
    return f"{folder}\n{table(('', ''), list(facts.items()))}\n\n{table(header, rows)}"


def _labels_of(frame: int, labels: Mapping[str, np.ndarray]) -> list[object]:
    if not labels:
        return []
    flags = [name for name in ("terminated", "truncated", "success") if labels[f"next.{name}"][frame]]
    bootstrap_mask = int(not labels["next.terminated"][frame])
    return [float(labels["next.reward"][frame]), float(labels["mc_return"][frame]), " ".join(flags), bootstrap_mask]
