"""`generate` of transformers with the processor draws from the policy that a plain loop computes without any cache."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vlm_qsft.errors import InvalidSetting, ShapeMismatch
from vlm_qsft.model.text_build import build_text_scorer
from vlm_qsft.model.text_scorer import TextScorer
from vlm_qsft.model.text_settings import TextModelSettings
from vlm_qsft.policy.logits_processor import QLogitsProcessor
from vlm_qsft.policy.settings import PolicySettings

N_WORDS, NEW_TOKENS = 11, 7
BETA, TEMPERATURE, SUPPORT = 6.0, 0.7, 0.2
PROMPT = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])


def scorer(seed: int) -> TextScorer:
    torch.manual_seed(seed)
    made = build_text_scorer(TextModelSettings(width=32, layers=2), n_words=N_WORDS)
    for parameter in made.parameters():
        parameter.data.mul_(3.0)  # far from uniform, so that a wrong distribution shows
    return made.eval()


BEHAVIOR, Q_MODEL = scorer(0), scorer(1)


def slow_policy(extraction: str, tokens: list[int]) -> Tensor:
    """Return the policy's probabilities behind the tokens of one row, by the formulas and whole passes."""
    row = torch.tensor([tokens])
    with torch.no_grad():
        log_pi = BEHAVIOR.model(row).logits[0, -1].double().log_softmax(-1)
        hidden = Q_MODEL.model.base_model(row).last_hidden_state[0, -1]
        words = Q_MODEL.model(row).logits[0, -1].double().log_softmax(-1)
        dummy = torch.sigmoid(Q_MODEL.dummy(hidden).double())
    if extraction == "single":
        competing = words >= torch.log(torch.tensor(SUPPORT / N_WORDS))
        competing |= words == words.max()
        return torch.where(competing, words / TEMPERATURE, -torch.inf).softmax(-1)
    q_values = (1.0 - dummy) * words.exp() / log_pi.exp()
    tilt = {"sft": 0.0, "ratio": BETA * q_values.clamp(max=1.0), "power": BETA * q_values.log()}[extraction]
    competing = (log_pi >= torch.log(torch.tensor(SUPPORT / N_WORDS))) | (log_pi == log_pi.max())
    return torch.where(competing, log_pi / TEMPERATURE + tilt, -torch.inf).softmax(-1)


def slow_loop(extraction: str, prompt: Tensor, seed: int) -> Tensor:
    torch.manual_seed(seed)
    rows = prompt.tolist()
    for _ in range(NEW_TOKENS):
        policy = torch.stack([slow_policy(extraction, row) for row in rows]).float()
        for row, token in zip(rows, torch.multinomial(policy, 1)[:, 0].tolist(), strict=True):
            row.append(token)
    return torch.tensor(rows)


def settings(extraction: str) -> PolicySettings:
    return PolicySettings(extraction, TEMPERATURE, BETA, SUPPORT)  # type: ignore[arg-type]


@pytest.mark.parametrize("extraction", ["ratio", "power", "single", "sft"])
def test_generate_with_the_processor_equals_a_plain_slow_loop_token_by_token(extraction: str) -> None:
    processor = QLogitsProcessor(BEHAVIOR, Q_MODEL, settings(extraction))
    for seed in range(3):
        torch.manual_seed(seed)
        made = processor.model.generate(
            PROMPT, max_new_tokens=NEW_TOKENS, pad_token_id=0, **processor.generation_settings
        )
        assert made.tolist() == slow_loop(extraction, PROMPT, seed).tolist()


def test_prompts_that_are_padded_on_the_left_are_read_as_if_they_were_not() -> None:
    padded = torch.tensor([[0, 0, 3, 1, 4], [9, 2, 6, 5, 3]])
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    processor = QLogitsProcessor(BEHAVIOR, Q_MODEL, settings("ratio"), attention_mask=mask)
    scores = BEHAVIOR.model(padded, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp(min=0)).logits[:, -1]
    policy = processor(padded, scores.detach()).exp()
    torch.testing.assert_close(policy[0].double(), slow_policy("ratio", [3, 1, 4]), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(policy[1].double(), slow_policy("ratio", [9, 2, 6, 5, 3]), rtol=1e-3, atol=1e-5)
    with pytest.raises(ShapeMismatch, match="another prompt"):
        processor(PROMPT[:1], scores[:1])


def test_tokens_that_changed_places_are_read_anew() -> None:
    processor = QLogitsProcessor(BEHAVIOR, Q_MODEL, settings("ratio"))
    for tokens in (PROMPT, PROMPT.flip(0), torch.cat([PROMPT.flip(0), torch.tensor([[7], [8]])], 1)):
        scores = BEHAVIOR.model(tokens).logits[:, -1].detach()
        policy = processor(tokens, scores).exp()
        for row, probabilities in zip(tokens.tolist(), policy, strict=True):
            torch.testing.assert_close(probabilities.double(), slow_policy("ratio", row), rtol=1e-3, atol=1e-5)


def test_an_extraction_without_its_network_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="'ratio' needs a network"):
        QLogitsProcessor(BEHAVIOR, None, settings("ratio"))


@pytest.mark.parametrize("setting", [{"repeats": False}, {"symmetries": True}])
def test_settings_of_games_are_not_those_of_generate(setting: dict[str, bool]) -> None:
    with pytest.raises(InvalidSetting, match=f"{next(iter(setting))}=.* is a setting of games"):
        QLogitsProcessor(BEHAVIOR, Q_MODEL, PolicySettings("ratio", **setting))


def test_several_candidates_are_not_what_generate_draws() -> None:
    with pytest.raises(InvalidSetting, match="candidates=1, and use its own num_return_sequences"):
        QLogitsProcessor(BEHAVIOR, Q_MODEL, PolicySettings("ratio", candidates=4))
