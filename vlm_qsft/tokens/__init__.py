"""Action <-> token: bins, scaling and the tokenizer that is saved with every checkpoint."""

from vlm_qsft.tokens.action_tokenizer import ActionTokenizer, Encoded

__all__ = ["ActionTokenizer", "Encoded"]
