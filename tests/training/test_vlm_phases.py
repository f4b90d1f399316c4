"""Both phases on a transformers model: tied weights, adapters, its own text tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vlm_qsft.model.checkpoint import load_checkpoint
from vlm_qsft.model.settings import ModelSettings
from vlm_qsft.training import TokenSettings, train_behavior, train_q

from ..model.conftest import save_tiny_model
from .recording import SETTINGS, SETTINGS_Q, record

SHORT = replace(SETTINGS, steps=2, batch_size=4, learning_rate=1e-2, validation_frames=4, patience=1)
SHORT_Q = replace(SETTINGS_Q, steps=2, batch_size=4, learning_rate=1e-2, validation_frames=4, backup="nstep")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("recorded") / "data")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("source")
    save_tiny_model("smolvlm", folder)
    return str(folder)


@pytest.mark.parametrize("lora_rank", [0, 2])
def test_both_phases_train_a_transformers_model(dataset: Path, source: str, tmp_path: Path, lora_rank: int) -> None:
    model = ModelSettings(family="transformers", source=source, image_size=(32, 32), lora_rank=lora_rank)
    behavior = train_behavior(dataset, model, SHORT, tmp_path / "behavior", token_settings=TokenSettings(n_bins=8))
    policy = train_q(dataset, behavior, SHORT_Q, tmp_path / "q")
    checkpoint = load_checkpoint(policy, "cpu")
    assert checkpoint.behavior is not None and checkpoint.q_model is not None
    before = load_file(policy / "behavior/weights.safetensors")
    after = load_file(policy / "q_model/weights.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    if lora_rank:
        assert len(changed) < len(before)
