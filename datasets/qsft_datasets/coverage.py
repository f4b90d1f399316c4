"""Does a mapping fit a source: every feature is mapped, kept or ignored with a reason, and every address exists."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qsft_datasets.mapping import Mapping, VectorPart
from qsft_datasets.source import SourceDescription, SourceFeature
from vlm_qsft.errors import DatasetError, InvalidSetting

MAX_KEPT = 16_384
"""Numbers per frame that a kept column may have: a 128 x 128 depth map; more belongs into pictures."""


def check_fit(mapping: Mapping, description: SourceDescription) -> None:
    """Refuse a mapping that does not fit the source.

    Raises:
        DatasetError: made for another format, or features that it neither maps nor keeps nor ignores; names them.
        InvalidSetting: a feature of another kind or size than its use needs.
        UnknownName: a feature that the source does not have.
    """
    if not is_format(mapping.format, description.format):
        raise DatasetError(
            f"The mapping '{mapping.name}' is made for {mapping.format}; '{description.name}' is {description.format}."
        )
    for camera in mapping.cameras:
        feature = description.feature(camera.path)
        use = f"camera '{camera.name}'"
        _need(feature.kind in ("image", "video"), feature, use, "pictures or video")
        _need(not feature.per_episode, feature, use, "one picture per step")
        channels = feature.shape[-1] if len(feature.shape) == 3 else 3
        _need(channels in (3, None) or 1 in feature.shape, feature, use, "pictures of three colours, or grey ones")
    for kind, parts in (("state", mapping.state), ("action", mapping.action)):
        for part in parts:
            _check_part(kind, part, description.feature(part.path))
    if mapping.instruction is not None:
        _need_kind(description.feature(mapping.instruction), "instruction", "text")
    for use, path in (("reward", mapping.reward), ("terminated", mapping.terminated)):
        if path is not None:
            _need_step_scalar(description.feature(path), use)
    _check_outcome(mapping, description)
    for name, path in mapping.keep.items():
        feature = description.feature(path)
        _need_kind(feature, f"keep '{name}'", "number")
        _need(not feature.per_episode, feature, f"keep '{name}'", "numbers of every step; use attributes")
        _need(0 < width_of(feature) <= MAX_KEPT, feature, f"keep '{name}'", f"1 to {MAX_KEPT} numbers per step")
    for name, path in mapping.attributes.items():
        feature = description.feature(path)
        _need(feature.per_episode, feature, f"attribute '{name}'", "one value per episode")
        _need(
            feature.kind in ("number", "text") and width_of(feature) == 1,
            feature,
            f"attribute '{name}'",
            "a single number or text",
        )
    missing = uncovered(mapping, description)
    if missing:
        raise DatasetError(
            f"Mapping '{mapping.name}' says nothing about {len(missing)} of the {len(description.features)} features "
            f"of '{description.name}': {'; '.join(missing)}. Map, keep or ignore each of them with a reason."
        )


def is_format(made_for: str, found: str) -> bool:
    """Tell whether a mapping for a format, or for a family of formats ("lerobot"), is one for the format found."""
    return made_for == found or found.startswith(f"{made_for}-")


def width_of(feature: SourceFeature) -> int:
    """Return the numbers per step; 0 where it varies."""
    return 0 if any(side is None for side in feature.shape) else int(np.prod([side or 0 for side in feature.shape]))


def uncovered(mapping: Mapping, description: SourceDescription) -> list[str]:
    """Return what the mapping says nothing about: paths of features, some with the columns that are left."""
    whole = set(used_whole(mapping)) | set(mapping.ignore)
    taken: dict[str, set[int]] = {}
    for part in (*mapping.state, *mapping.action):
        if part.columns is None:
            whole.add(part.path)
        else:
            taken.setdefault(part.path, set()).update(part.columns)
    missing = []
    for feature in description.features:
        if feature.path in whole:
            continue
        left = sorted(set(range(width_of(feature))) - taken.get(feature.path, set()))
        if feature.path not in taken:
            missing.append(feature.path)
        elif left:
            missing.append(f"{feature.path} (columns {', '.join(map(str, left[:8]))}{' ...' if len(left) > 8 else ''})")
    return missing


def used_whole(mapping: Mapping) -> Iterator[str]:
    """Yield the features that the mapping uses as a whole, without state, action and what is ignored."""
    yield from (camera.path for camera in mapping.cameras)
    yield from mapping.keep.values()
    yield from mapping.attributes.values()
    single = (mapping.instruction, mapping.reward, mapping.terminated, outcome_feature(mapping))
    yield from (path for path in single if path is not None)


def outcome_feature(mapping: Mapping) -> str | None:
    """Return the feature that decides on success; None where a file name, a CSV file or an assumption does."""
    return mapping.outcome.path if mapping.outcome.source in ("flag", "reward", "path") else None


def _check_part(kind: str, part: VectorPart, feature: SourceFeature) -> None:
    _need_kind(feature, kind, "number")
    _need(not feature.per_episode, feature, kind, "numbers of every step")
    width = width_of(feature)
    _need(width > 0, feature, kind, "the same number of numbers in every step")
    if part.columns is None:
        _need(len(part.names) == width, feature, kind, f"{width} names; the mapping gives {len(part.names)}")
    else:
        _need(max(part.columns) < width, feature, kind, f"columns 0 to {width - 1}; the mapping takes {part.columns}")


def _check_outcome(mapping: Mapping, description: SourceDescription) -> None:
    outcome, path = mapping.outcome, outcome_feature(mapping)
    if path is None:
        return
    feature = description.feature(path)
    use = f"outcome '{outcome.source}'"
    if outcome.source == "path":
        _need_kind(feature, use, "text")
        return
    if outcome.source == "flag" and feature.kind == "text":
        _need(outcome.pattern is not None, feature, use, "a pattern that tells which texts are a success")
        return
    _need_kind(feature, use, "number")
    _need(width_of(feature) == 1, feature, use, "a single number")
    _need(
        feature.per_episode == (outcome.where == "episode"),
        feature,
        use,
        "where: episode for a value per episode, last or any for one per step",
    )


def _need_step_scalar(feature: SourceFeature, use: str) -> None:
    _need_kind(feature, use, "number")
    _need(width_of(feature) == 1 and not feature.per_episode, feature, use, "one number per step")


def _need_kind(feature: SourceFeature, use: str, kind: str) -> None:
    _need(feature.kind == kind, feature, use, f"a feature of kind {kind}")


def _need(holds: bool, feature: SourceFeature, use: str, expected: str) -> None:
    if not holds:
        shape = " x ".join("?" if side is None else str(side) for side in feature.shape) or "scalar"
        per = "per episode" if feature.per_episode else "per step"
        raise InvalidSetting(
            f"The mapping's {use} names '{feature.path}' ({feature.kind}, {feature.dtype}, {shape}, {per}); "
            f"expected {expected}."
        )
