"""Renderers: from messages to tokens. `PlainRenderer` puts texts one after the other, as text games are logged.

Marks and texts are tokenized piece by piece: the pieces of a log are then the pieces that a policy is asked for, and no
text can turn into a control token or run into a mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64

from vlm_qsft.dialogue.conversation import Conversation, Message
from vlm_qsft.dialogue.tokenized import OBSERVED, TokenizedConversation
from vlm_qsft.dialogue.tokenizers import TextTokenizer
from vlm_qsft.errors import DatasetError


@dataclass(frozen=True)
class Piece:
    """Tokens that belong together.

    Attributes:
        token_ids: of the piece.
        is_action: whether the policy says them.
    """

    token_ids: list[int]
    is_action: bool


@runtime_checkable
class Renderer(Protocol):
    """From messages to pieces of tokens."""

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """Return the pieces of messages; where the last is no action text, what asks for one ends them.

        Every action text is one piece, with the token that ends it.

        Raises:
            DatasetError, InvalidSetting: messages that cannot be rendered.
        """
        ...

    def is_end(self, token_id: int) -> bool:
        """Return whether a token ends an action text."""
        ...

    def text_of(self, token_ids: Sequence[int]) -> str:
        """Return the action text of the tokens that a policy chose, its end token among them."""
        ...


@dataclass(frozen=True)
class PlainRenderer:
    """Texts one after the other, without a mark; an action text ends with a character that it has nowhere else.

    Attributes:
        tokenizer: of the texts.
        end: that character; in every token that has it, it is the last one.
    """

    tokenizer: TextTokenizer
    end: str = "\n"

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """Return one piece per message.

        Raises:
            DatasetError: an action text that does not end with `end`, or has it in its middle.
        """
        for message in messages:
            if message.is_action and (not message.text or message.text.find(self.end) != len(message.text) - 1):
                raise DatasetError(f"An action text must end with its only {self.end!r}; got {message.text!r}.")
        return [Piece(self.tokenizer.encode(message.text), message.is_action) for message in messages]

    def is_end(self, token_id: int) -> bool:
        """Return whether a token ends with the end character."""
        return self.tokenizer.decode([token_id]).endswith(self.end)

    def text_of(self, token_ids: Sequence[int]) -> str:
        """Return the text of the tokens."""
        return self.tokenizer.decode(token_ids)


def tokenize(
    conversation: Conversation, renderer: Renderer, *, context_turns: int | None = None
) -> TokenizedConversation:
    """Return a conversation as tokens.

    Args:
        context_turns: after so many turns the policy forgets and begins anew, in training and in use alike; 1 where an
            observation says all there is to know; None for never.

    Raises:
        DatasetError: no action text, or messages that cannot be rendered.
        ShapeMismatch: see `TokenizedConversation`.
    """
    turns = conversation.turns
    if len(turns) < 2:
        raise DatasetError("The conversation has no action text: there is nothing to learn from it.")
    size = context_turns or len(turns)
    token_ids: list[int] = []
    turn_of: list[int] = []
    context: list[int] = []
    number = 0
    for begin in range(0, len(turns), size):
        messages = [message for turn in turns[begin : begin + size] for message in turn]
        for piece in renderer.pieces(messages) if messages else []:
            token_ids += piece.token_ids
            turn_of += [number if piece.is_action else OBSERVED] * len(piece.token_ids)
            context += [begin // size] * len(piece.token_ids)
            number += piece.is_action
    return TokenizedConversation(
        token_ids=np.array(token_ids, np.int64),
        turn=np.array(turn_of, np.int64),
        context=np.array(context, np.int64),
        reward=np.array([message.reward for message in conversation.actions], np.float32),
        trained=np.array([message.trained for message in conversation.actions], bool),
        terminated=conversation.terminated,
    )


def prompt_tokens(
    conversation: Conversation, renderer: Renderer, *, context_turns: int | None = None
) -> Int64[np.ndarray, " token"]:
    """Return what a policy sees before its next action text, as it was trained to see it.

    Raises:
        DatasetError, InvalidSetting: see `Renderer.pieces`.
    """
    turns = conversation.turns
    size = context_turns or len(turns)
    begin = (len(turns) - 1) // size * size
    messages = [message for turn in turns[begin:] for message in turn]
    return np.array([token for piece in renderer.pieces(messages) for token in piece.token_ids], np.int64)
