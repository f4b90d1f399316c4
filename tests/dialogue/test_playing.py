"""Playing many games at once is playing each of them alone: by a slow loop without caches, and by known players."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, get_args

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from vlm_qsft.dialogue import ChatRenderer, Conversation, Message
from vlm_qsft.dialogue.chat.policy_tokens import PolicyTokens
from vlm_qsft.dialogue.checkpoint import TextCheckpoint, load_text_checkpoint
from vlm_qsft.dialogue.evaluation import BLOCK, evaluate_text, return_difference, summarise_returns
from vlm_qsft.dialogue.phases import train_text_behavior
from vlm_qsft.dialogue.playing import GameResult, play_games
from vlm_qsft.dialogue.recording import DialogueRecordingSettings, record_dialogue
from vlm_qsft.dialogue.rendering import prompt_tokens
from vlm_qsft.dialogue.repeats import Barred, SaidBefore
from vlm_qsft.dialogue.speaking import speak
from vlm_qsft.dialogue.tasks import EVALUATION, TUNING, game_generator, language_task, play
from vlm_qsft.dialogue.tasks.chess_endgames import ChessEndgames, spaced
from vlm_qsft.dialogue.tasks.language_task import StepResult
from vlm_qsft.dialogue.text_format import TextFormat
from vlm_qsft.errors import DatasetError, InvalidSetting
from vlm_qsft.model.text_build import build_text_scorer
from vlm_qsft.model.text_inputs import TextInputs
from vlm_qsft.model.text_scorer import TextScorer
from vlm_qsft.model.text_settings import TextModelSettings
from vlm_qsft.policy import PolicySettings
from vlm_qsft.policy.next_token import TokenLogProbs, next_distribution
from vlm_qsft.policy.settings import ExtractionChoice
from vlm_qsft.policy.text_reader import ReaderState, TextReader
from vlm_qsft.training.settings import TrainSettings

from .test_chat_template import chat_tokenizer

Said = tuple[str, list[str]]
LONGEST = 5
GREEDY = PolicySettings("ratio", temperature=0.0, inverse_temperature=5.0, support=0.0)
"""No draws: what is played does not depend on how games are grouped."""


def scorer(n_words: int, seed: int) -> TextScorer:
    torch.manual_seed(seed)
    made = build_text_scorer(TextModelSettings(width=32, layers=1), n_words=n_words)
    for parameter in made.parameters():
        parameter.data.mul_(4.0)
    return made.eval()


def checkpoint(task: str) -> TextCheckpoint:
    """Return networks that were never trained, for the tokens of a few logs; who forgets, forgets often."""
    games = [
        play(played, lambda _, played=played: played.logged_action(), game_generator(task, TUNING, number))
        for number, played in enumerate([language_task(task)] * 6)
    ]
    text_format = TextFormat.fit(task, games)
    if text_format.context_turns is not None:
        text_format = replace(text_format, context_turns=3)
    n_words = text_format.tokenizer.n_tokens
    return TextCheckpoint(Path("made"), scorer(n_words, 0), scorer(n_words, 1), text_format, {}, "made")


@pytest.fixture(scope="module", params=["wordle", "maze-partly-observed"])
def policy(request: pytest.FixtureRequest) -> TextCheckpoint:
    return checkpoint(request.param)


def last_logits(scorer: TextScorer, tokens: list[int]) -> torch.Tensor:
    ids, zero = torch.tensor([tokens]), torch.zeros(1, dtype=torch.int64)
    inputs = TextInputs(ids, torch.zeros_like(ids), torch.arange(len(tokens))[None], zero, zero + len(tokens) - 1)
    return scorer.log_probs(inputs, torch.zeros(1, 1, dtype=torch.int64))[:, 0]


def slow_game(made: TextCheckpoint, number: int) -> GameResult:
    """Play one game by whole passes over the tokens that `prompt_tokens` gives."""
    task = language_task(made.text_format.task)
    renderer, turns = made.text_format.renderer, made.text_format.context_turns
    assert made.behavior is not None and made.q_model is not None
    generator = game_generator(task.name, EVALUATION, number)
    conversation = Conversation((Message("environment", task.reset(generator)),))
    total, n_turns = 0.0, 0
    said_so_far: list[int] = []
    while True:
        n_context = turns or 10**6
        if n_turns % n_context == 0:
            said_so_far = []
        observed = renderer.pieces([conversation.messages[-1]])
        said_so_far += [token for piece in observed for token in piece.token_ids]
        action: list[int] = []
        while not (action and renderer.is_end(action[-1])) and len(action) < LONGEST:
            context = said_so_far + action
            with torch.no_grad():
                log_pi = last_logits(made.behavior, context)[:, :-1].log_softmax(-1)
                said = TokenLogProbs(last_logits(made.q_model, context), log_pi)
            action.append(int(next_distribution(said, GREEDY).argmax()))
        said_so_far += action
        result = task.step(renderer.text_of(action))
        total, n_turns = total + result.reward, n_turns + 1
        if result.terminated or result.truncated:
            return GameResult(number, total, result.success, n_turns)
        messages = (*conversation.messages, Message("assistant", "-\n"), Message("environment", result.observation))
        conversation = Conversation(messages)


def test_games_played_together_go_as_games_played_alone_without_a_cache(policy: TextCheckpoint) -> None:
    reader = policy.reader(GREEDY)
    together = play_games(
        reader, GREEDY, policy.text_format, range(4), purpose=EVALUATION, seed=0, longest_action=LONGEST
    )
    assert slow_game(policy, 2) == together[2]


def test_the_candidate_that_is_said_is_the_likeliest_drawn_and_the_only_one_remembered(policy: TextCheckpoint) -> None:
    settings = PolicySettings("ratio", temperature=1.0, inverse_temperature=1.0, support=0.0, candidates=6)
    reader, n_words = policy.reader(settings), policy.text_format.n_words
    prompts = torch.tensor([[1, 2, 3], [4, 5, 1]]) % n_words
    state = reader.begin(2)
    first = reader.read(state, prompts, torch.ones_like(prompts, dtype=torch.bool))
    texts = speak(
        reader, state, first, settings, policy.text_format.renderer, torch.Generator().manual_seed(0), longest=LONGEST
    )

    def log_policy(context: list[int]) -> Tensor:
        assert policy.behavior is not None and policy.q_model is not None
        with torch.no_grad():
            log_pi = last_logits(policy.behavior, context)[:, :-1].log_softmax(-1)
            return next_distribution(TokenLogProbs(last_logits(policy.q_model, context), log_pi), settings)[0]

    def log_likelihood(prompt: list[int], action: list[int]) -> float:
        return sum(float(log_policy(prompt + action[:place])[token]) for place, token in enumerate(action))

    # The same draws one by one: every candidate is read from its beginning, without a memory.
    generator = torch.Generator().manual_seed(0)
    drawn: list[list[int]] = [[] for _ in range(12)]
    rows = prompts.repeat_interleave(6, 0).tolist()
    speaking = set(range(12))
    while speaking:
        distributions = torch.stack([log_policy(row + said) for row, said in zip(rows, drawn, strict=True)]).exp()
        tokens = torch.multinomial(distributions, 1, generator=generator)[:, 0].tolist()
        for row in sorted(speaking):
            drawn[row].append(tokens[row])
            if policy.text_format.renderer.is_end(tokens[row]) or len(drawn[row]) == LONGEST:
                speaking.remove(row)
    for number, text in enumerate(texts):
        candidates = drawn[6 * number : 6 * number + 6]
        likeliest = max(candidates, key=lambda action, number=number: log_likelihood(prompts[number].tolist(), action))
        assert text.token_ids == likeliest
        assert len(text.q_values) == len(likeliest) and all(0.0 <= q_value <= 1.0 for q_value in text.q_values)
    behind = reader.read(
        state, torch.tensor([[text.token_ids[-1]] for text in texts]), torch.ones(2, 1, dtype=torch.bool)
    )
    for number, text in enumerate(texts):
        assert policy.q_model is not None and behind.log_p is not None
        with torch.no_grad():
            expected = last_logits(policy.q_model, prompts[number].tolist() + text.token_ids)[0]
        torch.testing.assert_close(behind.log_p[number], expected, atol=1e-4, rtol=1e-4)


def test_a_chat_says_of_several_candidates_what_a_game_would(policy: TextCheckpoint) -> None:
    settings = PolicySettings("ratio", temperature=1.0, inverse_temperature=1.0, support=0.0, candidates=4)
    source = PolicyTokens(policy, settings, longest=LONGEST, seed=5, explain=True)
    source.begin([1, 2, 3])
    reader = policy.reader(settings)
    state = reader.begin(1)
    said = reader.read(state, torch.tensor([[1, 2, 3]]), torch.ones(1, 3, dtype=torch.bool))
    generator = torch.Generator().manual_seed(5)
    (text,) = speak(reader, state, said, settings, policy.text_format.renderer, generator, longest=LONGEST)
    assert [source.next() for _ in text.token_ids] == list(zip(text.token_ids, text.q_values, strict=True))


def test_what_a_policy_sees_is_what_it_was_trained_to_see() -> None:
    """`play_games` reads piece by piece; `prompt_tokens` renders the same conversation at once."""
    made = checkpoint("wordle")
    renderer = made.text_format.renderer
    texts = ["Wordle:\n", "c r a n e\n", "b y g b b\n"]
    messages = (
        Message("environment", texts[0]), Message("assistant", texts[1], -1.0), Message("environment", texts[2]),
    )  # fmt: skip
    pieces = [token for message in messages for piece in renderer.pieces([message]) for token in piece.token_ids]
    assert prompt_tokens(Conversation(messages), renderer).tolist() == pieces


def test_draws_depend_on_the_seed_and_on_nothing_else(policy: TextCheckpoint) -> None:
    drawing = PolicySettings("ratio", temperature=1.0, inverse_temperature=1.0, support=0.0)

    def played(seed: int) -> list[GameResult]:
        reader = policy.reader(drawing)
        return play_games(
            reader, drawing, policy.text_format, range(4), purpose=TUNING, seed=seed, longest_action=LONGEST
        )

    assert played(1) == played(1)


def test_results_on_disk_are_continued_and_never_mixed_with_those_of_another_policy(tmp_path: Path) -> None:
    made, out = checkpoint("wordle"), tmp_path / "games.jsonl"
    first = evaluate_text(made, GREEDY, episodes=3, purpose=TUNING, out=out)
    lines = out.read_text().splitlines()
    assert len(lines) == 4
    more = evaluate_text(made, GREEDY, episodes=5, purpose=TUNING, out=out)
    assert more[:3] == first and [result.game for result in more] == [0, 1, 2, 3, 4]
    assert evaluate_text(made, GREEDY, episodes=5, purpose=TUNING) == more
    with pytest.raises(InvalidSetting, match=r"policy\.temperature was 0\.0, is 0\.3 now"):
        evaluate_text(made, PolicySettings("sft", temperature=0.3), episodes=3, purpose=TUNING, out=out)
    out.write_text("something else\n")
    with pytest.raises(DatasetError, match="holds no results of games"):
        evaluate_text(made, GREEDY, episodes=3, purpose=TUNING, out=out)
    assert BLOCK >= 5


def test_the_summary_states_mean_interval_and_normalised_score() -> None:
    results = [GameResult(0, -2.0, True, 3), GameResult(1, -6.0, False, 6)]
    summary = summarise_returns("wordle", results)
    assert summary.mean_return == -4.0
    half = 1.96 * 2.0 / 2**0.5
    assert summary.interval == pytest.approx((-4.0 - half, -4.0 + half))
    assert summary.score == pytest.approx(50 + 50 * 0.12 / 2.18)
    assert (summary.success_rate, summary.mean_turns) == (0.5, 4.5)


def test_a_language_model_with_a_chat_template_is_trained_stored_and_played(tmp_path: Path) -> None:
    """What it is asked in a game is what `prompt_tokens` renders of the conversation, marks and all."""
    tokenizer = chat_tokenizer()
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig.from_dict({**sizes, "num_attention_heads": 2})).save_pretrained(tmp_path / "lm")
    tokenizer.save_pretrained(tmp_path / "lm")
    record_dialogue(tmp_path / "logs", DialogueRecordingSettings("wordle", 8))
    settings = TrainSettings(steps=2, batch_size=2, eval_every=2, save_every=2, validation_fraction=0.2, device="cpu")
    source = TextModelSettings(source=str(tmp_path / "lm"), lora_rank=2)
    policy = train_text_behavior(tmp_path / "logs", source, settings, tmp_path / "run")
    made = load_text_checkpoint(policy, "cpu")
    assert isinstance(made.text_format.renderer, ChatRenderer) and made.text_format.n_words == len(tokenizer)

    class Recorder(TextReader):
        seen: ClassVar[list[int]] = []

        def read(self, state: ReaderState, token_ids: Tensor, is_token: Tensor) -> TokenLogProbs:
            self.seen.extend(token_ids[is_token].tolist())
            return super().read(state, token_ids, is_token)

    sft = PolicySettings("sft", 1.0, 0.0, 0.0)
    reader = Recorder(made.behavior, None, sft)
    play_games(reader, sft, made.text_format, range(1), purpose=TUNING, seed=0, longest_action=2)
    first = language_task("wordle").reset(game_generator("wordle", TUNING, 0))
    asked = prompt_tokens(Conversation((Message("environment", first),)), made.text_format.renderer).tolist()
    assert Recorder.seen[: len(asked)] == asked
    rest = tokenizer.decode(Recorder.seen)
    assert rest.count("<|im_start|>assistant\n") == 6 and rest.count("<|im_start|>user\n") == 6


def test_the_difference_of_two_policies_is_that_of_the_same_games() -> None:
    def played(*returns: float) -> list[GameResult]:
        return [GameResult(number, total, True, 1) for number, total in enumerate(returns)]

    difference = return_difference(played(-1.0, -2.0, -6.0, -3.0), played(-2.0, -4.0, -6.0, -4.0))
    assert difference.mean == 1.0
    half = 1.96 * (2 / 4) ** 0.5 / 4**0.5  # of 1, 2, 0, 1
    assert difference.interval == pytest.approx((1.0 - half, 1.0 + half))
    for first, second in ((played(-1.0), played(-1.0, -2.0)), (played(-1.0, -2.0), played(-1.0, -2.0)[::-1]), ([], [])):
        with pytest.raises(InvalidSetting, match="the same games"):
            return_difference(first, second)


def texts_by_position(made: TextCheckpoint, settings: PolicySettings, monkeypatch: pytest.MonkeyPatch) -> list[Said]:
    """Return what is said in the positions of a game of `endgames`, those that are entered anew apart."""
    said: list[Said] = []
    step = ChessEndgames.step

    def recorded(task: ChessEndgames, action: str) -> StepResult:
        position = task.position.fen()
        if not said or said[-1][0] != position:
            said.append((position, []))
        said[-1][1].append(action)
        return step(task, action)

    with monkeypatch.context() as patched:
        patched.setattr(ChessEndgames, "step", recorded)
        play_games(
            made.reader(settings), settings, made.text_format, [3], purpose=EVALUATION, seed=0, longest_action=LONGEST
        )
    return said


def test_what_changed_nothing_is_not_said_again_without_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    made = checkpoint("endgames")
    made = replace(made, text_format=replace(made.text_format, context_turns=1))
    (position, vainly), *others = texts_by_position(made, GREEDY, monkeypatch)
    assert not others and len(vainly) == 50 and len(set(vainly)) == 1
    said = texts_by_position(made, replace(GREEDY, repeats=False), monkeypatch)
    assert said[0][0] == position and said[0][1][0] == vainly[0]
    assert max(len(texts) for _, texts in said) > 1
    assert all(len(set(texts)) == len(texts) for _, texts in said)


@pytest.mark.parametrize("candidates", [1, 3])
def test_a_chat_says_nothing_again_where_its_prompt_was_the_same(policy: TextCheckpoint, candidates: int) -> None:
    settings = PolicySettings("power", 0.01, 1.0, 0.0, candidates, repeats=False)
    source = PolicyTokens(policy, settings, longest=1, seed=5, explain=True)

    def said(prompt: list[int]) -> int:
        source.begin(prompt)
        return source.next()[0]

    first = [said([1, 2, 3]) for _ in range(4)]
    assert len(set(first)) == 4
    said([1, 2])
    assert said([1, 2, 3]) not in first
    source.forget()
    assert said([1, 2, 3]) == first[0]


def test_what_led_back_at_once_is_refused_and_what_came_back_later_was_tried() -> None:
    said = SaidBefore()
    assert said.entered("here") == Barred()
    said.add([5])
    assert said.entered("here") == Barred(refused=frozenset({(5,)}))
    said.add([6, 7])
    assert said.entered("there") == Barred()
    said.add([5])
    assert said.entered("here") == Barred(frozenset({(5,)}), frozenset({(6, 7)}))
    said.add([6, 7])
    assert said.entered("here") == Barred(refused=frozenset({(5,), (6, 7)}))


@pytest.mark.parametrize("tokenizer", ["of the task", "of a language model"])
def test_a_state_is_what_is_seen_but_for_what_counts(tokenizer: str) -> None:
    of_logs = checkpoint("endgames").text_format
    text_format = of_logs if tokenizer == "of the task" else TextFormat.of_chat("endgames", chat_tokenizer())

    def state(fen: str) -> str:
        asked = Conversation((Message("environment", spaced(fen)),))
        return text_format.state_of(prompt_tokens(asked, text_format.renderer).tolist())

    position = "8/8/8/3k4/8/8/8/K6R w - -"
    assert state(f"{position} 0 1") == state(f"{position} 12 40")
    assert " ".join("K6R w") in state(f"{position} 0 1")
    assert state(f"{position} 0 1") != state("8/8/8/3k4/8/8/8/1K5R w - - 0 1")


def test_in_a_position_that_comes_back_another_move_is_made_whatever_the_counters_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = checkpoint("endgames")
    made = replace(made, text_format=replace(made.text_format, context_turns=1))
    boards = ["8/8/8/3k4/8/8/8/K6R", "8/8/8/4k3/8/8/8/K6R"]
    said: tuple[list[str], list[str]] = ([], [])

    def to_and_fro(task: ChessEndgames, action: str) -> StepResult:
        turn = len(said[0]) + len(said[1])
        if turn:
            said[turn % 2].append(action)  # the first is said in the position that the game draws
        else:
            said[0].append("")
        observation = spaced(f"{boards[(turn + 1) % 2]} w - - {turn} {turn // 2}")
        return StepResult(observation, 0.0, truncated=turn == 9)

    def play_with(settings: PolicySettings) -> tuple[list[str], list[str]]:
        for texts in said:
            texts.clear()
        reader = made.reader(settings)
        play_games(reader, settings, made.text_format, [0], purpose=TUNING, seed=0, longest_action=LONGEST)
        return said[0][1:], said[1][:]

    monkeypatch.setattr(ChessEndgames, "step", to_and_fro)
    assert [len(texts) for texts in play_with(replace(GREEDY, repeats=False))] == [4, 5]
    assert all(len(set(texts)) == len(texts) for texts in said)


@pytest.mark.parametrize("extraction", get_args(ExtractionChoice))
def test_what_was_tried_is_said_again_where_nothing_else_is_in_the_support(extraction: ExtractionChoice) -> None:
    settings = PolicySettings(extraction, 0.0, 1.0, support=1.0)
    likely = torch.tensor([[0.9, 0.06, 0.02, 0.02], [0.5, 0.44, 0.03, 0.03]]).log()
    said = TokenLogProbs(torch.cat([likely + math.log(0.5), torch.full((2, 1), 0.5).log()], 1), likely)

    made = checkpoint("maze")
    reader = made.reader(settings)

    def drawn(barred: Barred) -> list[int]:
        texts = speak(
            reader,
            reader.begin(2),
            said,
            settings,
            made.text_format.renderer,
            torch.Generator(),
            longest=1,
            barred=[barred] * 2,
        )
        return [token for text in texts for token in text.token_ids]

    assert drawn(Barred()) == [0, 0]
    assert drawn(Barred(tried=frozenset({(0,)}))) == [0, 1]
    assert drawn(Barred(tried=frozenset({(0,), (1,)}))) == [0, 0]
    assert drawn(Barred(refused=frozenset({(0,)}))) == [1, 1]
    assert drawn(Barred(frozenset({(0,)}), frozenset({(1,)}))) == [1, 1]
    assert drawn(Barred(tried=frozenset({(3, 0)}))) == [0, 0]  # begins with another token


@pytest.mark.parametrize("extraction", get_args(ExtractionChoice))
@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_a_barred_token_is_impossible_and_the_others_keep_their_odds(
    extraction: ExtractionChoice, temperature: float
) -> None:
    settings = PolicySettings(extraction, temperature, 2.0, 0.0)
    generator = torch.Generator().manual_seed(0)
    said = TokenLogProbs(torch.randn(2, 5, generator=generator).log_softmax(-1), torch.randn(2, 4).log_softmax(-1))
    before = next_distribution(said, settings)
    likeliest = int(before[1].argmax())
    barred = next_distribution(said.without([(1, likeliest)]), settings)
    assert barred[1, likeliest] == -torch.inf
    torch.testing.assert_close(barred[0], before[0])
    torch.testing.assert_close(barred.exp().sum(-1), torch.ones(2))
    if temperature > 0:
        rest = [token for token in range(4) if token != likeliest]
        torch.testing.assert_close(barred[1, rest], before[1, rest].log_softmax(-1))
