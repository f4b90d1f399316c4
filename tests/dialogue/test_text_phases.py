"""Text through the phases of robots: checkpoints, resumption, rivals, and one implementation for both."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vlm_qsft.dialogue.checkpoint import load_text_checkpoint
from vlm_qsft.dialogue.logs import read_conversations
from vlm_qsft.dialogue.phases import read_text_table, train_text_behavior, train_text_q
from vlm_qsft.dialogue.recording import DialogueRecordingSettings, record_dialogue
from vlm_qsft.dialogue.text_dataset import TextDataset, TextSource
from vlm_qsft.dialogue.text_format import TextFormat
from vlm_qsft.dialogue.text_table import TextTable
from vlm_qsft.errors import CheckpointError, DatasetError, InvalidSetting, ShapeMismatch, TargetOutOfRange
from vlm_qsft.model.action_logits import renormalise_bins
from vlm_qsft.model.checkpoint import load_checkpoint
from vlm_qsft.model.text_inputs import TextInputs
from vlm_qsft.model.text_settings import TextModelSettings
from vlm_qsft.policy import PolicySettings, QPolicy
from vlm_qsft.training import train_behavior, train_q
from vlm_qsft.training.sampler import BatchRequest
from vlm_qsft.training.settings import TrainSettings

from ..training.recording import MODEL, record
from ..training.recording import SETTINGS as ROBOT_SETTINGS

ROOT = Path(__file__).resolve().parents[2]
SMALL = TextModelSettings(width=32, layers=1)
SETTINGS = TrainSettings(
    steps=8, batch_size=8, learning_rate=3e-3, eval_every=4, save_every=4, validation_frames=16,
    validation_fraction=0.2, seed=3, device="cpu", priority_share=0.5, target_update_rate=0.1,
)  # fmt: skip

ROBOT = replace(ROBOT_SETTINGS, steps=2, eval_every=2, save_every=2, augmentation=0, colour_jitter=0.0)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("logs") / "wordle"
    record_dialogue(root, DialogueRecordingSettings("wordle", 40))
    return root


@pytest.fixture(scope="module")
def behavior(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_text_behavior(logs, SMALL, SETTINGS, tmp_path_factory.mktemp("run") / "behavior")


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a data set of a robot and a behavior policy trained on it."""
    root = tmp_path_factory.mktemp("robot")
    data = record(root / "data")
    return data, train_behavior(data, MODEL, ROBOT, root / "behavior")


def weights(policy: Path, role: str) -> dict[str, torch.Tensor]:
    return load_file(policy / role / "weights.safetensors")


def q_settings(**others: object) -> TrainSettings:
    return TrainSettings.from_json({**SETTINGS.to_json(), "gamma": 1.0, **others})


def test_both_phases_leave_a_checkpoint_with_the_format_of_its_conversations(
    logs: Path, behavior: Path, tmp_path: Path
) -> None:
    policy = train_text_q(logs, behavior, q_settings(backup="behavior"), tmp_path / "q")
    loaded = load_text_checkpoint(policy, "cpu")
    assert loaded.behavior is not None and loaded.q_model is not None
    assert (loaded.text_format.task, loaded.text_format.gamma, loaded.text_format.context_turns) == (
        "wordle",
        1.0,
        None,
    )
    assert (loaded.text_format.scale.low, loaded.text_format.scale.high) == (-6.0, 0.0)
    assert loaded.text_format.tokenizer.encode("c r a n e\n") != []
    before, after = weights(behavior, "behavior"), weights(policy, "behavior")
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert any(not torch.equal(before[name], weights(policy, "q_model")[name]) for name in before)
    with pytest.raises(CheckpointError, match="no checkpoint of a robot"):
        load_checkpoint(policy, "cpu")


def test_what_is_observed_is_learned_where_it_is_weighed(logs: Path, behavior: Path, tmp_path: Path) -> None:
    policy = train_text_behavior(logs, SMALL, SETTINGS, tmp_path / "observed", observed_weight=1.0)
    nll = []
    for folder in (behavior, policy):
        made = load_text_checkpoint(folder, "cpu")
        assert made.behavior is not None
        table = read_text_table(list(read_conversations(logs)), made.text_format, horizon=None)
        dataset = TextDataset(TextSource(table), np.arange(40), observed_weight=1.0)
        batch, n_actions = dataset[BatchRequest(np.arange(40))], len(table.token)
        with torch.no_grad():
            log_probs = made.behavior.log_probs(cast(TextInputs, batch.inputs), batch.action_bins)
        log_pi = renormalise_bins(log_probs)[:, 0]
        nll.append(-log_pi.gather(1, batch.action_bins)[n_actions:].mean().item())
    assert nll[1] < nll[0] - 0.5


