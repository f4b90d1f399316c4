"""TokenizedConversation: a conversation as a model reads it, with the tokens that are actions and what they earned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from vlm_qsft.errors import ShapeMismatch

OBSERVED = -1
"""The turn of a token that is no action: observed, or a mark of the chat template."""


@dataclass(frozen=True)
class TokenizedConversation:
    """One row per token.

    Attributes:
        token_ids: in the order they are read.
        turn: number of the action text that a token belongs to, its end token included; `OBSERVED` elsewhere.
        context: number of the context that a token belongs to; a model sees the earlier tokens of the same one only.
        reward: of every action text, in the task's own unit.
        trained: whether the policy is trained to say each action text.
        terminated: the task ended with the last action text.
    """

    token_ids: Int64[np.ndarray, " token"]
    turn: Int64[np.ndarray, " token"]
    context: Int64[np.ndarray, " token"]
    reward: Float32[np.ndarray, " turn"]
    trained: Bool[np.ndarray, " turn"]
    terminated: bool

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ShapeMismatch: columns of different lengths, an action text without a token, or one that nothing precedes.
        """
        if not len(self.token_ids) == len(self.turn) == len(self.context):
            raise ShapeMismatch("token_ids, turn and context must have one row per token.")
        present = np.unique(self.turn[self.is_action])
        if not np.array_equal(present, np.arange(len(self.reward))):
            raise ShapeMismatch(f"{len(self.reward)} action texts are rewarded; tokens are of the turns {present}.")
        if len(self.trained) != len(self.reward):
            raise ShapeMismatch("reward and trained must have one entry per action text.")
        starts = np.flatnonzero(np.diff(self.context, prepend=-1))
        if self.is_action[starts].any():
            raise ShapeMismatch("An action text stands at the beginning of its context: a policy must see something.")

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.token_ids)

    @property
    def is_action(self) -> Bool[np.ndarray, " token"]:
        """Return the mask of the action tokens: what a policy says."""
        return self.turn != OBSERVED

    @property
    def last_tokens(self) -> Int64[np.ndarray, " turn"]:
        """Return the index of the last token of every action text: there its reward belongs."""
        actions = np.flatnonzero(self.is_action)
        is_last = np.diff(self.turn[actions], append=-2) != 0
        return actions[is_last]

    @property
    def first_tokens(self) -> Int64[np.ndarray, " turn"]:
        """Return the index of the first token of every action text."""
        actions = np.flatnonzero(self.is_action)
        is_first = np.diff(self.turn[actions], prepend=-2) != 0
        return actions[is_first]
