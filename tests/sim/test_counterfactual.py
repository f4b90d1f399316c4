from __future__ import annotations

from pathlib import Path

import pytest

from qsft_sim.counterfactual import evaluate_counterfactual
from qsft_sim.demonstrators import Demonstrator
from qsft_sim.environment import EnvironmentSettings
from qsft_sim.seeds import EVALUATION
from qsft_sim.statistics import summarise_counterfactual, wilson_interval
from vlm_qsft.errors import InvalidSetting

BLIND = EnvironmentSettings(cameras=())


class DeafDemonstrator(Demonstrator):
    """Goes for the first object of the scene, whatever it is told."""

    def reset(self, instruction: str, *, seed: int | None = None) -> None:
        super().reset(instruction, seed=seed)
        self._object = 0


def test_an_expert_follows_both_instructions_with_different_objects(tmp_path: Path) -> None:
    results = evaluate_counterfactual(
        Demonstrator, task="pick", scenes=4, base=EVALUATION, out=tmp_path / "c.jsonl", environment=BLIND
    )
    summary = summarise_counterfactual(results)
    assert (summary.scenes, summary.both_followed, summary.same_object) == (4, 1.0, 0.0)
    assert summary.interval == wilson_interval(4, 4)
    for own, other in zip(results[::2], results[1::2], strict=True):
        assert own.seed == other.seed and own.episode == other.episode
        assert own.instruction != other.instruction
        assert other.handled in other.instruction


def test_who_ignores_the_instruction_handles_the_same_object_twice(tmp_path: Path) -> None:
    results = evaluate_counterfactual(
        DeafDemonstrator, task="pick", scenes=4, base=EVALUATION, out=tmp_path / "c.jsonl", environment=BLIND
    )
    summary = summarise_counterfactual(results)
    assert (summary.both_followed, summary.same_object) == (0.0, 1.0)
    assert [result.success for result in results] == [True, False] * 4
    assert [result.wrong_object for result in results] == [False, True] * 4


def test_the_test_resumes_after_a_half_finished_scene(tmp_path: Path) -> None:
    out = tmp_path / "c.jsonl"
    arguments = {"task": "near", "scenes": 2, "base": EVALUATION, "out": out, "environment": BLIND}
    evaluate_counterfactual(Demonstrator, **arguments)
    whole = out.read_bytes()
    out.write_bytes(b"".join(whole.splitlines(keepends=True)[:3]))
    evaluate_counterfactual(Demonstrator, **arguments)
    assert out.read_bytes() == whole


def test_a_scene_without_another_object_is_refused_with_the_remedy(tmp_path: Path) -> None:
    alone = EnvironmentSettings(cameras=(), n_distractors=(0, 0))
    with pytest.raises(InvalidSetting, match="at least one distractor"):
        evaluate_counterfactual(
            Demonstrator, task="pick", scenes=1, base=EVALUATION, out=tmp_path / "c.jsonl", environment=alone
        )
