"""The same scorer, losses, backups and extraction on text: conversations, language tasks, logs."""

from vlm_qsft.dialogue.chat_template import ChatRenderer
from vlm_qsft.dialogue.conversation import Conversation, Message, conversation_from_texts
from vlm_qsft.dialogue.hugging_face import from_hugging_face, to_hugging_face
from vlm_qsft.dialogue.logs import read_conversations, write_conversations
from vlm_qsft.dialogue.rendering import PlainRenderer, Renderer, prompt_tokens, tokenize
from vlm_qsft.dialogue.reward_scale import RewardScale
from vlm_qsft.dialogue.tokenized import TokenizedConversation
from vlm_qsft.dialogue.tokenizers import CharacterTokenizer, PieceTokenizer, TextTokenizer
from vlm_qsft.dialogue.transitions import TokenTransitions, token_transitions

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
