"""One conversation as one JSON object, in the layouts of LMRL-Gym's data sets (arXiv 2311.18232).

    {"sequence": [[text, is_action], ...], "reward": [...], "done": ...}       Wordle; read and written
    {"text_history": [...], "rewards": [...], "dones": [...]}                  mazes, text navigation; read
    {"lines": ["Question? Yes.", ...], "correct": ..., "word": [...]}          twenty questions; read

In a `text_history` every second text is an action. There may be one reward per text, one per text but the first (a
header that was added later), or one per action. What we write has one per text and the further keys `truncated`,
`roles` and `attributes`, which readers of LMRL-Gym do not look at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from vlm_qsft.dialogue.conversation import Conversation, Message, conversation_from_texts
from vlm_qsft.errors import DatasetError, QsftError

TWENTY_QUESTIONS_HEADER = "Questions:\n"
TWENTY_QUESTIONS_LIMIT = 20


def to_line(conversation: Conversation) -> str:
    """Return one line of JSON.

    Raises:
        DatasetError: the conversation is still under way.
    """
    if not (conversation.terminated or conversation.truncated):
        raise DatasetError("A conversation that is still under way is no log: say how it ended.")
    messages = conversation.messages
    record: dict[str, Any] = {
        "sequence": [[message.text, float(message.is_action)] for message in messages],
        "reward": [message.reward for message in messages],
        "done": conversation.terminated,
        "truncated": conversation.truncated,
    }
    if any(message.role not in ("assistant", "environment") for message in messages):
        record["roles"] = [message.role for message in messages]
    if conversation.attributes:
        record["attributes"] = dict(conversation.attributes)
    return json.dumps(record, ensure_ascii=False)


def from_line(line: str) -> Conversation:
    """Read one line of JSON, in whichever of the layouts it is.

    Raises:
        DatasetError: it is in none, or its parts do not fit together.
    """
    try:
        record = json.loads(line)
        for key, read in (("sequence", _from_sequence), ("text_history", _from_history), ("lines", _from_questions)):
            if key in record:
                return read(record)
    except QsftError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise DatasetError(f"A line holds no conversation ({error!r}): {line[:80]!r}.") from error
    raise DatasetError(
        f"A conversation has the keys {', '.join(map(str, record)) or 'none'}; expected `sequence`, `text_history` or "
        "`lines`, as LMRL-Gym writes them."
    )


def _from_sequence(record: Mapping[str, Any]) -> Conversation:
    texts = [(_text(text), bool(is_action)) for text, is_action in record["sequence"]]
    rewards = _aligned([float(reward) for reward in record["reward"]], [is_action for _, is_action in texts])
    conversation = conversation_from_texts(
        texts, rewards, terminated=bool(record["done"]), attributes=record.get("attributes")
    )
    if "roles" not in record:
        return conversation
    messages = tuple(
        Message(role, message.text, message.reward)
        for role, message in zip(record["roles"], conversation.messages, strict=True)
    )
    return Conversation(messages, conversation.terminated, conversation.truncated, conversation.attributes)


def _from_history(record: Mapping[str, Any]) -> Conversation:
    texts = [(_text(text), number % 2 == 1) for number, text in enumerate(record["text_history"])]
    rewards = _aligned([float(reward) for reward in record["rewards"]], [is_action for _, is_action in texts])
    return conversation_from_texts(texts, rewards, terminated=bool(record["dones"][-1]))


def _from_questions(record: Mapping[str, Any]) -> Conversation:
    texts, rewards = [(TWENTY_QUESTIONS_HEADER, False)], [0.0]
    for line in record["lines"]:
        question, mark, answer = _text(line).rpartition("? ")
        if not mark:
            raise DatasetError(f"A line of twenty questions is 'Question? Answer'; got {line!r}.")
        texts += [(f"{question}?\n", True), (f"{answer}\n", False)]
        rewards += [-1.0, 0.0]
    correct = bool(record["correct"])
    if correct:
        rewards[-2] = 0.0
    terminated = correct or len(record["lines"]) >= TWENTY_QUESTIONS_LIMIT
    attributes = {"word": ";".join(_text(word) for word in record["word"])}
    return conversation_from_texts(texts, rewards, terminated=terminated, attributes=attributes)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise DatasetError(f"A text of a conversation is {value!r}; expected a string.")
    return value


def _aligned(rewards: Sequence[float], is_action: Sequence[bool]) -> list[float]:
    """Return one reward per text."""
    if len(rewards) == len(is_action):
        return list(rewards)
    if len(rewards) == len(is_action) - 1:
        return [0.0, *rewards]
    if len(rewards) == sum(is_action):
        earned = iter(rewards)
        return [next(earned) if acts else 0.0 for acts in is_action]
    raise DatasetError(
        f"{len(is_action)} texts, {sum(is_action)} of them actions, have {len(rewards)} rewards; expected one per "
        "text, per text but the first, or per action."
    )
