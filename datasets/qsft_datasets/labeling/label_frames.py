"""The label columns of every frame, as a plan has them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qsft_datasets.labeling.plan import LabelPlan
from vlm_qsft.data.episode import LabelColumns, columns_of_rewards
from vlm_qsft.data.reader import DatasetReader
from vlm_qsft.data.reward_rules import RawRewards, at_end
from vlm_qsft.data.schema import LABEL_DTYPES
from vlm_qsft.errors import DatasetError, TargetOutOfRange

Frames = Mapping[str, np.ndarray]
"""Label key -> one value per frame."""


def label_frames(reader: DatasetReader, plan: LabelPlan) -> Frames:
    """Return the label columns of all frames: of the recorded episodes, then of the copies.

    Raises:
        TargetOutOfRange: a return leaves [0, 1]; names the episode.
        DatasetError: the rewards of the source cannot be read.
    """
    lengths = plan.all_lengths
    n_frames = int(lengths.sum())
    frames = {key: np.zeros(n_frames, dtype) for key, dtype in LABEL_DTYPES.items()}
    reward = None if plan.reward is None else np.asarray(reader.column(plan.reward), np.float64)
    starts = np.cumsum(lengths) - lengths
    for episode, start in enumerate(starts.tolist()):
        length = int(lengths[episode])
        part = slice(start, start + length)
        of_source = None if reward is None or episode >= plan.n_recorded else reward[part]
        try:
            columns = episode_labels(plan, episode, length, of_source=of_source)
        except TargetOutOfRange as error:
            raise TargetOutOfRange(f"Episode {episode}: {error}") from error
        for key, values in zip(LABEL_DTYPES, columns_in_order(columns), strict=True):
            frames[key][part] = values
    return frames


def episode_labels(plan: LabelPlan, episode: int, length: int, *, of_source: np.ndarray | None) -> LabelColumns:
    """Return the label columns of one episode.

    Args:
        of_source: its rewards, for rule `keep`. A counterfactual copy has none under this rule: what the source paid
            was for another instruction; it counts the worst return there is.
    """
    outcome, settings = plan.all_outcomes[episode], plan.settings
    if settings.reward_rule != "keep":
        raw = settings.raw_rewards(length, success=outcome.success, terminated=outcome.terminated)
    else:
        ends = at_end(length, outcome.terminated)
        worst = settings.return_mapping.raw_rewards(np.zeros(length), ends, settings.gamma)
        raw = RawRewards(worst if of_source is None else of_source, ends)
    return columns_of_rewards(raw, settings, success=outcome.success, truncated=outcome.truncated)


def columns_in_order(columns: LabelColumns) -> tuple[np.ndarray, ...]:
    """Return the columns in the order of LABEL_DTYPES."""
    return columns.reward, columns.terminated, columns.truncated, columns.success, columns.mc_return


def refuse_no_frames(plan: LabelPlan) -> None:
    """Refuse a data set without episodes.

    Raises:
        DatasetError: there is nothing to label.
    """
    if plan.n_recorded == 0:
        raise DatasetError("The data set has no episode: there is nothing to label.")
