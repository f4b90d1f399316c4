"""Data sets on disk: LeRobotDataset v3.0 plus labels; reading, durable writing, windows, frame caches, splits."""

from vlm_qsft.data.episode import Episode, VideoClip
from vlm_qsft.data.episode_table import EpisodeTable
from vlm_qsft.data.frame_cache import FrameCache, Frames, LiveFrames, open_frames
from vlm_qsft.data.labels import LabelSettings
from vlm_qsft.data.quantiles import exact_quantiles
from vlm_qsft.data.reader import DatasetReader, Transition
from vlm_qsft.data.recording import write_episodes
from vlm_qsft.data.return_mapping import ReturnMapping
from vlm_qsft.data.returns import check_returns, episode_returns, monte_carlo_returns
from vlm_qsft.data.reward_rules import REWARD_RULES, binary01_reward
from vlm_qsft.data.schema import DatasetSchema, KeptColumn
from vlm_qsft.data.split import split_episodes
from vlm_qsft.data.windows import WindowRows
from vlm_qsft.data.writer import DatasetWriter

__all__ = [
    "REWARD_RULES",
    "DatasetReader",
    "DatasetSchema",
    "DatasetWriter",
    "Episode",
    "EpisodeTable",
    "FrameCache",
    "Frames",
    "KeptColumn",
    "LabelSettings",
    "LiveFrames",
    "ReturnMapping",
    "Transition",
    "VideoClip",
    "WindowRows",
    "binary01_reward",
    "check_returns",
    "episode_returns",
    "exact_quantiles",
    "monte_carlo_returns",
    "open_frames",
    "split_episodes",
    "write_episodes",
]
