"""TextFormat: how the texts of conversations become tokens and rewards returns; what a text checkpoint needs beside
its scorers.

    dialogue.json           task, context_turns, discount and scale of the rewards, renderer
    tokenizer/ ...          where the renderer is a chat template: the tokenizer of transformers, as it saves itself
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm_qsft.dialogue.chat_template import ChatRenderer
from vlm_qsft.dialogue.conversation import Conversation
from vlm_qsft.dialogue.rendering import PlainRenderer
from vlm_qsft.dialogue.reward_scale import RewardScale
from vlm_qsft.dialogue.tasks import language_task
from vlm_qsft.dialogue.tokenizers import PieceTokenizer
from vlm_qsft.errors import CheckpointError, InvalidSetting, QsftError
from vlm_qsft.model.text_tokenizer import load_chat_tokenizer

FORMAT_NAME = "dialogue.json"
TOKENIZER_FOLDER = "tokenizer"


@dataclass(frozen=True)
class TextFormat:
    """See the module.

    Attributes:
        task: name of the language task that the logs are of.
        renderer: from messages to tokens.
        context_turns: turns after which the policy forgets; None for never.
        gamma: discount per turn.
        scale: that puts every return into [0, 1].
    """

    task: str
    renderer: PlainRenderer | ChatRenderer
    context_turns: int | None
    gamma: float
    scale: RewardScale

    @classmethod
    def fit(cls, task: str, conversations: Sequence[Conversation]) -> TextFormat:
        """Return the format of a task for a model of its own, whose tokens are those of the logs.

        Raises:
            UnknownName: no such task.
        """
        played = language_task(task)
        texts = (message.text for conversation in conversations for message in conversation.messages)
        renderer = PlainRenderer(PieceTokenizer.fit(texts, pattern=played.pieces), played.end)
        return cls(task, renderer, played.context_turns, played.gamma, played.reward_scale(played.gamma))

    @classmethod
    def of_chat(cls, task: str, tokenizer: Any) -> TextFormat:
        """Return the format of a task for a language model that has a tokenizer and a chat template of its own.

        Raises:
            UnknownName: no such task.
        """
        played = language_task(task)
        scale = played.reward_scale(played.gamma)
        return cls(task, ChatRenderer(tokenizer), played.context_turns, played.gamma, scale)

    @property
    def tokenizer(self) -> PieceTokenizer:
        """Return the tokenizer of a model of the task's own.

        Raises:
            InvalidSetting: the conversations are rendered by a chat template.
        """
        if not isinstance(self.renderer, PlainRenderer) or not isinstance(self.renderer.tokenizer, PieceTokenizer):
            raise InvalidSetting("This model has the tokenizer of its language model, not one of the task's pieces.")
        return self.renderer.tokenizer

    @property
    def n_words(self) -> int:
        """Return the size of the vocabulary."""
        return len(self.renderer.tokenizer) if isinstance(self.renderer, ChatRenderer) else self.tokenizer.n_tokens

    @property
    def parts(self) -> list[list[str]] | None:
        """Return what every token of a model of the task's own consists of; None for a language model's tokens."""
        if isinstance(self.renderer, ChatRenderer):
            return None
        played = language_task(self.task)
        return [played.parts(token) for token in self.tokenizer.vocabulary]

    def state_of(self, token_ids: Sequence[int]) -> str:
        """Return what the tokens of a context say about where a conversation stands, as text: all but what counts."""
        return re.sub(language_task(self.task).counts or "(?!)", "", self.renderer.text_of(token_ids))

    def with_gamma(self, gamma: float) -> TextFormat:
        """Return the format with another discount; the scale follows it.

        Raises:
            InvalidSetting: the task's returns have no bounds for it.
        """
        scale = language_task(self.task).reward_scale(gamma)
        return TextFormat(self.task, self.renderer, self.context_turns, gamma, scale)

    def to_json(self) -> str:
        """Return the content of dialogue.json."""
        record: dict[str, Any] = {
            "task": self.task,
            "context_turns": self.context_turns,
            "gamma": self.gamma,
            "returns_between": [self.scale.low, self.scale.high],
            "renderer": {"kind": "chat"}
            if isinstance(self.renderer, ChatRenderer)
            else {"kind": "plain", "end": self.renderer.end, "pieces": self.tokenizer.to_json()},
        }
        return json.dumps(record, indent=2, ensure_ascii=False)

    def save_files(self, folder: Path) -> None:
        """Write what stands beside dialogue.json: the tokenizer of a chat template."""
        if isinstance(self.renderer, ChatRenderer):
            self.renderer.tokenizer.save_pretrained(folder / TOKENIZER_FOLDER)

    @classmethod
    def read(cls, folder: Path) -> TextFormat:
        """Read what `to_json` and `save_files` wrote.

        Raises:
            CheckpointError: not there, or not as this version writes it.
        """
        path = folder / FORMAT_NAME
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            low, high = record["returns_between"]
            renderer = _renderer(record["renderer"], folder)
            turns = record["context_turns"]
            scale = RewardScale(float(low), float(high))
            return cls(str(record["task"]), renderer, turns, float(record["gamma"]), scale)
        except (OSError, ValueError, KeyError, TypeError, QsftError) as error:
            raise CheckpointError(f"{path} does not describe a text format: {error!r}.") from error


def _renderer(record: Mapping[str, Any], folder: Path) -> PlainRenderer | ChatRenderer:
    if record["kind"] == "chat":
        return ChatRenderer(load_chat_tokenizer(str(folder / TOKENIZER_FOLDER), allow_download=False))
    return PlainRenderer(PieceTokenizer.from_json(record["pieces"]), str(record["end"]))
