"""GGUF files: a small Llama written as llama.cpp writes it, read here and by transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFWriter
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from vlm_qsft.errors import InvalidSetting, UnknownName
from vlm_qsft.model.gguf_file import GgufFile
from vlm_qsft.model.gguf_llama import llama_from_gguf
from vlm_qsft.model.gguf_tokenizer import tokenizer_from_gguf
from vlm_qsft.model.text_build import build_text_scorer
from vlm_qsft.model.text_inputs import TextInputs
from vlm_qsft.model.text_settings import TextModelSettings

TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "1", "2", "a", "b", "ab", "Ġ", "12"]
TYPES = [3, 3, 3, 1, 1, 1, 1, 1, 1, 1]
HEADS, KEY_HEADS, WIDTH = 4, 2, 32
NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def as_llama_cpp_has_it(weight: np.ndarray, heads: int) -> np.ndarray:
    """Return rotary weights with the two halves of every head interleaved, row by row."""
    rows = weight.shape[0] // heads
    order = [
        head * rows + half * rows // 2 + pair for head in range(heads) for pair in range(rows // 2) for half in (0, 1)
    ]
    return weight[order]


def write(path: Path, model: Any, *, architecture: str = "llama", left_out: str = "") -> Path:
    writer = GGUFWriter(path, architecture)
    config = model.config
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_rope_freq_base(100000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(TOKENS))
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types(TYPES)
    writer.add_token_merges(["a b", "1 2"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for name, weight in model.state_dict().items():
        words = name.removesuffix(".weight").split(".", 3)
        if words[:2] == ["model", "layers"]:
            target = f"blk.{words[2]}.{NAMES[words[3]]}.weight"
        else:
            target = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}.get(
                name
            )
        if target is None or target == left_out:
            continue
        numbers = weight.numpy()
        if "attn_q" in target or "attn_k" in target:
            numbers = as_llama_cpp_has_it(numbers, HEADS if "attn_q" in target else KEY_HEADS)
        writer.add_tensor(target, np.ascontiguousarray(numbers))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    fields: dict[str, Any] = {
        "vocab_size": len(TOKENS),
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_HEADS,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 100000.0},
        "tie_word_embeddings": True,
    }
    return LlamaForCausalLM(LlamaConfig(**fields)).eval()


@pytest.fixture(scope="module")
def path(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("gguf") / "small.gguf", model)


@torch.inference_mode()
def test_a_llama_comes_out_as_it_went_in_and_as_transformers_reads_it(path: Path, model: Any) -> None:
    tokens = torch.tensor([[1, 5, 6, 3, 4, 7, 8, 2]])
    ours: Any = llama_from_gguf(GgufFile(path))
    theirs: Any = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    torch.testing.assert_close(ours(tokens).logits, model(tokens).logits)
    torch.testing.assert_close(ours(tokens).logits, theirs.eval()(tokens).logits)


def test_a_file_is_trained_as_any_other_source_of_a_scorer(path: Path, model: Any) -> None:
    scorer = build_text_scorer(TextModelSettings(source=str(path)), n_words=len(TOKENS))
    tokens = torch.tensor([[1, 5, 6]])
    inputs = TextInputs(tokens, torch.zeros_like(tokens), torch.arange(3)[None], torch.tensor([0]), torch.tensor([2]))
    with torch.no_grad():
        said = scorer.logits(inputs, torch.tensor([[3]]))[0, 0, :-1]
        torch.testing.assert_close(said, model(tokens).logits[0, -1])
    assert all(weights.requires_grad for weights in scorer.parameters())
    with pytest.raises(InvalidSetting, match=r"nothing\.gguf"):
        build_text_scorer(TextModelSettings(source=str(path.parent / "nothing.gguf")), n_words=len(TOKENS))


def test_digits_are_split_one_by_one_even_where_a_merge_would_join_them(path: Path) -> None:
    tokenizer = tokenizer_from_gguf(GgufFile(path))
    assert tokenizer.tokenize("ab12") == ["ab", "1", "2"]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (1, 2)
    assert tokenizer.chat_template is None


@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.5])
def test_a_file_that_was_cut_off_is_refused(path: Path, tmp_path: Path, share: float) -> None:
    content = path.read_bytes()
    (tmp_path / "cut.gguf").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InvalidSetting, match="no whole GGUF file"):
        GgufFile(tmp_path / "cut.gguf")


def test_a_file_without_a_tensor_is_refused_by_its_name(tmp_path: Path, model: Any) -> None:
    file = GgufFile(write(tmp_path / "gap.gguf", model, left_out="blk.1.ffn_up.weight"))
    with pytest.raises(InvalidSetting, match=r"layers\.1\.mlp\.up_proj"):
        llama_from_gguf(file)


def test_another_architecture_is_refused(tmp_path: Path, model: Any) -> None:
    with pytest.raises(UnknownName, match="Architecture 'gpt2'"):
        llama_from_gguf(GgufFile(write(tmp_path / "gpt2.gguf", model, architecture="gpt2")))


def test_a_file_that_does_not_exist_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"missing\.gguf"):
        GgufFile(tmp_path / "missing.gguf")
