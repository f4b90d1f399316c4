"""Every check by name, in the order of the report."""

from __future__ import annotations

from qsft_datasets.validation.check_action_meaning import check_action_meaning
from qsft_datasets.validation.check_cameras import check_cameras
from qsft_datasets.validation.check_constants import check_constant_dimensions
from qsft_datasets.validation.check_counts import check_counts
from qsft_datasets.validation.check_duplicates import check_duplicates
from qsft_datasets.validation.check_features import check_features
from qsft_datasets.validation.check_finite import check_finite
from qsft_datasets.validation.check_first_actions import check_first_actions
from qsft_datasets.validation.check_flags import check_flags
from qsft_datasets.validation.check_gripper import check_gripper
from qsft_datasets.validation.check_instructions import check_instructions
from qsft_datasets.validation.check_limits import check_limits
from qsft_datasets.validation.check_outcomes import check_outcomes
from qsft_datasets.validation.check_returns import check_returns
from qsft_datasets.validation.check_statistics import check_statistics
from qsft_datasets.validation.check_time import check_time
from qsft_datasets.validation.check_videos import check_videos
from qsft_datasets.validation.finding import Check

CHECKS: dict[str, Check] = {
    "counts": check_counts,
    "features": check_features,
    "finite": check_finite,
    "time": check_time,
    "videos": check_videos,
    "cameras": check_cameras,
    "instructions": check_instructions,
    "outcomes": check_outcomes,
    "flags": check_flags,
    "returns": check_returns,
    "duplicates": check_duplicates,
    "first actions": check_first_actions,
    "action meaning": check_action_meaning,
    "gripper": check_gripper,
    "constant dimensions": check_constant_dimensions,
    "limits": check_limits,
    "statistics": check_statistics,
}
"""A new check is a function in a file of its own and one line here."""

WITHOUT_FRAMES = ("counts", "videos", "instructions", "outcomes")
"""Checks of the metadata: those that can still be done where data/ is empty."""
