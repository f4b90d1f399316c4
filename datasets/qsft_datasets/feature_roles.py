"""Which feature is what, by the names that data sets use; a proposal for a person, never a decision."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from qsft_datasets.coverage import width_of
from qsft_datasets.sampling import EpisodeSample
from qsft_datasets.source import SourceDescription, SourceFeature

KEPT_PREFIXES = ("kept/", "episode_metadata/attributes/", "episode_metadata/")
"""Levels that say no more than that a feature is kept, or belongs to the episode."""
PREFIXES = ("observation.images.", "observation.", "observations/", "observation/", "obs/", "steps/", "images/")
INDEX_COLUMNS = {"timestamp", "frame_index", "episode_index", "index", "task_index"}
STEP_FLAGS = {"is_first", "is_last"}
STATES = ("observation.state", "observation/state", "observations/qpos", "observation/proprio", "state", "obs/state")
"""A feature of this name is the state; without one, all small vectors of the observation are."""
ACTIONS = ("action", "actions")
INSTRUCTIONS = ("language_instruction", "natural_language_instruction", "instruction", "task", "language", "prompt")
REWARDS = ("reward", "rewards", "next.reward")
TERMINALS = ("is_terminal", "next.done", "dones", "done", "terminal", "next.terminated")
SUCCESSES = ("success", "is_success", "next.success")
NO_CAMERA = ("depth", "mask", "segmentation")
MAX_STATE = 64
"""Numbers of a vector that may be part of a state; more is an embedding or a map."""


@dataclass
class FeatureRoles:
    """What every feature of a source looks like.

    Attributes:
        camera_names: path -> name in the canonical data set.
        ignored: path -> why it is left out.
        rest: features without a role.
    """

    cameras: list[SourceFeature] = field(default_factory=list)
    camera_names: dict[str, str] = field(default_factory=dict)
    state: list[SourceFeature] = field(default_factory=list)
    action: list[SourceFeature] = field(default_factory=list)
    instruction: SourceFeature | None = None
    reward: SourceFeature | None = None
    terminated: SourceFeature | None = None
    success: SourceFeature | None = None
    ignored: dict[str, str] = field(default_factory=dict)
    rest: list[SourceFeature] = field(default_factory=list)


def roles_of(description: SourceDescription, samples: Sequence[EpisodeSample]) -> FeatureRoles:
    """Return what the features look like, by name, kind and the pictures of the samples."""
    roles = FeatureRoles()
    features = list(description.features)
    has_state = any(feature.path in STATES for feature in features)
    by_wish = sorted(
        (feature for feature in features if feature.kind == "text" and last_name(feature.path) in INSTRUCTIONS),
        key=lambda feature: INSTRUCTIONS.index(last_name(feature.path)),
    )
    roles.instruction = by_wish[0] if by_wish else None
    for feature in features:
        name = last_name(feature.path)
        is_number, is_scalar = feature.kind == "number", width_of(feature) == 1
        if feature is roles.instruction:
            continue
        if feature.kind in ("image", "video") and not feature.path.startswith("next_obs/"):
            _sort_camera(feature, roles, samples)
        elif feature.path.startswith("next_obs/"):
            roles.ignored[feature.path] = "the observation after the step: that of the next row"
        elif feature.path in INDEX_COLUMNS:
            roles.ignored[feature.path] = "counted anew"
        elif name in STEP_FLAGS:
            roles.ignored[feature.path] = "boundaries come from the records"
        elif is_number and not feature.per_episode and is_action(feature):
            roles.action.append(feature)
        elif is_number and not feature.per_episode and is_state(feature, has_state=has_state):
            roles.state.append(feature)
        elif is_number and is_scalar and name in REWARDS and roles.reward is None and not feature.per_episode:
            roles.reward = feature
        elif is_number and is_scalar and name in TERMINALS and roles.terminated is None and not feature.per_episode:
            roles.terminated = feature
        elif is_number and is_scalar and name in SUCCESSES and roles.success is None:
            roles.success = feature
        else:
            roles.rest.append(feature)
    # A success flag that decides nothing in the samples is still worth keeping, per step or per episode.
    if roles.success is not None:
        roles.rest.append(roles.success)
    return roles


def is_action(feature: SourceFeature) -> bool:
    """Tell whether a vector is the action, or a part of a dictionary of actions."""
    words = feature.path.lower().strip("/").split("/")
    return 0 < width_of(feature) <= MAX_STATE and (words[0] in ACTIONS or feature.path in ACTIONS)


def is_state(feature: SourceFeature, *, has_state: bool) -> bool:
    """Tell whether a vector is proprioception: called so, or without such a one a small vector of the observation."""
    if has_state:
        return feature.path in STATES and 0 < width_of(feature) <= MAX_STATE
    in_observation = feature.path.startswith(("observation", "obs/"))
    is_vector = feature.dtype.startswith(("float", "bfloat")) and 0 < width_of(feature) <= MAX_STATE
    return in_observation and is_vector and "embedding" not in feature.path


def last_name(path: str) -> str:
    """Return the last level of an address."""
    return path.lower().rsplit("/", 1)[-1]


def canonical_name(path: str, *, keeps_path: bool = False) -> str:
    """Return a name for the canonical data set: letters, digits, '_', '.' and '-'.

    Args:
        keeps_path: keep all levels, so that different features get different names.
    """
    text = path.strip("/")
    for prefix in KEPT_PREFIXES:
        text = text.removeprefix(prefix)
    if not keeps_path:
        for prefix in PREFIXES:
            if text.startswith(prefix) and len(text) > len(prefix):
                text = text.removeprefix(prefix)
                break
        text = text.rsplit("/", 1)[-1] if "/" in text else text
    text = re.sub(r"[^A-Za-z0-9_.\-]+", ".", text).strip(".-")
    return text if re.match(r"[A-Za-z_]", text) else f"source_{text}"


def _sort_camera(feature: SourceFeature, roles: FeatureRoles, samples: Sequence[EpisodeSample]) -> None:
    pictures = [picture for sample in samples for picture in sample.pictures.get(feature.path, ())]
    channels = feature.shape[-1] if len(feature.shape) == 3 else 3
    if feature.per_episode:
        roles.ignored[feature.path] = "one picture per episode, not per step"
    elif any(word in feature.path.lower() for word in NO_CAMERA) or channels in (2, 4):
        roles.ignored[feature.path] = "no RGB camera (depth, mask or other channels)"
    elif samples and not pictures:
        roles.ignored[feature.path] = "declared, but without a picture in the sampled episodes"
    elif pictures and not any(picture.any() for picture in pictures):
        roles.ignored[feature.path] = "black in every sampled picture"
    else:
        name = canonical_name(feature.path)
        taken = set(roles.camera_names.values())
        roles.camera_names[feature.path] = name if name not in taken else canonical_name(feature.path, keeps_path=True)
        roles.cameras.append(feature)
