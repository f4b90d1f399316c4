"""What the list of episodes says beyond places and lengths, as per-episode features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsft_datasets.lerobot.episode_list import EpisodeValue, ListedEpisode
from qsft_datasets.source import SourceFeature

PREFIX = "episodes/"
TASKS = PREFIX + "tasks"


def episode_features(episodes: Sequence[ListedEpisode]) -> tuple[SourceFeature, ...]:
    """Return one feature per name in the list of episodes; `tasks` only where an episode has none or several."""
    seen: dict[str, list[EpisodeValue]] = {}
    for episode in episodes:
        for name, value in episode.values.items():
            seen.setdefault(name, []).append(value)
    features = [_feature(PREFIX + name, values) for name, values in seen.items()]
    if any(len(episode.tasks) != 1 for episode in episodes):
        note = "every instruction that the list of episodes names, one per line"
        features.append(SourceFeature(TASKS, "text", "str", (), note=note, per_episode=True))
    return tuple(features)


def episode_values(episode: ListedEpisode, features: Sequence[SourceFeature]) -> dict[str, EpisodeValue]:
    """Return the values of one episode in the types of the features; what it does not have is left out."""
    values: dict[str, EpisodeValue] = {}
    for feature in features:
        if not feature.per_episode:
            continue
        if feature.path == TASKS:
            values[TASKS] = "\n".join(episode.tasks)
            continue
        value = episode.values.get(feature.path.removeprefix(PREFIX))
        if value is None:
            continue
        if feature.kind == "text":
            values[feature.path] = str(value)
        elif feature.shape:
            values[feature.path] = np.asarray(value, dtype=feature.dtype)
        else:
            values[feature.path] = np.dtype(feature.dtype).type(value).item()
    return values


def _feature(path: str, values: list[EpisodeValue]) -> SourceFeature:
    """Return the feature that holds all of these values: numbers of one shape, or else texts."""
    if any(isinstance(value, str) for value in values):
        return SourceFeature(path, "text", "str", (), per_episode=True)
    arrays = [np.asarray(value) for value in values]
    dimensions = {array.ndim for array in arrays}
    if len(dimensions) > 1:
        return SourceFeature(path, "text", "str", (), per_episode=True)
    shapes = {array.shape for array in arrays}
    shape = shapes.pop() if len(shapes) == 1 else (None,) * dimensions.pop()
    return SourceFeature(path, "number", np.result_type(*arrays).name, shape, per_episode=True)
