"""Logged conversations as a Hugging Face data set: one row per conversation, messages as chat libraries expect them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from vlm_qsft.dialogue.conversation import Conversation, Message
from vlm_qsft.errors import DatasetError, MissingDependency

if TYPE_CHECKING:
    from datasets import Dataset

COLUMNS = ("messages", "terminated", "truncated", "attributes")


def to_hugging_face(conversations: Iterable[Conversation]) -> Dataset:
    """Return a data set with the columns `COLUMNS`.

    `messages` is a list of {"role", "content", "reward"}; `attributes` is JSON, because they differ from log to log.

    Raises:
        MissingDependency: the package `datasets` is not installed.
    """
    try:
        from datasets import Dataset, Features, List, Value
    except ImportError as error:
        raise MissingDependency(
            "Hugging Face data sets need the package datasets: pip install 'vlm-qsft[language]'."
        ) from error
    message = {"role": Value("string"), "content": Value("string"), "reward": Value("float64")}
    features = Features(
        {
            "messages": List(message),
            "terminated": Value("bool"),
            "truncated": Value("bool"),
            "attributes": Value("string"),
        }
    )
    rows = [
        {
            "messages": [{"role": m.role, "content": m.text, "reward": m.reward} for m in conversation.messages],
            "terminated": conversation.terminated,
            "truncated": conversation.truncated,
            "attributes": json.dumps(dict(conversation.attributes), sort_keys=True),
        }
        for conversation in conversations
    ]
    return Dataset.from_list(rows, features=features)


def from_hugging_face(dataset: Dataset) -> Iterator[Conversation]:
    """Yield the conversations of a data set; a message without a reward earned none, as in data sets for SFT.

    Raises:
        DatasetError: no column `messages`, or one that cannot be read.
    """
    if "messages" not in dataset.column_names:
        raise DatasetError(
            f"The data set has the columns {', '.join(dataset.column_names) or 'none'}; expected `messages`, a list of "
            "role and content."
        )
    for number, row in enumerate(dataset.to_list()):
        try:
            messages = tuple(
                Message(message["role"], message["content"], message.get("reward") or 0.0)
                for message in row["messages"]
            )
            truncated = bool(row.get("truncated", False))
            attributes = json.loads(row.get("attributes") or "{}")
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"Row {number} holds no conversation: {error!r}.") from error
        yield Conversation(messages, bool(row.get("terminated", not truncated)), truncated, attributes)
