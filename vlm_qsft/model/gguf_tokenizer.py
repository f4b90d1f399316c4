"""The byte-level tokenizer of a GGUF file, rebuilt from the tokens, merges and token types that it lists.

transformers has a conversion of its own, which for this kind splits digits otherwise than the model was trained on.
Bytes for which a model has no token are lost, as with its own tokenizer: SmolLM2 lacks six control characters and the
first byte of planes that hold no character yet.
"""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from vlm_qsft.errors import InvalidSetting, UnknownName
from vlm_qsft.model.gguf_file import GgufFile

CONTROL = 3
"""The type of a token that is a mark and never text."""

# How text is cut before merging, by the name that files give it.
_CUTS = {
    "smollm": pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    ),
    "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
}


def tokenizer_from_gguf(file: GgufFile) -> PreTrainedTokenizerFast:
    """Return the tokenizer with its chat template.

    Raises:
        UnknownName: a kind of tokenizer that is not byte-level BPE, or cut in an unknown way.
        InvalidSetting: entries are missing or do not fit together.
    """
    kind, cut = file.value("tokenizer.ggml.model"), file.value("tokenizer.ggml.pre")
    if kind != "gpt2":
        raise UnknownName("kind of tokenizer", kind, ["gpt2"], where=str(file.path))
    if cut not in _CUTS:
        raise UnknownName("cut of text", cut, _CUTS, where=str(file.path))
    tokens, types = file.value("tokenizer.ggml.tokens"), file.value("tokenizer.ggml.token_type")
    if len(types) != len(tokens) or len(set(tokens)) != len(tokens):
        raise InvalidSetting(f"{file.path} lists {len(set(tokens))} different tokens of {len(tokens)}: expected all.")
    merges = [tuple(merge.split(" ")) for merge in file.value("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = _CUTS[cut]
    tokenizer.decoder = decoders.ByteLevel()
    marks = [token for token, kind in zip(tokens, types, strict=True) if kind == CONTROL]
    tokenizer.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    roles = {"bos": "bos_token", "eos": "eos_token", "unknown": "unk_token", "padding": "pad_token"}
    named = {
        argument: tokens[file.value(f"tokenizer.ggml.{role}_token_id")]
        for role, argument in roles.items()
        if f"tokenizer.ggml.{role}_token_id" in file
    }
    rebuilt = PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **named)
    rebuilt.chat_template = file.value("tokenizer.chat_template") if "tokenizer.chat_template" in file else None
    return rebuilt
