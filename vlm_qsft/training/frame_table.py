"""FrameTable: every column of a data set that training reads, in memory; pictures stay in the frame cache."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped

from vlm_qsft.data.episode_table import COUNTERFACTUAL_OF, EpisodeTable
from vlm_qsft.data.labels import rewards_for_gamma
from vlm_qsft.data.reader import DatasetReader
from vlm_qsft.data.returns import check_returns, monte_carlo_returns
from vlm_qsft.data.schema import ACTION_KEY, STATE_KEY
from vlm_qsft.tokens import ActionTokenizer


@dataclass(frozen=True)
class FrameTable:
    """One row per frame, episodes one after the other.

    Attributes:
        state: proprioception, physical units.
        action_bins: of every frame's own action, in a small integer type.
        chunk: control steps per decision.
        n_clipped: numbers of logged actions that lay outside the tokenizer's range.
        instruction: index into `instructions`.
        instructions: the distinct instructions.
        episode: index of each frame's episode.
        stop: index of the first frame after each frame's episode.
        episode_success: whether each episode accomplished its task; all False in data sets without labels.
        reward: for the action of each frame; zeros in data sets without labels.
        terminated: True where the task ended by the rule of the labels: nothing is bootstrapped after it.
        returns: Monte-Carlo return from each frame on.
        recorded_as: the episode itself, or the one that it is a counterfactual copy of.
    """

    state: Float32[np.ndarray, "frame state_dim"]
    action_bins: Shaped[np.ndarray, "frame action_dim"]
    chunk: int
    n_clipped: int
    instruction: Int64[np.ndarray, " frame"]
    instructions: tuple[str, ...]
    episode: Int64[np.ndarray, " frame"]
    stop: Int64[np.ndarray, " frame"]
    episode_success: Bool[np.ndarray, " episode"]
    reward: Float32[np.ndarray, " frame"]
    terminated: Bool[np.ndarray, " frame"]
    returns: Float32[np.ndarray, " frame"]
    recorded_as: Int64[np.ndarray, " episode"]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.episode)

    @property
    def n_episodes(self) -> int:
        """Return the number of episodes."""
        return len(self.episode_success)

    def frames_of(self, episodes: Int64[np.ndarray, " chosen"]) -> Int64[np.ndarray, " frame"]:
        """Return the indices of all frames of these episodes, ascending."""
        return np.flatnonzero(np.isin(self.episode, episodes))

    def tokens(self, frames: Int64[np.ndarray, " batch"]) -> Int64[np.ndarray, "batch token"]:
        """Return the tokens of the action chunks that begin at these frames.

        Where a chunk reaches past the end of its episode the last action is repeated.
        """
        steps = np.minimum(frames[:, None] + np.arange(self.chunk), self.stop[frames][:, None] - 1)
        return self.action_bins[steps].reshape(len(frames), -1).astype(np.int64)


def read_frame_table(reader: DatasetReader, tokenizer: ActionTokenizer, *, gamma: float) -> FrameTable:
    """Read the columns of a data set.

    Args:
        gamma: discount per control step of the returns; rewards and returns are computed for it, whatever is stored.

    Raises:
        DatasetError, NotFinite, ShapeMismatch: a column cannot be used.
        InvalidSetting: rewards kept from the source that no mapping brings into [0, 1] with this gamma.
        TargetOutOfRange: with this gamma a return leaves [0, 1].
    """
    n_frames, episodes = reader.n_frames, reader.episodes
    # A bin does not depend on the place in a chunk: one row per frame is enough, whatever the chunk is.
    encoded = replace(tokenizer, chunk=1).encode(reader.column(ACTION_KEY)[:, None])
    episode = np.repeat(np.arange(len(episodes)), episodes.length)
    reward, terminated = np.zeros(n_frames, np.float32), np.zeros(n_frames, bool)
    success = np.zeros(len(episodes), bool)
    if reader.has_labels and episodes.success is not None:
        reward, terminated = reader.column("next.reward"), reader.column("next.terminated")
        success = episodes.success
    labels = reader.metadata.labels
    if labels is not None:
        lengths = episodes.length
        reward = rewards_for_gamma(labels, gamma, reward=reward, terminated=terminated, lengths=lengths)
    returns = monte_carlo_returns(reward, episodes.length, gamma, terminated=terminated)
    check_returns(returns, reward_rule="unknown" if labels is None else labels.reward_rule)
    return FrameTable(
        state=reader.column(STATE_KEY) if reader.schema.state_names else np.zeros((n_frames, 0), np.float32),
        action_bins=encoded.bins[:, 0].astype(np.min_scalar_type(tokenizer.n_bins)),
        chunk=tokenizer.chunk,
        n_clipped=encoded.n_clipped,
        instruction=reader.column("task_index").astype(np.int64),
        instructions=tuple(reader.metadata.tasks),
        episode=episode,
        stop=(episodes.first_frame + episodes.length)[episode],
        episode_success=success,
        reward=reward,
        terminated=terminated,
        returns=returns,
        recorded_as=recorded_as(episodes),
    )


def recorded_as(episodes: EpisodeTable) -> Int64[np.ndarray, " episode"]:
    """Return for every episode itself, or the episode that it is a counterfactual copy of."""
    copied = episodes.attributes.get(COUNTERFACTUAL_OF, (None,) * len(episodes))
    return np.array([index if of is None else int(of) for index, of in enumerate(copied)], dtype=np.int64)
