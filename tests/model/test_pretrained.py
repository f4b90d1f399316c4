"""Loading a model of transformers from a folder: complete and of a known family, or refused with the reason."""

from __future__ import annotations

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from vlm_qsft.errors import InvalidSetting, UnknownName
from vlm_qsft.model.pretrained import load_pretrained


@pytest.fixture
def folder(model_folders, tmp_path):
    return shutil.copytree(model_folders("llava"), tmp_path / "copy")


def test_a_folder_gives_float32_weights_and_the_constants_of_its_processor(folder):
    source = load_pretrained(str(folder), allow_download=False)
    assert {str(weight.dtype) for weight in source.model.parameters()} == {"torch.float32"}
    assert source.image_mean == (0.48145466, 0.4578275, 0.40821073)  # published with CLIP


def test_a_name_that_is_no_folder_is_refused_without_asking_the_network():
    with pytest.raises(InvalidSetting, match=r"no local folder, and downloads are off"):
        load_pretrained("somebody/some-model", allow_download=False)


def test_missing_weights_are_refused_by_name(folder):
    weights = load_file(folder / "model.safetensors")
    name = next(key for key in weights if "vision" in key and "fc1.weight" in key)
    del weights[name]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InvalidSetting, match=r"1 missing.*fc1.weight"):
        load_pretrained(str(folder), allow_download=False)


def test_a_folder_without_weights_is_refused(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(InvalidSetting, match="save_pretrained"):
        load_pretrained(str(folder), allow_download=False)


def test_pickled_weights_are_not_read(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InvalidSetting, match="cannot be loaded"):
        load_pretrained(str(folder), allow_download=False)


def test_a_folder_without_the_processor_is_refused(folder):
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(InvalidSetting, match="model, tokenizer and processor"):
        load_pretrained(str(folder), allow_download=False)


def test_a_processor_saved_in_one_nested_file_is_read(folder):
    constants = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(
        json.dumps({"image_processor": {**constants, "image_std": [1, 2, 3]}})
    )
    assert load_pretrained(str(folder), allow_download=False).image_std == (1, 2, 3)


def test_a_model_of_another_family_is_refused_with_the_families_there_are(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    with pytest.raises(UnknownName, match="Valid: idefics3, llava, paligemma"):
        load_pretrained(str(folder), allow_download=False)
