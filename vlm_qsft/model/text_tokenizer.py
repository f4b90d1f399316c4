"""The tokenizer of a language model, with its chat template."""

from __future__ import annotations

from typing import Any

from transformers import AutoTokenizer

from vlm_qsft.errors import InvalidSetting


def load_chat_tokenizer(source: str, *, allow_download: bool) -> Any:
    """Return the tokenizer of a language model.

    Args:
        source: a folder written by `save_pretrained`, or a hub name.
        allow_download: whether the hub may be asked.

    Raises:
        InvalidSetting: it cannot be loaded, or has no chat template: nothing says how a conversation is written.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=not allow_download)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise InvalidSetting(f"The tokenizer of '{source}' cannot be loaded. ({reason})") from error
    if not tokenizer.chat_template:
        raise InvalidSetting(f"The tokenizer of '{source}' has no chat template: use an instruction-tuned model.")
    return tokenizer
