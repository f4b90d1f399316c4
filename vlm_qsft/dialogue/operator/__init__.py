"""A robot one can talk to: instructions, questions and stop words of an operator, without a language model.

Everything said is looked up in the controller's state, the trained instructions and what is known to lie on the table;
what cannot be found there is said to be unknown. Loads neither torch nor transformers.
"""

from vlm_qsft.dialogue.operator.dialogue_thread import DialogueThread
from vlm_qsft.dialogue.operator.instruction_book import InstructionBook
from vlm_qsft.dialogue.operator.operated_robot import OperatedRobot
from vlm_qsft.dialogue.operator.operator_dialogue import OperatorDialogue, Reply

__all__ = ["DialogueThread", "InstructionBook", "OperatedRobot", "OperatorDialogue", "Reply"]
