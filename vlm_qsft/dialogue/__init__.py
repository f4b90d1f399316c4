"""The same scorer, losses, backups and extraction on text: conversations, language tasks, logs.

Names are loaded when they are first used: who talks with a robot (`dialogue.operator`) loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlm_qsft.dialogue.chat_template import ChatRenderer
    from vlm_qsft.dialogue.conversation import Conversation, Message, conversation_from_texts
    from vlm_qsft.dialogue.hugging_face import from_hugging_face, to_hugging_face
    from vlm_qsft.dialogue.logs import read_conversations, write_conversations
    from vlm_qsft.dialogue.rendering import PlainRenderer, Renderer, prompt_tokens, tokenize
    from vlm_qsft.dialogue.reward_scale import RewardScale
    from vlm_qsft.dialogue.tokenized import TokenizedConversation
    from vlm_qsft.dialogue.tokenizers import CharacterTokenizer, PieceTokenizer, TextTokenizer
    from vlm_qsft.dialogue.transitions import TokenTransitions, token_transitions

_HOMES = {
    "CharacterTokenizer": "tokenizers",
    "ChatRenderer": "chat_template",
    "Conversation": "conversation",
    "Message": "conversation",
    "PieceTokenizer": "tokenizers",
    "PlainRenderer": "rendering",
    "Renderer": "rendering",
    "RewardScale": "reward_scale",
    "TextTokenizer": "tokenizers",
    "TokenTransitions": "transitions",
    "TokenizedConversation": "tokenized",
    "conversation_from_texts": "conversation",
    "from_hugging_face": "hugging_face",
    "prompt_tokens": "rendering",
    "read_conversations": "logs",
    "to_hugging_face": "hugging_face",
    "token_transitions": "transitions",
    "tokenize": "rendering",
    "write_conversations": "logs",
}

__all__ = [
    "CharacterTokenizer",
    "ChatRenderer",
    "Conversation",
    "Message",
    "PieceTokenizer",
    "PlainRenderer",
    "Renderer",
    "RewardScale",
    "TextTokenizer",
    "TokenTransitions",
    "TokenizedConversation",
    "conversation_from_texts",
    "from_hugging_face",
    "prompt_tokens",
    "read_conversations",
    "to_hugging_face",
    "token_transitions",
    "tokenize",
    "write_conversations",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
