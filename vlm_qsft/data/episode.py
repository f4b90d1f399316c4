"""Episode: what a recorder or a converter hands to the writer, and the checks that it passes before it is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32

from vlm_qsft.data.labels import LabelSettings
from vlm_qsft.data.returns import check_returns, episode_returns
from vlm_qsft.data.reward_rules import REWARD_RULES, RawRewards, at_end
from vlm_qsft.data.schema import CameraStorage, DatasetSchema
from vlm_qsft.errors import DatasetError, NotFinite, ShapeMismatch

Attribute = str | int | float | bool


@dataclass(frozen=True)
class VideoClip:
    """One camera of one episode, in a video file that is copied as it is.

    Attributes:
        path: of the video file; it may hold other episodes too and is copied once.
        from_s: time of the first frame on the video's own clock, seconds; the others follow at the control rate.
    """

    path: Path
    from_s: float


Pictures = np.ndarray | Sequence[bytes] | VideoClip
"""uint8 (frame, height, width, 3), encoded bytes per frame, or a stretch of a video file."""


@dataclass(frozen=True)
class Episode:
    """One episode: row t holds the observation before action t, the action, and the reward for it.

    The observation after the last action has no row; the format has no place for it. The shapes are checked by
    `check_episode` when it is stored, not by the annotations: whoever hands one in gets our errors.

    Attributes:
        images: camera -> RGB pictures, or their encoded PNG or JPEG bytes, which are stored as they are; in a data
            set of videos a clip.
        state: (frame, state_dim) proprioception, physical units, in the order of the schema's names.
        action: (frame, action_dim) physical units, in the order of the schema's names.
        reward: (frame,) for the action of the same row, scaled so that every return lies in [0, 1]; None computes it
            by the data set's rule, which rule `keep` cannot.
        terminated: the episode ended because the task did (success, failure): nothing follows.
        truncated: it was cut off (time limit, operator): something would have followed.
        success: the task was accomplished.
        instruction: what the robot was told, one sentence, or one per frame where it changes.
        attributes: facts about the episode (quality, seed, ...), stored as columns of the episode table.
        kept: key -> (frame, width) numbers of the schema's kept columns, stored as they are.
    """

    images: Mapping[str, Pictures]
    state: np.ndarray
    action: np.ndarray
    reward: np.ndarray | None
    terminated: bool
    truncated: bool
    success: bool
    instruction: str | Sequence[str]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    kept: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Control steps."""
        return len(self.action)


@dataclass(frozen=True)
class LabelColumns:
    """The label columns of one episode.

    Attributes:
        terminated: by the rule: nothing is bootstrapped after the row. mc_return_t = reward_t + gamma *
            ~terminated_t * mc_return_{t+1} holds under every rule.
        truncated, success: as recorded, on the last row.
    """

    reward: Float32[np.ndarray, " frame"]
    terminated: Bool[np.ndarray, " frame"]
    truncated: Bool[np.ndarray, " frame"]
    success: Bool[np.ndarray, " frame"]
    mc_return: Float32[np.ndarray, " frame"]


def label_columns(episode: Episode, labels: LabelSettings) -> LabelColumns:
    """Return the label columns of an episode whose rewards are given, or follow from the rule.

    Raises:
        DatasetError: given rewards contradict the named rule.
        InvalidSetting: rule `keep` without rewards, or rule `recap` before the longest episode is known.
        TargetOutOfRange: a return leaves [0, 1].
    """
    length, success = episode.length, bool(episode.success)
    if labels.reward_rule == "keep" and episode.reward is not None:
        raw = RawRewards(np.asarray(episode.reward, np.float64), at_end(length, bool(episode.terminated)))
    else:
        raw = labels.raw_rewards(length, success=success, terminated=bool(episode.terminated))
    columns = columns_of_rewards(raw, labels, success=success, truncated=bool(episode.truncated))
    if episode.reward is None or labels.reward_rule == "keep":
        return columns
    given = np.asarray(episode.reward, dtype=np.float32)
    if not np.array_equal(given, columns.reward):
        raise DatasetError(
            f"Rewards contradict rule '{labels.reward_rule}' ({REWARD_RULES[labels.reward_rule]}): the episode has "
            f"success={episode.success} and rewards that sum to {float(given.sum()):.6g}; the rule, scaled, gives "
            f"{float(columns.reward.sum()):.6g}. Use rule 'keep' for others."
        )
    return columns


def columns_of_rewards(raw: RawRewards, labels: LabelSettings, *, success: bool, truncated: bool) -> LabelColumns:
    """Return the label columns of an episode from its raw rewards.

    Raises:
        TargetOutOfRange: a return leaves [0, 1].
    """
    reward = labels.return_mapping.rewards(raw.reward, raw.ends, labels.gamma).astype(np.float32)
    returns = episode_returns(reward, labels.gamma, terminated=raw.ends)
    check_returns(returns, reward_rule=labels.reward_rule)
    length = len(reward)
    return LabelColumns(reward, raw.ends, at_end(length, truncated), at_end(length, success), returns)


