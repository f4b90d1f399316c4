"""LabelPlan: everything that the labels of a data set will be, worked out before a byte is written."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from qsft_datasets.labeling.counterfactual import Counterfactual, choose_counterfactuals
from qsft_datasets.labeling.outcome import COUNTERFACTUAL, Outcome, Verdicts
from qsft_datasets.labeling.outcome_sources import decide_outcomes
from qsft_datasets.labeling.recorded import n_recorded_episodes, recorded_verdicts
from qsft_datasets.labeling.request import DEFAULT_GAMMA, LabelRequest
from qsft_datasets.labeling.source_rewards import preserved_columns, reward_column
from vlm_qsft.data.labels import LabelSettings, keep_labels
from vlm_qsft.data.reader import DatasetReader
from vlm_qsft.data.source_files import read_json
from vlm_qsft.errors import InvalidSetting

LABELS_VERSION = 1
"""Raised when the same request gives other bytes than before: the digest of a plan depends on it."""
COPY_OUTCOME = Outcome(success=False, terminated=False, truncated=True, source=COUNTERFACTUAL)
"""The task of the wrong instruction was not done, and could still have been: it was cut off."""


@dataclass(frozen=True)
class LabelPlan:
    """What a labelled data set will say.

    Attributes:
        settings: rule, gamma, mapping of returns.
        outcomes: of every recorded episode.
        recorded: what was recorded of each, kept in the episode table for ever.
        copies: counterfactual episodes, after the recorded ones.
        share, seed: how these were chosen.
        reward: column with the rewards of the source, for rule `keep`.
        preserved: column that labels overwrite -> name under which it is kept.
        lengths: frames of every recorded episode.
    """

    settings: LabelSettings
    outcomes: tuple[Outcome, ...]
    recorded: Verdicts
    copies: tuple[Counterfactual, ...]
    share: float
    seed: int
    reward: str | None
    preserved: dict[str, str]
    lengths: np.ndarray

    @property
    def n_recorded(self) -> int:
        """Recorded episodes."""
        return len(self.outcomes)

    @property
    def all_outcomes(self) -> tuple[Outcome, ...]:
        """Outcomes of the recorded episodes and of the copies."""
        return self.outcomes + (COPY_OUTCOME,) * len(self.copies)

    @property
    def all_lengths(self) -> np.ndarray:
        """Frames of the recorded episodes and of the copies."""
        return np.concatenate([self.lengths, self.lengths[[copy.of for copy in self.copies]]]).astype(np.int64)

    def to_record(self) -> dict[str, Any]:
        """Return what meta/labels.json says, without what it said before."""
        sources = Counter(outcome.source for outcome in self.outcomes)
        return {
            **self.settings.to_record(),
            "outcomes": dict(sorted(sources.items())),
            "counterfactual": {"share": self.share, "seed": self.seed, "episodes": len(self.copies)},
            "digest": self.digest(),
        }

    def digest(self) -> str:
        """Return a hash of everything that decides the labels: equal digests, equal labels."""
        content = {
            "version": LABELS_VERSION,
            "settings": self.settings.to_record(),
            "outcomes": [list(asdict(outcome).values()) for outcome in self.outcomes],
            "recorded": [None if verdict is None else list(asdict(verdict).values()) for verdict in self.recorded],
            "copies": [[copy.of, copy.instruction] for copy in self.copies],
            "chosen": [self.share, self.seed],
        }
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def make_plan(reader: DatasetReader, request: LabelRequest) -> LabelPlan:
    """Work out the labels of a data set.

    What the request leaves open stays as the data set has it: the rule, gamma, the outcomes, the counterfactuals.

    Raises:
        InvalidSetting: no rule given and none stored, or a rule that these rewards do not allow.
        DatasetError, UnknownName: outcomes or rewards that the data set does not have.
    """
    n_episodes = n_recorded_episodes(reader)
    stored = reader.metadata.labels
    if request.rule is None and stored is None:
        raise InvalidSetting(f"{reader.root} has no labels yet: choose a rule with --rule.")
    outcomes = tuple(decide_outcomes(reader, n_episodes, request.outcome))
    lengths = reader.episodes.length[:n_episodes].astype(np.int64)
    settings = label_settings(reader, request, outcomes=outcomes, lengths=lengths)
    share, seed = chosen_share(reader, request)
    instructions = reader.episodes.instructions[:n_episodes]
    return LabelPlan(
        settings=settings,
        outcomes=outcomes,
        recorded=recorded_verdicts(reader, n_episodes),
        copies=tuple(choose_counterfactuals(outcomes, instructions, reader.metadata.tasks, share=share, seed=seed)),
        share=share,
        seed=seed,
        reward=reward_column(reader) if settings.reward_rule == "keep" else None,
        preserved=preserved_columns(reader),
        lengths=lengths,
    )


def label_settings(
    reader: DatasetReader, request: LabelRequest, *, outcomes: tuple[Outcome, ...], lengths: np.ndarray
) -> LabelSettings:
    """Return rule, gamma and mapping. Raises as `make_plan`."""
    stored = reader.metadata.labels
    rule = request.rule or (stored.reward_rule if stored else "")
    gamma = request.gamma if request.gamma is not None else (stored.gamma if stored else DEFAULT_GAMMA)
    source = ", ".join(sorted({outcome.source for outcome in outcomes}))
    if request.failure_penalty is not None and rule != "recap":
        raise InvalidSetting(f"Rule '{rule}' has no failure penalty; only 'recap' has.")
    if rule == "recap":
        longest = int(lengths.max())
        penalty = request.failure_penalty
        if penalty is None and request.rule is None and stored is not None:
            penalty = stored.failure_penalty
        return LabelSettings(
            rule, gamma, source, failure_penalty=float(longest) if penalty is None else penalty, longest=longest
        )
    if rule != "keep":
        return LabelSettings(rule, gamma, source)
    n_frames = int(lengths.sum())
    terminated = np.zeros(n_frames, bool)
    terminated[np.cumsum(lengths) - 1] = [outcome.terminated for outcome in outcomes]
    reward = np.asarray(reader.column(reward_column(reader)), np.float64)[:n_frames]
    return keep_labels(reward, terminated, lengths, gamma=gamma, source=source)


def chosen_share(reader: DatasetReader, request: LabelRequest) -> tuple[float, int]:
    """Return share and seed of the counterfactuals: as asked, else as stored, else none."""
    path = reader.root / "meta/labels.json"
    stored = read_json(path).get("counterfactual", {}) if path.exists() else {}
    share = float(stored.get("share", 0.0) if request.counterfactual is None else request.counterfactual)
    seed = int(stored.get("seed", 0)) if request.seed is None else request.seed
    # Without copies the seed decides nothing: it must not make two equal data sets differ.
    return share, seed if share else 0
