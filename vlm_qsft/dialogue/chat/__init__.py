"""Conversations that a person takes part in: with a language model, in a text game, or with a robot."""

from vlm_qsft.dialogue.chat.chat import Chat, Fragment
from vlm_qsft.dialogue.chat.game_chat import GameChat
from vlm_qsft.dialogue.chat.model_chat import ModelChat
from vlm_qsft.dialogue.chat.robot_chat import RobotChat
from vlm_qsft.dialogue.chat.spoken import TokenSource

__all__ = ["Chat", "Fragment", "GameChat", "ModelChat", "RobotChat", "TokenSource"]