def check_episode(episode: Episode, schema: DatasetSchema) -> None:
    """Refuse an episode that does not fit the schema.

    Raises:
        DatasetError: a camera is missing, no frame, no reason for its end, an attribute of another kind.
        UnknownName: a camera that the schema does not have.
        ShapeMismatch: state, action, reward or pictures of another size.
        NotFinite: NaN or infinity; names the dimension and the frame.
    """
    if episode.length == 0:
        raise DatasetError("The episode has no frame.")
    if not (episode.terminated or episode.truncated):
        raise DatasetError(
            "The episode ends neither terminated nor truncated. An episode that simply stops is truncated=True."
        )
    for camera in episode.images:
        schema.camera(camera)
    for camera, size in schema.cameras.items():
        if camera not in episode.images:
            raise DatasetError(
                f"Camera '{camera}' is missing from the episode. Given: {', '.join(episode.images) or 'none'}; "
                f"declared: {', '.join(schema.cameras)}."
            )
        _check_pictures(camera, episode.images[camera], size, episode.length, storage=schema.camera_storage)
    if not isinstance(episode.instruction, str) and len(episode.instruction) != episode.length:
        raise ShapeMismatch(f"The episode has {len(episode.instruction)} instructions for {episode.length} frames.")
    _check_kept(episode, schema)
    _check_numbers("state", episode.state, schema.state_names, episode.length)
    _check_numbers("action", episode.action, schema.action_names, episode.length)
    if episode.reward is not None:
        _check_numbers("reward", np.asarray(episode.reward)[:, None], ("reward",), episode.length)
    for name, value in episode.attributes.items():
        if not isinstance(value, (str, int, float, bool, np.generic)) or not name or "/" in name:
            raise DatasetError(f"Attribute '{name}' is {value!r}; expected text, a whole number, a number or a flag.")


def _check_kept(episode: Episode, schema: DatasetSchema) -> None:
    if set(episode.kept) != set(schema.kept):
        raise DatasetError(
            f"The episode keeps {', '.join(sorted(episode.kept)) or 'nothing'} besides state and action; "
            f"declared are {', '.join(sorted(schema.kept)) or 'none'}."
        )
    for key, column in schema.kept.items():
        values = episode.kept[key]
        if values.shape != (episode.length, column.width) or not np.can_cast(values.dtype, column.dtype, "safe"):
            raise ShapeMismatch(
                f"Kept column '{key}' has {values.dtype} {values.shape}; "
                f"expected {column.dtype} {(episode.length, column.width)}."
            )
        if not np.isfinite(values).all():
            frame, place = np.argwhere(~np.isfinite(values))[0]
            raise NotFinite(
                f"Kept column '{key}' is {values[frame, place]} at place {place} in frame {frame} of the episode. "
                "Repair or leave out the episode, or do not keep this column."
            )


def _check_pictures(
    camera: str, pictures: Pictures, size: tuple[int, int], length: int, *, storage: CameraStorage
) -> None:
    expected = (length, *size, 3)
    if isinstance(pictures, VideoClip) != (storage == "video"):
        raise ShapeMismatch(
            f"Camera '{camera}' is given as {'a stretch of video' if storage == 'image' else 'pictures'}; "
            f"the data set stores cameras as {storage}."
        )
    if isinstance(pictures, VideoClip):
        return
    if isinstance(pictures, np.ndarray):
        if pictures.shape != expected or pictures.dtype != np.uint8:
            raise ShapeMismatch(
                f"Camera '{camera}' has {pictures.dtype} {pictures.shape}; expected uint8 {expected} "
                "(frames, height, width, RGB)."
            )
    elif len(pictures) != length:
        raise ShapeMismatch(f"Camera '{camera}' has {len(pictures)} pictures for {length} actions.")


def _check_numbers(kind: str, values: np.ndarray, names: tuple[str, ...], length: int) -> None:
    if values.shape != (length, len(names)) or not (
        np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer)
    ):
        raise ShapeMismatch(
            f"The {kind} has {values.dtype} {values.shape}; expected numbers ({length}, {len(names)}): "
            f"{length} frames of {', '.join(names) or 'nothing'}."
        )
    bad = ~np.isfinite(values)
    if bad.any():
        frame, column = np.argwhere(bad)[0]
        raise NotFinite(
            f"The {kind} '{names[column]}' is {values[frame, column]} in frame {frame} of the episode. "
            "Repair or leave out the episode."
        )
