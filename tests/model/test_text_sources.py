"""Which models of transformers become a scorer of text: causal ones, the language half of others, or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, PretrainedConfig

from vlm_qsft.errors import InvalidSetting
from vlm_qsft.model.causal_model import causal_model
from vlm_qsft.model.language_model_tokens import LanguageModelTokens
from vlm_qsft.model.scorer_folder import read_scorer_folder, write_scorer_folder
from vlm_qsft.model.text_build import build_text_scorer
from vlm_qsft.model.text_inputs import TextInputs
from vlm_qsft.model.text_scorer import TextScorer
from vlm_qsft.model.text_settings import TextModelSettings

N_WORDS = 24
SIZES: dict[str, Any] = {
    "vocab_size": N_WORDS,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "pad_token_id": 0,
}
CAUSAL: dict[str, PretrainedConfig] = {
    "llama, tied": AutoConfig.for_model("llama", **SIZES, tie_word_embeddings=True),
    "gpt2": AutoConfig.for_model("gpt2", vocab_size=N_WORDS, n_embd=16, n_layer=2, n_head=2),
    # Without so low a cap nobody would see whether it is there: random weights give small logits.
    "gemma2": AutoConfig.for_model("gemma2", **SIZES, head_dim=8, final_logit_softcapping=0.1, sliding_window=64),
    "mistral": AutoConfig.for_model("mistral", **SIZES, sliding_window=48),
}

VISION_LANGUAGE = ("idefics3", "smolvlm", "llava", "qwen2_vl", "qwen2_5_vl", "qwen3_vl")


def saved(config: PretrainedConfig, folder: Path) -> Any:
    """Write a model with random weights and return it."""
    torch.manual_seed(2)
    model: Any = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    return model.eval()


def from_folder(folder: Path, **others: Any) -> TextScorer:
    return build_text_scorer(TextModelSettings(source=str(folder), **others), n_words=N_WORDS).eval()


@torch.no_grad()
def assert_says_the_same(scorer: TextScorer, model: Any) -> None:
    """Check the words' logits of two contexts in one row, and piece by piece, against the model's own."""
    contexts = ([3, 11, 2], [7, 5, 6, 1])
    expected = torch.cat([model(input_ids=torch.tensor([tokens])).logits[0] for tokens in contexts])
    number = torch.tensor([[0] * 3 + [1] * 4])
    places = torch.arange(7)
    inputs = TextInputs(
        torch.tensor([[*contexts[0], *contexts[1]]]),
        number,
        torch.tensor([[0, 1, 2, 0, 1, 2, 3]]),
        torch.zeros_like(places),
        places,
    )
    at_once = scorer.logits(inputs, torch.zeros(7, 1, dtype=torch.int64))[:, 0, :-1]
    torch.testing.assert_close(at_once, expected, rtol=1e-4, atol=1e-5)
    memory = scorer.begin(1)
    for token in contexts[1]:
        said = scorer.read(memory, torch.tensor([[token]]), torch.ones(1, 1, dtype=torch.bool))
    torch.testing.assert_close(said[0, :-1], expected[-1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CAUSAL)
def test_a_causal_language_model_in_a_folder_says_what_it_said(name: str, tmp_path: Path) -> None:
    model = saved(CAUSAL[name], tmp_path)
    assert_says_the_same(from_folder(tmp_path), model)


@pytest.mark.parametrize("family", VISION_LANGUAGE)
def test_the_language_half_of_a_vision_language_model_says_what_it_said(
    family: str, model_folders: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = model_folders(family)
    settings = TextModelSettings(source=str(folder), lora_rank=2)
    model: Any = AutoModelForImageTextToText.from_pretrained(folder).eval()
    scorer = build_text_scorer(settings, n_words=model.get_output_embeddings().weight.shape[0])
    assert_says_the_same(scorer, model)
    adapted = [name for name, weights in scorer.named_parameters() if "lora_" in name and weights.requires_grad]
    assert adapted and not [name for name in adapted if "vision" in name or "visual" in name]
    write_scorer_folder(tmp_path / "policy", behavior=scorer, q_model=None, documents={}, metadata={})
    again = read_scorer_folder(tmp_path / "policy", "cpu").behavior
    assert isinstance(again, TextScorer)
    assert_says_the_same(again, model)


@pytest.mark.parametrize("family", VISION_LANGUAGE)
def test_one_can_talk_with_a_vision_language_model(family: str, model_folders: Callable[[str], Path]) -> None:
    folder = str(model_folders(family))
    model = causal_model(folder, allow_download=False)
    tokens = LanguageModelTokens(model, temperature=0.0, seed=0)
    heard = [5, 9, 3]
    for turn in range(2):
        tokens.begin(heard)
        for _answer in range(3):
            with torch.no_grad():
                likeliest = int(model(input_ids=torch.tensor([heard])).logits[0, -1].argmax())
            assert tokens.next()[0] == likeliest
            heard.append(likeliest)
        heard.extend([8, 2])
        if turn == 0:
            tokens.forget()  # costs what was read, changes nothing that is said


def test_a_context_is_no_longer_than_what_every_layer_sees(tmp_path: Path) -> None:
    saved(CAUSAL["mistral"], tmp_path)
    assert from_folder(tmp_path).max_positions == 48


def test_what_belongs_to_another_tokenizer_or_is_not_there_is_refused(tmp_path: Path) -> None:
    saved(CAUSAL["gpt2"], tmp_path)
    with pytest.raises(InvalidSetting, match=f"knows {N_WORDS} tokens, its tokenizer makes {N_WORDS + 1}"):
        build_text_scorer(TextModelSettings(source=str(tmp_path)), n_words=N_WORDS + 1)
    with pytest.raises(InvalidSetting, match="cannot be loaded"):
        from_folder(tmp_path / "nothing")
    with pytest.raises(InvalidSetting, match="GPT2Model has none of them"):
        from_folder(tmp_path, lora_rank=2)


def test_a_model_that_continues_no_texts_is_refused(tmp_path: Path) -> None:
    AutoConfig.for_model("t5", vocab_size=N_WORDS).to_json_file(tmp_path / "config.json")
    with pytest.raises(InvalidSetting, match="a model of type 't5' does not continue texts"):
        from_folder(tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        AutoConfig.for_model("mamba", vocab_size=N_WORDS, hidden_size=16, num_hidden_layers=1, state_size=4),
        AutoConfig.for_model("bert", vocab_size=N_WORDS, hidden_size=16, num_hidden_layers=1, num_attention_heads=2),
    ],
    ids=["a memory of its own kind", "sees what comes later"],
)
def test_a_model_that_cannot_tell_the_contexts_of_a_row_apart_is_refused(
    config: PretrainedConfig, tmp_path: Path
) -> None:
    saved(config, tmp_path)
    with pytest.raises(InvalidSetting, match="does not read several contexts in one row"):
        from_folder(tmp_path)
