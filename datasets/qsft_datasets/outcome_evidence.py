"""What a source tells about success: a flag that varies, rewards that end high, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qsft_datasets.feature_roles import FeatureRoles
from qsft_datasets.sampling import EpisodeSample
from qsft_datasets.source import SourceFeature


def propose_outcome(roles: FeatureRoles, samples: Sequence[EpisodeSample]) -> tuple[dict[str, Any], str]:
    """Return the record of an outcome, "unknown" where the samples do not tell, and what was found."""
    found = []
    if roles.success is not None:
        ends = last_values(roles.success, samples)
        where = "episode" if roles.success.per_episode else "last"
        found.append(f"'{roles.success.path}' is {described(ends)}")
        if len(set(ends)) > 1:
            return {"source": "flag", "path": roles.success.path, "where": where}, found[-1]
    if roles.reward is not None:
        sums = [float(np.nansum(sample.numbers[roles.reward.path])) for sample in samples if has(sample, roles.reward)]
        highest = [
            float(np.nanmax(sample.numbers[roles.reward.path])) for sample in samples if has(sample, roles.reward)
        ]
        found.append(f"'{roles.reward.path}' sums to {described(sums)}")
        if set(highest) == {0.0, 1.0}:
            return {"source": "reward", "path": roles.reward.path, "where": "any"}, found[-1]
    reason = "; ".join(found) or "no flag and no reward"
    return {"source": "unknown"}, f"{reason}: choose, or give --outcome when converting"


def last_values(feature: SourceFeature, samples: Sequence[EpisodeSample]) -> list[float]:
    """Return the value of a flag at the end of every sample that has it."""
    values = []
    for sample in samples:
        value = sample.episode.get(feature.path) if feature.per_episode else None
        if value is None and has(sample, feature):
            value = sample.numbers[feature.path].reshape(sample.length, -1)[-1, 0]
        if isinstance(value, (int, float, np.generic)) and not isinstance(value, (np.bytes_, np.str_)):
            values.append(float(value))
    return values


def has(sample: EpisodeSample, feature: SourceFeature) -> bool:
    """Tell whether a sample has numbers of a feature."""
    return feature.path in sample.numbers and sample.numbers[feature.path].size > 0


def described(values: Sequence[float]) -> str:
    """Return values for people."""
    if not values:
        return "in none of the sampled episodes"
    if len(set(values)) == 1:
        return f"{values[0]:g} in every sampled episode"
    return f"{min(values):g} to {max(values):g}, different from episode to episode"
