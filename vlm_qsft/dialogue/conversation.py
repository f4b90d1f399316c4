"""Conversation: what was said in turn by user, assistant and environment, and what the assistant's words earned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from vlm_qsft.errors import DatasetError, UnknownName

Role = Literal["system", "user", "assistant", "environment"]
ROLES: tuple[str, ...] = get_args(Role)
Attribute = str | int | float | bool


@dataclass(frozen=True)
class Message:
    """One text of a conversation.

    Attributes:
        role: who said it. What the assistant says is an action text; the rest is observed.
        text: as it was said; layouts and chat templates add their own marks.
        reward: what the whole action text earned, in the task's own unit; 0 for every other role.
        trained: whether the policy is trained to say this action text; False where it only leads to what follows.
    """

    role: Role
    text: str
    reward: float = 0.0
    trained: bool = True

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            UnknownName: no such role.
            DatasetError: a reward that is no number, or one at a text that is no action.
        """
        if self.role not in ROLES:
            raise UnknownName("role", self.role, ROLES)
        if not math.isfinite(self.reward):
            raise DatasetError(f"The reward of a message is {self.reward}; expected a finite number.")
        if self.reward != 0.0 and not self.is_action:
            raise DatasetError(
                f"A message of the role '{self.role}' has the reward {self.reward:g}: only an action text earns one. "
                "Give it to the assistant's message before."
            )

    @property
    def is_action(self) -> bool:
        """Whether the policy said it."""
        return self.role == "assistant"


@dataclass(frozen=True)
class Conversation:
    """A conversation, ended or under way. Its turns are numbered by action texts, from 0.

    Attributes:
        messages: in the order they were said.
        terminated: the task ended: nothing could have followed.
        truncated: the recording was cut off: what would have followed is unknown.
        attributes: where it comes from: task, seed, who played.
    """

    messages: tuple[Message, ...]
    terminated: bool = False
    truncated: bool = False
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            DatasetError: both terminated and truncated.
        """
        if self.terminated and self.truncated:
            raise DatasetError("A conversation is terminated and truncated at once: it ended either way, not both.")

    @property
    def actions(self) -> tuple[Message, ...]:
        """Return the action texts."""
        return tuple(message for message in self.messages if message.is_action)

    @property
    def total_reward(self) -> float:
        """Return the undiscounted sum of the rewards, in the task's own unit."""
        return math.fsum(message.reward for message in self.messages)

    @property
    def turns(self) -> tuple[tuple[Message, ...], ...]:
        """Return the messages by turn: what is observed, then the action text; last, what is observed after it.

        The last part has no action text, and may be empty.
        """
        turns: list[tuple[Message, ...]] = []
        current: list[Message] = []
        for message in self.messages:
            current.append(message)
            if message.is_action:
                turns.append(tuple(current))
                current = []
        return (*turns, tuple(current))


def conversation_from_texts(
    texts: Sequence[tuple[str, bool]],
    rewards: Sequence[float],
    *,
    terminated: bool,
    attributes: Mapping[str, Attribute] | None = None,
) -> Conversation:
    """Build a conversation from (text, is action) pairs, as trajectories of text games are logged.

    A reward that stands at an observation is given to the action text before it: what is observed is masked when a
    model is trained, and a reward there would be lost.

    Args:
        rewards: one per text, in the task's own unit.
        terminated: False is a truncation.

    Raises:
        DatasetError: not one reward per text, or a reward before the first action text.
    """
    if len(texts) != len(rewards):
        raise DatasetError(f"A conversation has {len(texts)} texts and {len(rewards)} rewards; expected one each.")
    earned: list[float] = []
    for number, ((_, is_action), reward) in enumerate(zip(texts, rewards, strict=True)):
        earned.append(0.0)
        place = next((back for back in range(number, -1, -1) if texts[back][1]), None)
        if reward == 0.0:
            continue
        if place is None:
            raise DatasetError(f"Text {number} has the reward {reward:g}, but no action text stands before it.")
        earned[number if is_action else place] += reward
    messages = tuple(
        Message("assistant" if is_action else "environment", text, reward)
        for (text, is_action), reward in zip(texts, earned, strict=True)
    )
    return Conversation(messages, terminated=terminated, truncated=not terminated, attributes=attributes or {})
