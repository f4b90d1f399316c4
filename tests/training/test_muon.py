"""Muon for hidden matrices beside AdamW: one optimiser to a schedule and to a checkpoint, two to the parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from vlm_qsft.errors import CheckpointError, InvalidSetting, UnknownName
from vlm_qsft.model.small import SmallVLM
from vlm_qsft.model.text_build import build_text_scorer
from vlm_qsft.model.text_scorer import TextScorer
from vlm_qsft.model.text_settings import TextModelSettings
from vlm_qsft.training.muon import MuonAdamW, hidden_matrices

from .frames import SETTINGS, small_scorer
from .test_trainer import behavior_trainer

RATE, DECAY = 0.02, 0.1


def parameters() -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"matrix": (6, 4), "table": (5, 4), "vector": (4,)}
    return {name: nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in shapes.items()}


def both(of: dict[str, nn.Parameter]) -> MuonAdamW:
    return MuonAdamW([of["matrix"]], [of["table"]], [of["vector"]], learning_rate=RATE, weight_decay=DECAY)


def moved(of: dict[str, nn.Parameter], step: Callable[[], Any], steps: int, *, begin: int = 0) -> dict[str, Tensor]:
    """Return the parameters after some steps along gradients that depend on them and on the number of the step."""
    for number in range(begin, begin + steps):
        for parameter in of.values():
            parameter.grad = (parameter + number).sin()
        step()
    return {name: parameter.detach().clone() for name, parameter in of.items()}


def test_a_hidden_matrix_moves_by_muon_and_everything_else_by_adamw() -> None:
    together = parameters()
    one = moved(together, both(together).step, 3)
    alone = parameters()
    muon = torch.optim.Muon([alone["matrix"]], lr=RATE, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw")
    groups = [{"params": [alone["table"]]}, {"params": [alone["vector"]], "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=RATE, weight_decay=DECAY)
    assert_same(one, moved(alone, lambda: (muon.step(), adamw.step()), 3))


def test_a_schedule_reaches_both() -> None:
    of = parameters()
    optimizer = both(of)
    schedule = LambdaLR(optimizer, lambda step: 0.0 if step else 1.0)
    moved(of, optimizer.step, 1)
    schedule.step()
    still = {name: parameter.detach().clone() for name, parameter in of.items()}
    assert_same(moved(of, optimizer.step, 1), still)


def test_a_state_that_was_saved_goes_on_as_if_never_interrupted_also_for_a_schedule(tmp_path: Path) -> None:
    whole = parameters()
    expected = moved(whole, both(whole).step, 5)
    begun = parameters()
    optimizer = both(begun)
    weights = moved(begun, optimizer.step, 2)
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    resumed = {name: nn.Parameter(weight) for name, weight in weights.items()}
    other = both(resumed)
    other.load_state_dict(torch.load(tmp_path / "optimizer.pt", weights_only=True))
    assert_same(moved(resumed, other.step, 3, begin=2), expected)
    for group in other.param_groups:
        group["lr"] = group["weight_decay"] = 0.0
    still = {name: parameter.detach().clone() for name, parameter in resumed.items()}
    assert_same(moved(resumed, other.step, 1), still)


def test_the_rows_that_give_logits_and_the_tables_of_embeddings_are_not_hidden() -> None:
    text = build_text_scorer(TextModelSettings(width=32, layers=1), n_words=9)
    names = hidden_matrices(text)
    assert "model.model.layers.0.self_attn.q_proj.weight" in names
    assert "model.model.layers.0.mlp.down_proj.weight" in names
    assert not [name for name in names if "lm_head" in name or "embed" in name or "dummy" in name]
    robot = small_scorer()
    assert hidden_matrices(robot)
    assert not [name for name in hidden_matrices(robot) if name.startswith("decoder.rows")]


def test_a_table_that_gives_logits_too_is_not_hidden() -> None:
    text = build_text_scorer(TextModelSettings(width=32, layers=1), n_words=9)
    text.model.lm_head.weight = text.model.get_input_embeddings().weight
    assert isinstance(text, TextScorer)
    assert not [name for name in hidden_matrices(text) if "lm_head" in name or "embed" in name]


def test_what_is_frozen_stays_frozen() -> None:
    robot = small_scorer()
    robot.requires_grad_(False)
    assert not hidden_matrices(robot)


def test_a_model_that_trains_no_linear_layer_is_refused(tmp_path: Path) -> None:
    trainer = behavior_trainer(tmp_path, replace(SETTINGS, optimizer="muon"))
    for weights in hidden_matrices(cast(SmallVLM, trainer.model)).values():
        weights.requires_grad_(False)
    with pytest.raises(InvalidSetting, match="this model trains none"):
        trainer.run()


def test_training_with_muon_moves_every_weight_that_adamw_moves(tmp_path: Path) -> None:
    before = small_scorer(SETTINGS.seed).state_dict()
    for optimizer in ("adamw", "muon"):
        trained = behavior_trainer(tmp_path / optimizer, replace(SETTINGS, steps=2, optimizer=optimizer)).run()
        still = {name for name, weights in trained.state_dict().items() if torch.equal(weights, before[name])}
        assert still == {name for name in still if "mean" in name or "std" in name or "scale" in name}, optimizer


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_rows_of_parts_do_not_decay_and_other_matrices_do(tmp_path: Path, optimizer: str) -> None:
    words = [["a"], ["b"], ["a", "b"], ["b", "a"]]
    scorer = build_text_scorer(TextModelSettings(width=16, layers=1, head_width=8), n_words=len(words), parts=words)
    trainer = behavior_trainer(tmp_path, replace(SETTINGS, optimizer=optimizer))
    trainer.model = scorer
    groups = trainer.create_optimizer().param_groups
    decay = {id(weights): group["weight_decay"] for group in groups for weights in group["params"]}
    of_name = {name: decay[id(weights)] for name, weights in scorer.named_parameters()}
    rows = {name for name in of_name if name.endswith("part_rows")}
    assert len(rows) == 2 and {of_name[name] for name in rows} == {0.0}
    assert of_name["model.model.layers.0.mlp.up_proj.weight"] == SETTINGS.weight_decay > 0.0


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_run_of_a_version_that_let_other_weights_decay_is_refused_in_one_line(
    tmp_path: Path, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, optimizer=optimizer, steps=4, save_every=2, eval_every=2)

    class Cut(Exception):
        pass

    trainer = behavior_trainer(tmp_path, settings)
    finish = trainer.finish_checkpoint

    def cut() -> None:
        finish()
        raise Cut

    monkeypatch.setattr(trainer, "finish_checkpoint", cut)
    with pytest.raises(Cut):
        trainer.run()
    again = behavior_trainer(tmp_path, settings)
    monkeypatch.setattr(again, "get_decay_parameter_names", lambda model: [])
    with pytest.raises(CheckpointError, match="divides the weights otherwise"):
        again.run()
    behavior_trainer(tmp_path, settings).run()


def test_an_optimiser_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownName, match="Optimizer 'sgd' is not known"):
        replace(SETTINGS, optimizer="sgd")


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=0, msg=name)
