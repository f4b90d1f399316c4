"""ChatRenderer: the chat template of a model's own tokenizer, with no text able to change roles.

The template is rendered with a placeholder for every text. What stands between the placeholders are its marks, which
may be control tokens; the texts themselves are tokenized with control tokens off, whatever they contain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from jinja2 import TemplateError

from vlm_qsft.dialogue.conversation import Message
from vlm_qsft.dialogue.rendering import Piece
from vlm_qsft.errors import InvalidSetting

# Private-use characters: no template looks for them, and what comes between is found again by number.
_PLACEHOLDER = re.compile("\ue000(\\d+)\ue001")

TEMPLATE_ROLES = MappingProxyType({"system": "system", "user": "user", "assistant": "assistant", "environment": "user"})
"""Role of ours -> role of a chat template. Hardly a template has one for an environment."""


@runtime_checkable
class ChatTokenizer(Protocol):
    """What is used of a tokenizer of transformers."""

    eos_token_id: int | None

    def apply_chat_template(self, conversation: Any, **settings: Any) -> Any:
        """Return the rendered text."""
        ...

    def __call__(self, text: str, **settings: Any) -> Any:
        """Return the token ids under `input_ids`."""
        ...

    def decode(self, token_ids: Any, **settings: Any) -> Any:
        """Return the text."""
        ...

    def __len__(self) -> int:
        """Return the size of the vocabulary."""
        ...

    def save_pretrained(self, save_directory: Any) -> Any:
        """Write the tokenizer into a folder."""
        ...


@dataclass(frozen=True)
class ChatRenderer:
    """Renders messages by a chat template; an action text ends with the end-of-sequence token.

    Attributes:
        tokenizer: with its template.
        roles: see `TEMPLATE_ROLES`.
    """

    tokenizer: ChatTokenizer
    roles: Mapping[str, str] = field(default_factory=lambda: TEMPLATE_ROLES)

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """Return marks and texts in turn; an action text takes the end token out of the mark behind it.

        Raises:
            InvalidSetting: the template drops, repeats or reorders texts, does not end the assistant's texts with the
                end-of-sequence token, or changes what came before when a message is added.
        """
        marks = self._marks(messages, asks=bool(messages) and not messages[-1].is_action)
        pieces: list[Piece] = []
        behind_answer = False
        for number, message in enumerate(messages):
            mark = self._asked(messages[:number], marks) if message.is_action else marks[number]
            self._add_observed(pieces, self._after_end(mark) if behind_answer else mark)
            behind_answer = message.is_action
            if message.is_action:
                pieces.append(Piece([*self._text_tokens(message.text), self._end_token], True))
            else:
                self._add_observed(pieces, message.text, is_mark=False)
        self._add_observed(pieces, self._after_end(marks[-1]) if behind_answer else marks[-1])
        return pieces

    def is_end(self, token_id: int) -> bool:
        """Return whether a token is the end-of-sequence token."""
        return token_id == self._end_token

    def text_of(self, token_ids: Sequence[int]) -> str:
        """Return the text without the end token."""
        return self.tokenizer.decode([token for token in token_ids if not self.is_end(token)])

    @property
    def _end_token(self) -> int:
        if self.tokenizer.eos_token_id is None:
            raise InvalidSetting("The tokenizer has no end-of-sequence token: nothing says where an answer ends.")
        return self.tokenizer.eos_token_id

    @property
    def _end_text(self) -> str:
        return self.tokenizer.decode([self._end_token])

    def _asked(self, messages: Sequence[Message], marks: Sequence[str]) -> str:
        """Return the mark that asks for an answer to messages, without the blank that some put before the answer."""
        number = len(messages)
        asked = self._marks(messages, asks=True)
        blank = marks[number].removeprefix(asked[-1])
        if asked[:-1] != marks[:number] or not marks[number].startswith(asked[-1]) or blank.strip():
            raise InvalidSetting(
                f"The chat template renders what stands before message {number} otherwise once an answer follows: a "
                "model trained on whole conversations would be asked another question. Use a template that only adds."
            )
        return asked[-1]

    def _marks(self, messages: Sequence[Message], *, asks: bool) -> list[str]:
        """Return what the template puts before, between and after the texts: one mark more than messages."""
        texts = [f"\ue000{number}\ue001" for number in range(len(messages))]
        # Templates of vision-language models look for the parts of a message, and show no plain text.
        in_parts = [[{"type": "text", "text": text}] for text in texts]
        for contents in (texts, in_parts):
            placed = [
                {"role": self.roles[message.role], "content": content}
                for message, content in zip(messages, contents, strict=True)
            ]
            try:
                rendered = self.tokenizer.apply_chat_template(placed, tokenize=False, add_generation_prompt=asks)
            except (TemplateError, TypeError) as error:
                roles = ", ".join(message["role"] for message in placed)
                raise InvalidSetting(f"The chat template takes no messages of {roles}: {error}") from error
            parts = _PLACEHOLDER.split(rendered)
            if [int(number) for number in parts[1::2]] == list(range(len(messages))) and "'type':" not in rendered:
                return parts[0::2]
        raise InvalidSetting(
            f"The chat template shows the messages {parts[1::2]} of {len(messages)}; expected each once, in order."
        )

    def _after_end(self, mark: str) -> str:
        if not mark.startswith(self._end_text):
            raise InvalidSetting(
                f"The chat template ends an assistant's text with {mark!r}; expected its end-of-sequence token "
                f"{self._end_text!r} first. A model would not learn where to stop."
            )
        return mark.removeprefix(self._end_text)

    def _add_observed(self, pieces: list[Piece], text: str, *, is_mark: bool = True) -> None:
        token_ids = self._mark_tokens(text) if is_mark else self._text_tokens(text)
        if token_ids:
            pieces.append(Piece(token_ids, False))

    def _mark_tokens(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []

    def _text_tokens(self, text: str) -> list[int]:
        encoded = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)
        return list(encoded["input_ids"]) if text else []
