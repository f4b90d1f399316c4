"""Batches of text: which states, tokens, targets and weights a request gives, against counts by hand."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch

from vlm_qsft.dialogue import CharacterTokenizer, Conversation, Message, PlainRenderer, RewardScale, tokenize
from vlm_qsft.dialogue.text_dataset import TextDataset, TextSource
from vlm_qsft.dialogue.text_table import TextTable, text_table
from vlm_qsft.model.text_inputs import TextInputs
from vlm_qsft.training.q_columns import QColumns
from vlm_qsft.training.sampler import BatchRequest

TOKENIZER = CharacterTokenizer("\nabxy")
GAMMA = 0.5
PLAYED = (("x", "a\n", 0.0), ("y", "b\n", 0.5), ("x", "a\n", 1.0))


def table(
    *, context_turns: int | None, games: int = 1, horizon: int | None = None, untrained: tuple[int, ...] = ()
) -> TextTable:
    conversation = Conversation(
        tuple(
            message
            for turn, (text, action, reward) in enumerate(PLAYED)
            for message in (
                Message("environment", text),
                Message("assistant", action, reward, trained=turn not in untrained),
            )
        ),
        terminated=True,
    )
    tokens = tokenize(conversation, PlainRenderer(TOKENIZER), context_turns=context_turns)
    successes = np.array([number % 2 == 0 for number in range(games)])
    return text_table([tokens] * games, successes, RewardScale(0.0, 2.0), gamma=GAMMA, horizon=horizon)


class NoLogPi:
    def logged(self, rows: np.ndarray) -> np.ndarray:
        return np.full((len(rows), 1), -1.0, np.float32)

    def first(self, rows: np.ndarray) -> np.ndarray:
        return np.repeat(rows[:, None], 5, 1).astype(np.float32)

    whole = first


def columns(made: TextTable, *needs: str) -> QColumns:
    return QColumns(NoLogPi(), made.transitions, frozenset(needs), False)


def seen_tokens(inputs: TextInputs, state: int) -> str:
    """Return what is seen in a state, as text: what stands before it in its context."""
    row, place = int(inputs.row[state]), int(inputs.place[state])
    begin = place - int(inputs.position[row, place])
    assert (inputs.context[row, begin : place + 1] == inputs.context[row, place]).all()
    return TOKENIZER.decode(inputs.token_ids[row, begin : place + 1].tolist())


def test_a_row_is_an_action_token_and_its_state_is_what_stands_before_it() -> None:
    made = table(context_turns=None)
    inputs, tokens = TextSource(made).rows(0, 6)
    assert TOKENIZER.decode(tokens[:, 0].tolist()) == "a\nb\na\n"
    assert [seen_tokens(inputs, state) for state in range(6)] == [
        "x", "xa", "xa\ny", "xa\nyb", "xa\nyb\nx", "xa\nyb\nxa",
    ]  # fmt: skip


def test_a_policy_that_forgets_sees_its_own_context_alone_and_equal_contexts_are_read_once() -> None:
    made = table(context_turns=1)
    assert made.content.tolist() == [0, 1, 0]
    inputs, _ = TextSource(made).rows(0, 6)
    assert [seen_tokens(inputs, state) for state in range(6)] == ["x", "xa", "y", "yb", "x", "xa"]
    assert int((inputs.context >= 0).sum()) == len("xa\n") + len("yb\n")
    assert (inputs.row[0], inputs.place[0]) == (inputs.row[4], inputs.place[4])


@pytest.mark.parametrize("context_turns", [None, 1, 2])
def test_targets_bootstrap_from_the_next_token_or_from_before_the_next_action_text(context_turns: int | None) -> None:
    made = table(context_turns=context_turns)
    dataset = TextDataset(TextSource(made), made.frames_of(np.array([0])), q_columns=columns(made, "log_p_next"))
    batch = dataset[BatchRequest(dataset.frames)]
    step = batch.transitions
    assert step is not None
    # Returns of the task: 0 + 0.5 (0.5 + 0.5 * 1) = 0.5, 1, 1; halved by the scale from 0 to 2.
    assert batch.returns.tolist() == [0.25, 0.25, 0.5, 0.5, 0.5, 0.5]
    assert step.reward.tolist() == [0.0, 0.0, 0.0, 0.25, 0.0, 0.5]
    assert step.discount.tolist()[:5] == [1.0, GAMMA, 1.0, GAMMA, 1.0]
    assert step.bootstrap_mask.tolist() == [True] * 5 + [False]
    whole = ["xa", "xa\ny", "xa\nyb", "xa\nyb\nx", "xa\nyb\nxa"]
    size = context_turns or 3
    begins = [0, size, size, 2 * size, 2 * size] if size == 1 else [0, 0, 0, size if size < 3 else 0, size % 3]
    cut = {0: 0, 1: 3, 2: 6, 3: 0}
    expected = [text[cut[begin] :] for text, begin in zip(whole, begins, strict=True)]
    next_inputs = cast(TextInputs, step.next_inputs)
    assert [seen_tokens(next_inputs, state) for state in range(5)] == expected


def test_log_pi_of_the_next_state_is_that_of_the_row_chosen_there() -> None:
    made = table(context_turns=None)
    needs = columns(made, "log_p_next", "log_pi_next")
    dataset = TextDataset(TextSource(made), np.array([0]), q_columns=needs)
    step = dataset[BatchRequest(np.array([0]))].transitions
    assert step is not None and step.log_pi_next is not None
    assert step.log_pi_next[:5, 0].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_recording_that_was_cut_off_bootstraps_log_pi_and_log_p_in_the_same_state() -> None:
    messages = (Message("environment", "x"), Message("assistant", "a\n"), Message("environment", "y"))
    tokens = tokenize(Conversation(messages, truncated=True), PlainRenderer(TOKENIZER))
    made = text_table([tokens], np.array([False]), RewardScale(0.0, 1.0), gamma=GAMMA, horizon=None)
    for needs, expected in ((("log_p_next",), "xa\ny"), (("log_p_next", "log_pi_next"), "x")):
        dataset = TextDataset(TextSource(made), np.array([0]), q_columns=columns(made, *needs))
        step = dataset[BatchRequest(np.array([0]))].transitions
        assert step is not None and step.bootstrap_mask.all()
        assert seen_tokens(cast(TextInputs, step.next_inputs), 1) == expected
        if step.log_pi_next is not None:
            assert step.log_pi_next[1, 0] == 0.0


def test_the_weights_of_micro_batches_add_up_to_those_of_the_whole_batch() -> None:
    """Contexts have different numbers of action tokens, and a loss is divided by how many a micro-batch has."""
    made = table(context_turns=2, games=2)
    dataset = TextDataset(TextSource(made), made.frames_of(np.array([0, 1])))
    importance = np.array([1.0, 2.0, 0.5, 1.5], np.float32)
    nll = torch.arange(12, dtype=torch.float32)
    whole = dataset[BatchRequest(dataset.frames, importance=importance)]
    loss = (whole.weights * nll).mean()
    halves = []
    for part, values in ((slice(0, 2), nll[:6]), (slice(2, 4), nll[6:])):
        batch = dataset[BatchRequest(dataset.frames[part], importance=importance[part])]
        halves.append((batch.weights * values).mean())
    pieces = []
    for number, values in enumerate((nll[:4], nll[4:6], nll[6:10], nll[10:])):
        batch = dataset[BatchRequest(dataset.frames[number : number + 1], importance=importance[number : number + 1])]
        pieces.append((batch.weights * values).mean())
    torch.testing.assert_close(torch.stack(halves).mean(), loss)
    torch.testing.assert_close(torch.stack(pieces).mean(), loss)
    # By hand: importance times NLL of every token, over 4 contexts of 3 tokens in the mean.
    expected = (6 * 1.0 + (4 + 5) * 2.0 + (6 + 7 + 8 + 9) * 0.5 + (10 + 11) * 1.5) / 12
    assert loss.item() == pytest.approx(expected)


def test_contexts_are_drawn_by_the_mean_return_of_their_tokens_and_split_by_conversation() -> None:
    made = table(context_turns=2, games=3)
    dataset = TextDataset(TextSource(made), made.frames_of(np.array([0, 2])))
    assert dataset.frames.tolist() == [0, 1, 4, 5]
    assert dataset.odds.tolist() == [0.375, 0.5, 0.375, 0.5]
    assert made.rows_of(np.array([1, 4])).tolist() == [4, 5, 12, 13, 14, 15]
    assert made.episode_success.tolist() == [True, False, True]


@pytest.mark.parametrize("observed_weight", [0.0, 1.0])
def test_an_action_text_that_nobody_is_trained_to_say_is_seen_and_neither_said_nor_observed(
    observed_weight: float,
) -> None:
    made = table(context_turns=None, games=2, untrained=(0, 2))
    dataset = TextDataset(TextSource(made), made.frames_of(np.arange(2)), observed_weight=observed_weight)
    batch = dataset[BatchRequest(np.array([1]))]
    said = TOKENIZER.decode(batch.action_bins[:, 0].tolist())
    assert said == "b\n" + "yx" * bool(observed_weight)
    inputs = cast(TextInputs, batch.inputs)
    assert [seen_tokens(inputs, state) for state in range(2)] == ["xa\ny", "xa\nyb"]
    assert [seen_tokens(inputs, state) for state in range(2, len(batch))] == ["xa\n", "xa\nyb\n"] * bool(
        observed_weight
    )
    assert batch.weights.sum().item() / len(batch) == pytest.approx(1.0 + observed_weight)
    assert batch.returns[:2].tolist() == table(context_turns=None).returns[2:4].tolist(), "rewards count as ever"
    assert dataset.odds.tolist() == [batch.returns[0].item()] * 2


def test_a_context_with_nothing_to_train_on_is_not_drawn() -> None:
    made = table(context_turns=1, games=2, untrained=(1,))
    assert made.frames_of(np.arange(2)).tolist() == [0, 2, 3, 5]
    assert made.rows_of(np.array([0, 1, 2])).tolist() == [0, 1, 4, 5]
    assert made.n_trained.tolist() == [2, 0, 2] * 2


def test_observed_tokens_are_further_rows_whose_loss_is_a_mean_of_its_own() -> None:
    whole = table(context_turns=None, games=3)
    batch = TextDataset(TextSource(whole), np.arange(3), observed_weight=0.25)[BatchRequest(np.array([0, 2]))]
    inputs, n_actions, n_observed = cast(TextInputs, batch.inputs), 2 * 6, 2 * 2
    assert len(batch) == n_actions + n_observed
    said = TOKENIZER.decode(batch.action_bins[:, 0].tolist())
    assert said == "a\nb\na\n" * 2 + "yx" * 2
    assert [seen_tokens(inputs, state) for state in (12, 13, 14)] == ["xa\n", "xa\nyb\n", "xa\n"]
    share = batch.weights / len(batch)
    assert torch.allclose(share[:n_actions], torch.tensor(1 / n_actions))
    assert torch.allclose(share[n_actions:], torch.tensor(0.25 / n_observed))


def test_a_context_counts_by_its_importance_for_what_is_observed_too() -> None:
    dataset = TextDataset(TextSource(table(context_turns=None, games=2)), np.arange(2), observed_weight=1.0)
    batch = dataset[BatchRequest(np.array([0, 1]), importance=np.array([3.0, 1.0], np.float32))]
    assert batch.weights[12:].tolist() == pytest.approx([3 * 16 / 4, 3 * 16 / 4, 16 / 4, 16 / 4])


def test_where_nothing_but_the_first_token_is_observed_there_are_action_tokens_alone() -> None:
    made = TextDataset(TextSource(table(context_turns=1)), np.arange(3), observed_weight=1.0)
    assert len(made[BatchRequest(np.array([0, 1, 2]))]) == 6
