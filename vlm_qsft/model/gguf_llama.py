"""A Llama of transformers from a GGUF file: SmolLM2 is one.

transformers reads such files too, in nearly three times as long because it reads the metadata for each part of its work
(`benchmarks/bench_chat.py`). A test holds that both give the same numbers.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.initialization import no_init_weights

from vlm_qsft.errors import InvalidSetting, UnknownName
from vlm_qsft.model.gguf_file import GgufFile

_PLACES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTSIDE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


def llama_from_gguf(file: GgufFile, *, dtype: torch.dtype = torch.float32) -> LlamaForCausalLM:
    """Return the model in evaluation mode.

    Raises:
        UnknownName: another architecture.
        InvalidSetting: weights are missing, left over, or of another shape than the metadata say.
    """
    architecture = file.value("general.architecture")
    if architecture != "llama":
        raise UnknownName("architecture", architecture, ["llama"], where=str(file.path))
    tensors = file.tensors()
    config = _config(file, is_tied="output.weight" not in tensors)
    with no_init_weights():
        model: Any = LlamaForCausalLM(config)
    model.tie_weights()
    weights = {_place(name, file): _turned(name, tensor, config) for name, tensor in tensors.items()}
    try:
        missing, unexpected = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise InvalidSetting(f"The weights of {file.path} do not fit its metadata: {error}") from error
    missing = [name for name in missing if not (config.tie_word_embeddings and name == "lm_head.weight")]
    if missing or unexpected:
        raise InvalidSetting(f"{file.path} lacks the weights {missing[:3]} and has {unexpected[:3]} too many.")
    return model.to(dtype).eval()


def _config(file: GgufFile, *, is_tied: bool) -> LlamaConfig:
    def number(name: str) -> Any:
        return file.value(f"llama.{name}")

    fields = {
        "vocab_size": number("vocab_size"),
        "hidden_size": number("embedding_length"),
        "intermediate_size": number("feed_forward_length"),
        "num_hidden_layers": number("block_count"),
        "num_attention_heads": number("attention.head_count"),
        "num_key_value_heads": number("attention.head_count_kv"),
        "max_position_embeddings": number("context_length"),
        "rms_norm_eps": number("attention.layer_norm_rms_epsilon"),
        "rope_parameters": {"rope_type": "default", "rope_theta": number("rope.freq_base")},
        "tie_word_embeddings": is_tied,
        "bos_token_id": file.value("tokenizer.ggml.bos_token_id"),
        "eos_token_id": file.value("tokenizer.ggml.eos_token_id"),
    }
    return LlamaConfig(**fields)


def _place(name: str, file: GgufFile) -> str:
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    found = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    if found is None or found[2] not in _PLACES:
        raise InvalidSetting(f"{file.path} has the weights '{name}', which no Llama has.")
    return f"model.layers.{found[1]}.{_PLACES[found[2]]}.weight"


def _turned(name: str, tensor: Float32[np.ndarray, "..."], config: LlamaConfig) -> torch.Tensor:
    """Return weights in the order of transformers: GGUF interleaves the halves that rotary embeddings turn."""
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(name.split(".")[-2])
    if heads is not None:
        rows, columns = tensor.shape
        tensor = tensor.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)
    return torch.from_numpy(np.array(tensor, order="C"))  # a copy: the file is mapped read-only
