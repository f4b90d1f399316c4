"""Real third-party logs, converted, labelled and checked: what is wrong with them is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from qsft_datasets.labeling import LabelRequest, label_dataset
from qsft_datasets.validation import Finding, Report, validate_dataset
from vlm_qsft.cli.main import main
from vlm_qsft.data import DatasetReader

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="The third-party samples are not beside this repository (../shared/data)."
)


def converted(tmp_path: Path, sample: str, *words: str) -> Path:
    root = tmp_path / "set"
    assert main(["convert", str(SAMPLES / sample), str(root), "--workers", "1", *words]) == 0
    return root


def errors(report: Report) -> list[Finding]:
    return [finding for _, finding in report.of_level("error")]


def test_bridge_repeats_its_training_episodes_in_validation(tmp_path: Path):
    (error,) = errors(validate_dataset(converted(tmp_path, "rlds/bridge_dataset", "--outcome", "assume-failure")))
    assert error.message.startswith("25 episodes stand in several splits (the same actions and states): 0 in 'train'")
    assert error.count == 50


def test_robomimic_sets_its_terminal_flag_on_the_last_six_steps(tmp_path: Path):
    report = validate_dataset(converted(tmp_path, "hdf5/tfds_robomimic_mh"))
    assert errors(report) == []
    (flag,) = report.findings["flags"]
    assert flag.message == "'source.terminated' is set before the end of an episode, 5 times."


def test_videos_of_gr00t_are_labelled_without_touching_them(tmp_path: Path):
    root = converted(tmp_path, "lerobot/gr00t_picknplace_v20")
    videos = {path: path.read_bytes() for path in root.rglob("*.mp4")}
    request = LabelRequest(rule="keep", gamma=0.9, counterfactual=1.0)
    assert label_dataset(root, request).copies == 5
    assert not label_dataset(root, request).changed
    assert videos and {path: path.read_bytes() for path in root.rglob("*.mp4")} == videos
    assert errors(validate_dataset(root)) == []
    reader = DatasetReader(root)
    camera = next(iter(reader.schema.cameras))
    copy = int(reader.episodes.first_frame[5])
    assert (reader.images(copy, [camera])[camera] == reader.images(0, [camera])[camera]).all()