def test_augmented_copies_are_made_of_training_conversations_alone(logs: Path, behavior: Path, tmp_path: Path) -> None:
    policy = train_text_behavior(logs, SMALL, SETTINGS, tmp_path / "augmented", augmented_copies=3)
    logged, made = (load_text_checkpoint(folder, "cpu").metadata for folder in (behavior, policy))
    assert (logged["episodes"], logged["train_frames"], logged["validation_frames"]) == (40, 32, 8)
    n_copies = made["episodes"] - 40
    assert 32 < n_copies <= 3 * 32, "failures have none"
    assert (made["train_frames"], made["validation_frames"]) == (32 + n_copies, 8)
    assert any(
        not torch.equal(weights(policy, "behavior")[name], tensor)
        for name, tensor in weights(behavior, "behavior").items()
    )


def test_the_q_phase_learns_from_copies_too_and_caches_what_they_say(
    logs: Path, behavior: Path, tmp_path: Path
) -> None:
    counts, settings = [], q_settings(steps=2)
    for copies in (0, 3):
        policy = train_text_q(
            logs, behavior, settings, tmp_path / f"q-{copies}", augmented_copies=copies, cache=tmp_path / "cache"
        )
        made = load_text_checkpoint(policy, "cpu").metadata
        counts.append((made["augmented_copies"], made["train_frames"], made["validation_frames"]))
    assert counts == [(0, 32, 8), (3, counts[1][1], 8)] and counts[1][1] > 64
    assert len(list((tmp_path / "cache").glob("log-pi-*"))) == 2


def test_a_model_of_the_task_s_own_knows_the_pieces_of_copies_too(tmp_path: Path) -> None:
    record_dialogue(tmp_path / "logs", DialogueRecordingSettings("endgames", 3))
    model = replace(SMALL, learned_positions=256)
    settings = replace(SETTINGS, steps=1, validation_fraction=0.4)
    known = []
    for copies in (0, 5):
        out = tmp_path / f"copies-{copies}"
        policy = train_text_behavior(tmp_path / "logs", model, settings, out, augmented_copies=copies)
        checkpoint = load_text_checkpoint(policy, "cpu")
        assert checkpoint.behavior is not None and checkpoint.behavior.max_positions == 256
        known.append(set(checkpoint.text_format.tokenizer.vocabulary))
    turned = known[1] - known[0]
    assert known[0] < known[1]
    assert any(piece.endswith("\n") and piece[0] in "KQR" for piece in turned), "a move"
    assert any(piece.startswith(" / ") for piece in turned), "a rank"


def test_a_context_that_the_model_does_not_read_is_refused_before_the_first_step(logs: Path, tmp_path: Path) -> None:
    longest = max(len(content) for content in table_of(logs).contents)
    settings = replace(SETTINGS, steps=1, batch_size=1)
    short, enough = (replace(SMALL, learned_positions=positions) for positions in (longest - 1, longest))
    with pytest.raises(ShapeMismatch, match=f"A context has {longest} tokens; this model reads {longest - 1}"):
        train_text_behavior(logs, short, settings, tmp_path / "short")
    assert not (tmp_path / "short" / "metrics.jsonl").exists()
    assert train_text_behavior(logs, enough, settings, tmp_path / "enough").is_dir()


def table_of(logs: Path) -> TextTable:
    conversations = list(read_conversations(logs))
    return read_text_table(conversations, TextFormat.fit("wordle", conversations), horizon=None)


def test_a_log_that_cannot_be_augmented_is_named_before_anything_is_written(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"sequence": [["Wordle:\\n", 0], ["c r a n e\\n", 1]], "reward": [0, 0], "done": true}\n')
    with pytest.raises(DatasetError, match=r"Conversation 0 of the logs cannot be augmented: .* --augmented-copies 0"):
        train_text_behavior(log, SMALL, SETTINGS, tmp_path / "out", task="wordle", augmented_copies=1)
    assert not (tmp_path / "out").exists()


