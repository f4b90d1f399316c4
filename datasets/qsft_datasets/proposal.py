"""A proposed mapping: what the description and a few episodes tell, and `decide` where only a person can know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qsft_datasets.action_evidence import Pairs, action_meaning, find_grippers
from qsft_datasets.coverage import MAX_KEPT, width_of
from qsft_datasets.feature_roles import FeatureRoles, canonical_name, roles_of
from qsft_datasets.mapping_checks import OWN_ATTRIBUTES, OWN_COLUMNS
from qsft_datasets.mapping_text import Undecided, record_text
from qsft_datasets.outcome_evidence import propose_outcome
from qsft_datasets.sampling import EpisodeSample
from qsft_datasets.source import SourceDescription, SourceFeature
from vlm_qsft.data.schema import is_kept_key
from vlm_qsft.errors import DatasetError

HEADER = """Proposed mapping of '{name}' ({format}), from its description and {count} of its episodes.
Review every line. Replace each `decide` (without quotes) by what is true of this data set; nothing is guessed.
Every feature of the source is mapped, kept or ignored with a reason; the conversion refuses a feature that is not.
cameras: channels rgb or bgr; turn_deg clockwise until upright; size [height, width] to resize.
state, action: columns [0, 1, ...] takes a part of a feature; number = source * scale + offset.
action meaning: absolute, delta or velocity. gripper: which numbers of the source mean open and closed.
outcome: flag, path, reward, csv, assume-success, assume-failure; with path (the feature), threshold, where, pattern.
terminal_rule: outcome (a success ends the task, all else was cut off), flag (the feature `terminated`), never."""

SHOWN_FEATURES = 8
MAX_TEXT = 1000
"""Characters of a text per episode that is worth a column of the episode table."""


def propose(description: SourceDescription, samples: Sequence[EpisodeSample]) -> str:
    """Return a mapping file for review.

    Raises:
        DatasetError: nothing in the source could be an action.
    """
    refuse_without_numbers(description)
    roles = roles_of(description, samples)
    comments: dict[tuple[str | int, ...], str] = {}
    record: dict[str, Any] = {"name": description.name, "format": description.format}
    record["fps"] = description.fps if description.fps is not None else Undecided()
    comments["fps",] = "stated by the source" if description.fps else "control steps per second: 5, 12.5, 30000/1001"
    record["robot_type"] = description.robot_type or "unknown"
    record["cameras"] = [{"name": roles.camera_names[feature.path], "path": feature.path} for feature in roles.cameras]
    if record["cameras"]:
        comments["cameras",] = "look at the sample pictures: colours, upright?"
    record["state"] = [part_record(feature, "state") for feature in roles.state]
    record["action"] = [part_record(feature, "action") for feature in roles.action]
    if not record["action"]:
        record["action"] = [{"path": Undecided(), "names": Undecided(), "meaning": Undecided()}]
    last_step, padding_reason = last_step_of(description, roles, samples)
    is_padded = last_step == "padding"
    _describe_actions(record, comments, description, samples, roles, is_padded=is_padded)
    if roles.instruction is not None:
        record["instruction"] = roles.instruction.path
        comments["instruction",] = instruction_comment(roles.instruction, samples)
    else:
        record["instruction_text"] = Undecided()
        comments["instruction_text",] = "the source has none: one sentence for all episodes"
    for use, feature in (("reward", roles.reward), ("terminated", roles.terminated)):
        if feature is not None:
            record[use] = feature.path
            comments[use,] = range_text(feature.path, samples)
    record["terminal_rule"] = "outcome"
    comments["terminal_rule",] = terminal_comment(roles.terminated, samples)
    if padding_reason:
        record["last_step"] = last_step or Undecided()
        comments["last_step",] = padding_reason
    outcome, comments["outcome",] = propose_outcome(roles, samples)
    record["outcome"] = outcome
    record |= _rest(roles, description, samples)
    header = HEADER.format(name=description.name, format=description.format, count=len(samples))
    return record_text(record, comments=comments, header=header)


def refuse_without_numbers(description: SourceDescription) -> None:
    """Refuse a source of which nobody can make actions.

    Raises:
        DatasetError: says what it holds instead.
    """
    if any(feature.kind == "number" and not feature.per_episode for feature in description.features):
        return
    held = [f"{feature.path} ({feature.kind})" for feature in description.features]
    more = f" and {len(held) - SHOWN_FEATURES} more" if len(held) > SHOWN_FEATURES else ""
    raise DatasetError(
        f"'{description.name}' ({description.format}) has no numbers in its steps, so nothing in it can be an action; "
        f"it holds {', '.join(held[:SHOWN_FEATURES]) or 'nothing'}{more}."
    )


def part_record(feature: SourceFeature, kind: str) -> dict[str, Any]:
    """Return the record of a whole feature as a part of state or action."""
    width = width_of(feature)
    names = [str(name) for name in feature.names]
    if len(names) != width or len(set(names)) != width:
        stem = canonical_name(feature.path)
        names = [stem] if width == 1 else [f"{stem}_{number}" for number in range(width)]
    return {"path": feature.path, "names": names} | ({"meaning": Undecided()} if kind == "action" else {})


def pairs_of(
    samples: Sequence[EpisodeSample],
    action: Sequence[SourceFeature],
    state: Sequence[SourceFeature],
    *,
    is_padded: bool,
) -> Pairs:
    """Return (actions, states) of the samples that have all of the features; padding steps left out."""
    pairs = []
    for sample in samples:
        if all(feature.path in sample.numbers for feature in (*action, *state)):
            steps = sample.length - is_padded
            parts = [
                np.concatenate(
                    [np.zeros((sample.length, 0))]
                    + [
                        sample.numbers[feature.path].reshape(sample.length, -1).astype(np.float64)
                        for feature in features
                    ],
                    axis=1,
                )[:steps]
                for features in (action, state)
            ]
            pairs.append((parts[0], parts[1]))
    return pairs


def _describe_actions(
    record: dict[str, Any],
    comments: dict[tuple[str | int, ...], str],
    description: SourceDescription,
    samples: Sequence[EpisodeSample],
    roles: FeatureRoles,
    *,
    is_padded: bool,
) -> None:
    """Fill in meaning and grippers from the numbers."""
    state_names = [name for part in record["state"] for name in part["names"]]
    grippers: list[dict[str, Any]] = []
    seen_names: list[str] = []
    for number, feature in enumerate(roles.action):
        part = record["action"][number]
        if set(part["names"]) & set(seen_names):
            part["names"] = [f"{canonical_name(feature.path)}_{name}" for name in part["names"]]
        seen_names += part["names"]
        pairs = pairs_of(samples, [feature], roles.state, is_padded=is_padded)
        found = find_grippers(pairs, part["names"], state_names) if pairs else []
        columns = [gripper.column for gripper in found]
        if len(columns) < len(part["names"]):
            evidence = action_meaning(pairs, grippers=columns, fps=description.fps, state_names=state_names)
            meaning, reason = evidence.meaning, evidence.reason
        else:
            meaning, reason = "absolute", "a gripper's position"
        part["meaning"] = meaning or Undecided()
        comments["action", number, "meaning"] = reason
        for gripper in found:
            name = part["names"][gripper.column]
            place = ("gripper", len(grippers), "name")
            comments[place] = gripper.reason
            is_known = gripper.opens_high is not None
            low_high = (gripper.low, gripper.high) if gripper.opens_high else (gripper.high, gripper.low)
            grippers.append(
                {
                    "name": name,
                    "open": low_high[1] if is_known else Undecided(),
                    "closed": low_high[0] if is_known else Undecided(),
                }
            )
    if grippers:
        record["gripper"] = grippers


def _rest(
    roles: FeatureRoles, description: SourceDescription, samples: Sequence[EpisodeSample]
) -> dict[str, dict[str, str]]:
    """Return keep, attributes and ignore for every feature without a role."""
    keep: dict[str, str] = {}
    attributes: dict[str, str] = {}
    ignore = dict(roles.ignored)
    for feature in roles.rest:
        name = canonical_name(feature.path, keeps_path=True)
        width = width_of(feature)
        is_constant_text = feature.kind == "text" and feature.per_episode
        length = max((len(str(sample.episode.get(feature.path, ""))) for sample in samples), default=0)
        if feature.per_episode and feature.kind == "text" and length > MAX_TEXT:
            ignore[feature.path] = f"a text of {length} characters"
        elif feature.per_episode and width == 1 and (feature.kind == "number" or is_constant_text):
            name = f"original.{name}" if name in OWN_ATTRIBUTES else name
            attributes[unused(name, attributes)] = feature.path
        elif feature.per_episode:
            ignore[feature.path] = "several values per episode; the data set has no place for them"
        elif feature.kind == "number" and 0 < width <= MAX_KEPT:
            is_free = is_kept_key(name) and name not in OWN_COLUMNS
            key = unused(name if is_free else f"original.{name}", keep)
            keep[key] = feature.path
        elif feature.kind == "number":
            ignore[feature.path] = "varies in size from step to step" if width == 0 else "too many numbers per step"
        else:
            ignore[feature.path] = f"{feature.kind} that is no instruction and no picture"
    return {name: part for name, part in (("keep", keep), ("attributes", attributes), ("ignore", ignore)) if part}


def unused(name: str, taken: dict[str, str]) -> str:
    """Return the name, with a number where it is taken."""
    number = 2
    result = name
    while result in taken:
        result, number = f"{name}_{number}", number + 1
    return result


def range_text(path: str, samples: Sequence[EpisodeSample]) -> str:
    """Return the extremes of a feature in the samples."""
    parts = [sample.numbers[path] for sample in samples if path in sample.numbers and sample.numbers[path].size]
    if not parts:
        return "in none of the sampled episodes"
    low, high = min(float(part.min()) for part in parts), max(float(part.max()) for part in parts)
    return f"{low:g} to {high:g} in the sampled episodes" if low != high else f"always {low:g} in the sampled episodes"


def terminal_comment(feature: SourceFeature | None, samples: Sequence[EpisodeSample]) -> str:
    """Return what the source's own flag does in the samples."""
    if feature is None:
        return "the source has no flag"
    flags = [sample.numbers[feature.path].reshape(-1) for sample in samples if feature.path in sample.numbers]
    ends = sum(bool(flag[-1]) for flag in flags if flag.size)
    several = sum(int(np.count_nonzero(flag)) > 1 for flag in flags)
    return f"'{feature.path}' is set on the last step in {ends} of {len(flags)} episodes, on several in {several}"


