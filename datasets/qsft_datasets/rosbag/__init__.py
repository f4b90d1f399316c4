"""ROS 2 bags, MCAP and db3, read without a ROS installation and resampled to a control rate."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from qsft_datasets.rosbag.finding import recognised_bag
from vlm_qsft.errors import MissingDependency

if TYPE_CHECKING:
    from qsft_datasets.rosbag.source import RosbagSource

__all__ = ["open_source", "recognise"]


def recognise(root: Path) -> bool:
    """Return whether a root is a ROS 2 bag, or a folder with one in it, by names and first bytes."""
    return recognised_bag(root) is not None


def open_source(
    root: Path,
    *,
    rate: Fraction | None = None,
    reference_topic: str | None = None,
    episode_topic: str | None = None,
    outcome_topic: str | None = None,
    tolerance_s: float = 0.0,
    gap_limit_s: float = 0.2,
) -> RosbagSource:
    """Open a bag (folder or file) or a folder of bags.

    Args:
        rate: control steps per second; needed before an episode is read, `at_rate` sets it later.
        reference_topic: its first message is the first step of an episode.
        episode_topic, outcome_topic: where one bag holds several episodes, see `qsft_datasets.rosbag.markers`.
        tolerance_s: an observation stamped this much after a step still counts for it.
        gap_limit_s: an observation older than this is reported.
    Raises:
        InvalidSetting: a setting outside its range.
        MissingDependency: rosbags is not installed.
    """
    try:
        import rosbags  # noqa: F401
    except ImportError as error:
        raise MissingDependency("ROS 2 bags need rosbags: pip install 'vlm-qsft[rosbag]'.") from error
    from qsft_datasets.rosbag.source import RosbagSource

    return RosbagSource(
        root,
        rate,
        reference_topic=reference_topic,
        episode_topic=episode_topic,
        outcome_topic=outcome_topic,
        tolerance_s=tolerance_s,
        gap_limit_s=gap_limit_s,
    )