def test_the_q_phase_refuses_the_policy_of_a_robot(logs: Path, robot: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint of a text policy"):
        train_text_q(logs, robot[1], q_settings(), tmp_path / "q", augmented_copies=3)
    assert not (tmp_path / "q").exists()


def test_a_chess_log_with_an_illegal_move_does_not_fit_the_scale_of_its_returns(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    record_dialogue(tmp_path / "logs", DialogueRecordingSettings("endgames", 10))
    games = [json.loads(line) for line in (tmp_path / "logs/conversations/part-00000.jsonl").read_text().splitlines()]
    log.write_text("".join(json.dumps(game) + "\n" for game in games))
    begun = replace(SETTINGS, steps=1)
    behavior = train_text_behavior(log, SMALL, begun, tmp_path / "behavior", task="endgames")
    lost = next(game for game in games if not any(game["reward"]))
    lost["reward"][[is_action for _, is_action in lost["sequence"]].index(1)] = -1.0
    log.write_text("".join(json.dumps(game) + "\n" for game in games))
    with pytest.raises(TargetOutOfRange, match=r"from -1 to 0; .* Leave out the games .* not between 0 and 1"):
        train_text_q(log, behavior, q_settings(), tmp_path / "q")


class Killed(Exception):
    pass


def killed_at(step: int) -> Callable[[str, int, int], None]:
    def listener(what: str, complete: int, total: int) -> None:
        if what.endswith("phase") and complete == step:
            raise Killed

    return listener


@pytest.mark.parametrize(
    ("others", "copies"),
    [({"backup": "behavior"}, 0), ({"method": "ilql"}, 0), ({"backup": "monte_carlo"}, 3)],
    ids=["qsft", "ilql", "copies"],
)
def test_a_resumed_phase_ends_with_the_weights_of_an_uninterrupted_one(
    logs: Path, behavior: Path, tmp_path: Path, others: dict[str, object], copies: int
) -> None:
    settings = q_settings(**others, steps=20, save_every=5, eval_every=5)

    def trained(out: str, progress: Callable[[str, int, int], None] | None = None) -> Path:
        return train_text_q(
            logs,
            behavior,
            settings,
            tmp_path / out,
            augmented_copies=copies,
            cache=tmp_path / "cache",
            progress=progress,
        )

    whole = trained("whole")
    with pytest.raises(Killed):
        trained("cut", killed_at(10))
    resumed = trained("cut")
    first, second = weights(whole, "q_model"), weights(resumed, "q_model")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_resumed_phase_makes_the_same_augmented_copies_again(logs: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=20, save_every=5, eval_every=5)
    whole = train_text_behavior(logs, SMALL, settings, tmp_path / "whole", augmented_copies=3)
    with pytest.raises(Killed):
        train_text_behavior(logs, SMALL, settings, tmp_path / "cut", augmented_copies=3, progress=killed_at(10))
    resumed = train_text_behavior(logs, SMALL, settings, tmp_path / "cut", augmented_copies=3)
    first, second = weights(whole, "behavior"), weights(resumed, "behavior")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_accumulation_changes_nothing_though_contexts_have_different_numbers_of_tokens(
    logs: Path, tmp_path: Path
) -> None:
    once = train_text_behavior(logs, SMALL, replace(SETTINGS, steps=3), tmp_path / "once")
    pieces = train_text_behavior(logs, SMALL, replace(SETTINGS, steps=3, accumulation=4), tmp_path / "pieces")
    first, second = weights(once, "behavior"), weights(pieces, "behavior")
    for name in first.keys() - {"dummy.weight", "dummy.bias"}:  # no part of pi_phi: their gradient is rounding
        torch.testing.assert_close(first[name], second[name], rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("method", ["monte_carlo", "ilql", "cql"])
def test_every_rival_trains_on_the_same_logs_and_plays_by_ratio_alone(
    logs: Path, behavior: Path, tmp_path: Path, method: str
) -> None:
    policy = train_text_q(logs, behavior, q_settings(method=method), tmp_path / method)
    loaded = load_text_checkpoint(policy, "cpu")
    reader = loaded.reader(PolicySettings("ratio"))
    said = reader.read(reader.begin(1), torch.tensor([[1, 2]]), torch.ones(1, 2, dtype=torch.bool))
    assert said.log_p is not None and said.log_pi is not None
    assert loaded.q_model is not None
    memory = loaded.q_model.begin(1)
    with torch.no_grad():
        logits = loaded.q_model.read(memory, torch.tensor([[1, 2]]), torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close((said.log_p[:, :-1] - said.log_pi).exp(), torch.sigmoid(logits[:, :-1]))
    with pytest.raises(InvalidSetting, match="a critic has none"):
        loaded.reader(PolicySettings("single"))


def test_a_robot_refuses_to_decide_by_a_critic(robot: tuple[Path, Path], tmp_path: Path) -> None:
    data, behavior = robot
    policy = train_q(data, behavior, replace(ROBOT, method="cql"), tmp_path / "cql")
    with pytest.raises(InvalidSetting, match=r"holds a critic \(cql\)"):
        QPolicy(load_checkpoint(policy, "cpu"), PolicySettings("ratio"), "cpu")


def test_logs_that_name_no_task_need_one(logs: Path, tmp_path: Path) -> None:
    file = tmp_path / "games.jsonl"
    file.write_bytes((logs / "conversations" / "part-00000.jsonl").read_bytes())
    with pytest.raises(InvalidSetting, match="--task"):
        train_text_behavior(file, SMALL, SETTINGS, tmp_path / "run")
    policy = train_text_behavior(file, SMALL, replace(SETTINGS, steps=1), tmp_path / "run", task="wordle")
    assert load_text_checkpoint(policy, "cpu").text_format.task == "wordle"


def called(work: Callable[[], object]) -> set[str]:
    """Return every function of vlm_qsft that `work` calls, as module:name."""
    monitoring, tool = sys.monitoring, 4
    found: set[str] = set()
    prefix = f"{ROOT}/vlm_qsft/"

    def entered(code: object, _: int) -> object:
        path = code.co_filename  # type: ignore[attr-defined]
        if path.startswith(prefix):
            found.add(f"{path.removeprefix(prefix)}:{code.co_qualname}")  # type: ignore[attr-defined]
        return monitoring.DISABLE

    monitoring.use_tool_id(tool, "paths")
    monitoring.register_callback(tool, monitoring.events.PY_START, entered)
    monitoring.set_events(tool, monitoring.events.PY_START)
    monitoring.restart_events()
    try:
        work()
    finally:
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)
    return found


@pytest.mark.parametrize("backup", ["monte_carlo", "nstep", "behavior", "max"])
def test_robots_and_text_are_trained_by_the_same_functions(
    logs: Path, behavior: Path, robot: tuple[Path, Path], tmp_path: Path, backup: str
) -> None:
    data, robot_behavior = robot
    on_robot = called(lambda: train_q(data, robot_behavior, replace(ROBOT, backup=backup), tmp_path / "robot"))
    on_text = called(
        lambda: train_text_q(logs, behavior, q_settings(backup=backup, steps=2, eval_every=2), tmp_path / "text")
    )
    for package in ("qsft/", "training/q_trainer.py", "training/trainer.py", "training/behavior_cache.py"):
        robots, texts = ({name for name in names if name.startswith(package)} for names in (on_robot, on_text))
        # Only an action of several tokens has states inside it, whose pi_phi is read from the cache.
        assert robots - {"training/behavior_cache.py:BehaviorCache.whole"} == texts, package
        assert texts
    # What text has of its own is data: nothing there computes a loss, a target or a gradient.
    own = {name.split(":")[0] for name in on_text if name.startswith("dialogue/")}
    data_modules = {
        "augmentation", "checkpoint", "conversation", "lmrl_gym", "logs", "packing", "phases", "rendering",
        "reward_scale", "text_dataset", "text_format", "text_table", "tokenized", "tokenizers", "transitions",
    }  # fmt: skip
    assert (
        own
        - {f"dialogue/{name}.py" for name in data_modules}
        - {name for name in own if name.startswith("dialogue/tasks/")}
        == set()
    )


def test_nothing_outside_of_qsft_computes_a_loss_a_backup_or_an_extraction() -> None:
    """By what a second implementation could not do without: normalising, gathering log-probabilities, gradients."""
    suspicious = {"cross_entropy", "log_softmax", "nll_loss", "kl_div", "backward", "mse_loss", "logsigmoid"}
    homes = {"qsft", "model", "training", "policy"}
    problems = []
    for path in sorted((ROOT / "vlm_qsft").rglob("*.py")):
        part = path.relative_to(ROOT / "vlm_qsft").parts[0]
        if part in homes:
            continue
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        problems += [f"{path}: {name}" for name in sorted(names & suspicious)]
    assert problems == []


def test_no_branch_asks_whether_it_is_a_robot() -> None:
    asked = {"is_robot", "is_text"}
    for path in sorted((ROOT / "vlm_qsft").rglob("*.py")):
        tree = ast.parse(path.read_text())
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert not names & asked, path


def test_the_same_seed_gives_the_same_behavior_policy(logs: Path, behavior: Path, tmp_path: Path) -> None:
    again = train_text_behavior(logs, SMALL, SETTINGS, tmp_path / "again")
    first, second = weights(behavior, "behavior"), weights(again, "behavior")
    assert all(np.array_equal(first[name].numpy(), second[name].numpy()) for name in first)