def last_step_of(
    description: SourceDescription, roles: FeatureRoles, samples: Sequence[EpisodeSample]
) -> tuple[str | None, str]:
    """Return whether the last step of an RLDS episode is padding, None where the samples do not tell, and why.

    By the format it is; many sets store a real action and reward there all the same.
    """
    if description.format != "rlds":
        return "action", ""
    if description.fps is not None:
        return "action", "an export of this library: every step has an action"
    zeros = repeats = rewarded = seen = 0
    for sample in samples:
        parts = [sample.numbers[feature.path] for feature in roles.action if feature.path in sample.numbers]
        if parts and sample.length > 1:
            seen += 1
            zeros += all(not np.any(part[-1]) for part in parts)
            repeats += all(np.array_equal(part[-1], part[-2]) for part in parts)
            reward = sample.numbers.get(roles.reward.path) if roles.reward is not None else None
            rewarded += reward is not None and bool(np.any(reward[-1]))
    reason = (
        "in RLDS the last step's action and reward are padding; here the last action is zero in "
        f"{zeros} and repeats the one before in {repeats}, the last reward is not zero in {rewarded} of {seen} episodes"
    )
    if rewarded and zeros + repeats == 0:
        return "action", reason
    return ("padding" if seen and max(zeros, repeats) > seen / 2 and not rewarded else None), reason


def instruction_comment(feature: SourceFeature, samples: Sequence[EpisodeSample]) -> str:
    """Return a few of the instructions, and whether they change or are empty."""
    told: list[str] = []
    changing = empty = 0
    for sample in samples:
        texts = sample.texts.get(feature.path) or (str(sample.episode.get(feature.path, "")),)
        told.append(texts[0])
        changing += len(set(texts)) > 1
        empty += not texts[0].strip()
    shown = ", ".join(f"'{text[:60]}'" for text in list(dict.fromkeys(told))[:3])
    return f"{shown}; changes within {changing} of {len(samples)} episodes, empty in {empty}"
