"""The stage that evaluates, on checkpoints that nobody trained: what it records for the report."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from qsft_sim.environment import STATE_NAMES, EnvironmentSettings
from qsft_sim.evaluation import EvaluationJob, Evaluator, read_results
from qsft_sim.seeds import EVALUATION
from qsft_sim.trace import Trace
from vlm_qsft.cli.demo_stages import PHASE_OF, DemoRun
from vlm_qsft.cli.policy_loading import store_choice
from vlm_qsft.cli.run_folder import RunFolder
from vlm_qsft.cli.usage_meter import UsageMeter
from vlm_qsft.data import DatasetSchema
from vlm_qsft.model import ModelSettings, StateStatistics, build_scorer, save_checkpoint
from vlm_qsft.policy import PolicySettings
from vlm_qsft.presets import preset_named
from vlm_qsft.tokens import ActionTokenizer

ENVIRONMENT = EnvironmentSettings(image_size=(16, 16))
SETTINGS = {
    "sft": PolicySettings("sft", inverse_temperature=0.0, support=0.0),
    "sft_success": PolicySettings("sft", inverse_temperature=0.0, support=0.0),
    "qsft": PolicySettings("single", temperature=0.3, inverse_temperature=0.0),
}


def write_checkpoints(folder: RunFolder) -> ActionTokenizer:
    """Write an untrained checkpoint for every policy and return the tokenizer of them all."""
    schema = DatasetSchema(
        cameras=dict.fromkeys(ENVIRONMENT.cameras, ENVIRONMENT.image_size),
        state_names=STATE_NAMES,
        action_names=ENVIRONMENT.action_names,
        fps=Fraction(5),
    )
    actions = np.random.default_rng(0).uniform(-0.5, 0.5, (200, len(schema.action_names)))
    tokenizer = ActionTokenizer.fit(actions, action_names=schema.action_names, n_bins=8)
    instruction = Evaluator(pytest.fail, ENVIRONMENT).scene_of(EvaluationJob("pick", EVALUATION, 0)).instruction
    statistics = StateStatistics.from_states(np.random.default_rng(1).normal(size=(20, len(STATE_NAMES))))
    model = ModelSettings(channels=8, width=16, layers=1, image_size=ENVIRONMENT.image_size)
    for policy, phase in PHASE_OF.items():
        behavior, q_model = (build_scorer(model, schema, tokenizer, (instruction,), statistics) for _ in range(2))
        save_checkpoint(
            folder.checkpoint(phase),
            behavior=behavior,
            q_model=q_model if policy == "qsft" else None,
            action_tokenizer=tokenizer,
            schema=schema,
            metadata={},
        )
        store_choice(folder.checkpoint(phase), SETTINGS[policy])
    return tokenizer


def test_examples_show_q_values_though_the_policy_decides_with_one_network(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    tokenizer = write_checkpoints(folder)
    smoke = preset_named("smoke")
    preset = replace(
        smoke,
        recording=replace(smoke.recording, image_size=16),
        evaluation=replace(smoke.evaluation, episodes=1),
    )
    DemoRun(folder, preset, workers=1, device="cpu", meter=UsageMeter(folder.usage)).evaluate()
    for policy in PHASE_OF:
        (result,) = read_results(folder.evaluation(policy) / "final.jsonl")
        trace = Trace.load(folder.evaluation(policy) / f"trace-{'success' if result.success else 'failure'}.npz")
        assert trace.result.to_json() == result.to_json()  # explaining the decisions has not changed them
        assert trace.action_names == ENVIRONMENT.action_names
        np.testing.assert_array_equal(trace.bin_centers, tokenizer.centers.astype(np.float32))
        assert np.isfinite(trace.q_values).all() == (policy == "qsft")
        assert np.isfinite(trace.value).all() == (policy == "qsft")
