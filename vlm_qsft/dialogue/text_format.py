"""TextFormat: how the texts of conversations become tokens and rewards returns; what a text checkpoint needs beside
its scorers.

    dialogue.json           task, context_turns, discount and scale of the rewards, renderer
    tokenizer/ ...          where the renderer is a chat template: the tokenizer of transformers, as it saves itself
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm_qsft.dialogue.conversation import Conversation
from vlm_qsft.dialogue.rendering import PlainRenderer
from vlm_qsft.dialogue.reward_scale import RewardScale
from vlm_qsft.dialogue.tasks import language_task
from vlm_qsft.dialogue.tokenizers import PieceTokenizer
from vlm_qsft.errors import CheckpointError, QsftError

FORMAT_NAME = "dialogue.json"


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
    renderer: PlainRenderer
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
        renderer = PlainRenderer(PieceTokenizer.fit(texts), played.end)
        return cls(task, renderer, played.context_turns, played.gamma, played.reward_scale(played.gamma))

    @property
    def tokenizer(self) -> PieceTokenizer:
        """Return the tokenizer of the texts."""
        assert isinstance(self.renderer.tokenizer, PieceTokenizer)  # `fit` and `from_json` make no other
        return self.renderer.tokenizer

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
            "end": self.renderer.end,
            "pieces": self.tokenizer.to_json(),
        }
        return json.dumps(record, indent=2, ensure_ascii=False)

    @classmethod
    def read(cls, folder: Path) -> TextFormat:
        """Read what `to_json` gave.

        Raises:
            CheckpointError: not there, or not as this version writes it.
        """
        path = folder / FORMAT_NAME
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            low, high = record["returns_between"]
            renderer = PlainRenderer(PieceTokenizer.from_json(record["pieces"]), str(record["end"]))
            turns = record["context_turns"]
            scale = RewardScale(float(low), float(high))
            return cls(str(record["task"]), renderer, turns, float(record["gamma"]), scale)
        except (OSError, ValueError, KeyError, TypeError, QsftError) as error:
            raise CheckpointError(f"{path} does not describe a text format: {error!r}.") from error
