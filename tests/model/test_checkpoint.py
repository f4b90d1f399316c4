"""The checkpoint folder: what was saved comes back exactly, and anything else is refused with the reason."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from vlm_qsft.errors import CheckpointError, NotFinite
from vlm_qsft.model import load_checkpoint, save_checkpoint

from .conftest import FAMILIES


@pytest.fixture
def saved(build, parts, tmp_path):
    """Return the folder of a small checkpoint with both scorers."""
    folder = tmp_path / "policy"
    save_checkpoint(folder, behavior=build("small"), q_model=build("small"), **vars(parts))
    return folder


def rewrite_manifest(folder, **changes) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("family", ["small", *FAMILIES])
@torch.no_grad()
def test_a_loaded_scorer_gives_the_same_log_probabilities(family, build, make_inputs, parts, tmp_path):
    scorer = build(family)
    for weight in scorer.parameters():
        weight.add_(torch.randn_like(weight) * 0.01)
    scorer.reset_dummy(0.7)
    save_checkpoint(tmp_path / "policy", behavior=None, q_model=scorer, **vars(parts))
    loaded = load_checkpoint(tmp_path / "policy", "cpu")
    assert loaded.behavior is None and loaded.q_model is not None and loaded.spec == scorer.spec
    bins = torch.randint(8, (3, 4), generator=torch.Generator().manual_seed(0))
    inputs = make_inputs(scorer)
    torch.testing.assert_close(loaded.q_model.log_probs(inputs, bins), scorer.log_probs(inputs, bins), atol=0, rtol=0)
    again = loaded.q_model.encode_instructions(["move the red cube near the green ball"])
    torch.testing.assert_close(again, scorer.encode_instructions(["move the red cube near the green ball"]))


@torch.no_grad()
def test_lora_adapters_come_back(build, make_inputs, parts, tmp_path):
    scorer = build("qwen2_vl", lora_rank=2)
    for name, weight in scorer.named_parameters():
        if "lora_B" in name:
            weight.add_(0.3)
    save_checkpoint(tmp_path / "policy", behavior=scorer, q_model=None, **vars(parts))
    loaded = load_checkpoint(tmp_path / "policy", "cpu")
    assert loaded.behavior is not None
    bins = torch.zeros(3, 4, dtype=torch.int64)
    inputs = make_inputs(scorer)
    torch.testing.assert_close(loaded.behavior.log_probs(inputs, bins), scorer.log_probs(inputs, bins), atol=0, rtol=0)


def test_schema_tokenizer_and_metadata_come_back(saved, parts):
    loaded = load_checkpoint(saved, "cpu")
    assert loaded.schema == parts.schema and loaded.action_tokenizer == parts.action_tokenizer
    assert loaded.metadata == {"steps": 3}
    assert loaded.behavior is not None and not loaded.behavior.training


def test_the_identity_is_that_of_the_content_and_not_of_the_folder(saved, build, parts, tmp_path):
    copy, other = tmp_path / "copy", tmp_path / "other"
    save_checkpoint(copy, behavior=build("small"), q_model=build("small"), **vars(parts))
    changed = build("small")
    changed.reset_dummy(0.5)
    save_checkpoint(other, behavior=build("small"), q_model=changed, **vars(parts))
    first, second, third = (load_checkpoint(folder, "cpu").identity for folder in (saved, copy, other))
    assert first == second != third


def test_saving_again_replaces_the_checkpoint(saved, build, parts):
    parts.metadata = {"steps": 4}
    save_checkpoint(saved, behavior=build("small"), q_model=None, **vars(parts))
    loaded = load_checkpoint(saved, "cpu")
    assert loaded.metadata == {"steps": 4} and loaded.q_model is None
    assert [path.name for path in saved.parent.iterdir()] == ["policy"]


def test_a_folder_with_other_things_is_not_replaced(build, parts, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="is not replaced"):
        save_checkpoint(tmp_path, behavior=build("small"), q_model=None, **vars(parts))
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_policy_settings_beside_the_checkpoint_change_nothing(saved):
    before = load_checkpoint(saved, "cpu").identity
    (saved / "policy.json").write_text("{}")
    assert load_checkpoint(saved, "cpu").identity == before


def test_a_folder_whose_writing_never_ended_is_refused(saved):
    (saved / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match=r"no manifest\.json"):
        load_checkpoint(saved, "cpu")


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="No checkpoint folder at"):
        load_checkpoint(tmp_path / "nowhere", "cpu")


def test_a_partial_folder_is_refused_by_the_missing_file(saved):
    (saved / "q_model" / "weights.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"partial: 'q_model/weights\.safetensors' is missing"):
        load_checkpoint(saved, "cpu")


def test_a_truncated_file_is_refused(saved):
    path = saved / "behavior" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"behavior/weights\.safetensors' .* bytes; expected"):
        load_checkpoint(saved, "cpu")


def test_one_flipped_bit_is_noticed(saved):
    path = saved / "behavior" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="was altered"):
        load_checkpoint(saved, "cpu")


def test_another_format_version_is_refused_with_both_numbers(saved):
    rewrite_manifest(saved, format_version=7)
    with pytest.raises(CheckpointError, match="format version 7; this library reads version 1"):
        load_checkpoint(saved, "cpu")


def test_a_foreign_manifest_is_refused(saved):
    rewrite_manifest(saved, format="something else")
    with pytest.raises(CheckpointError, match="'something else'; expected 'vlm-qsft checkpoint'"):
        load_checkpoint(saved, "cpu")
    (saved / "manifest.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="is not the manifest"):
        load_checkpoint(saved, "cpu")


def test_a_manifest_cannot_reach_outside_of_its_folder(saved):
    files = json.loads((saved / "manifest.json").read_text())["files"]
    rewrite_manifest(saved, files={**files, "../secret": {"size": 1, "sha256": "0"}})
    with pytest.raises(CheckpointError, match="outside of the checkpoint"):
        load_checkpoint(saved, "cpu")


def test_a_family_of_a_later_version_is_refused_with_those_known(build, parts, tmp_path):
    scorer = build("small")
    scorer.spec = dataclasses.replace(scorer.spec, family="clairvoyant")
    save_checkpoint(tmp_path / "policy", behavior=scorer, q_model=None, **vars(parts))
    with pytest.raises(CheckpointError, match="'clairvoyant'; this version knows small, text, idefics3"):
        load_checkpoint(tmp_path / "policy", "cpu")


def test_weights_of_another_size_are_refused(build, parts, tmp_path):
    scorer = build("small")
    scorer.settings = dataclasses.replace(scorer.settings, width=64)
    save_checkpoint(tmp_path / "policy", behavior=scorer, q_model=None, **vars(parts))
    with pytest.raises(CheckpointError, match="do not fit the model"):
        load_checkpoint(tmp_path / "policy", "cpu")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_bins": 16}, "action bins 16 against 8"),
        ({"n_tokens": 2}, "action tokens 2 against 4"),
        ({"state_dim": 5}, "state size 5 against 3"),
        ({"cameras": ("front", "side")}, "cameras.*side"),
    ],
)
def test_parts_of_different_robots_are_not_saved_together(changes, words, build, parts, tmp_path):
    scorer = build("small")
    scorer.spec = dataclasses.replace(scorer.spec, **changes)
    with pytest.raises(CheckpointError, match=words):
        save_checkpoint(tmp_path / "policy", behavior=scorer, q_model=None, **vars(parts))
    assert not list(tmp_path.iterdir())


def test_scorers_that_differ_are_not_saved_together(build, parts, tmp_path):
    other = build("small", cameras=("front",))
    with pytest.raises(CheckpointError, match="differ"):
        save_checkpoint(tmp_path / "policy", behavior=build("small"), q_model=other, **vars(parts))


def test_a_checkpoint_without_scorers_is_refused(parts, tmp_path):
    with pytest.raises(CheckpointError, match="got neither"):
        save_checkpoint(tmp_path / "policy", behavior=None, q_model=None, **vars(parts))


def test_weights_that_are_no_numbers_are_never_saved(build, parts, tmp_path):
    scorer = build("small")
    with torch.no_grad():
        next(scorer.parameters()).view(-1)[0] = float("nan")
    with pytest.raises(NotFinite, match="of q_model hold NaN or infinity: the training diverged"):
        save_checkpoint(tmp_path / "policy", behavior=None, q_model=scorer, **vars(parts))
    assert not list(tmp_path.iterdir())


def test_a_folder_may_be_named_by_text(saved):
    assert load_checkpoint(str(saved), "cpu").identity == load_checkpoint(saved, "cpu").identity
