"""The whole command: what it prints and writes, its exit status, and sets that it cannot read."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest

from qsft_datasets.validation import CHECKS, validate_dataset
from vlm_qsft.cli.main import main
from vlm_qsft.errors import DatasetError
from vlm_qsft.images import decode

from .sets import LENGTH, edit_frames, edit_json

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "data" / "lerobot"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="The third-party samples are not beside this repository (../shared/data/lerobot)."
)


def test_a_good_set_ends_with_status_0_and_reports_with_pictures(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    files = [tmp_path / "reports/r.json", tmp_path / "reports/r.md"]
    assert main(["validate", str(good), "--json", str(files[0]), "--markdown", str(files[1])]) == 0
    printed = capsys.readouterr().out
    assert "0 errors, 0 warnings" in printed and "success rate: 50.0%" in printed
    report = json.loads(files[0].read_text())
    assert (report["good"], report["errors"], report["warnings"]) == (True, 0, 0)
    assert list(report["checks"]) == list(CHECKS)
    assert set(report["pictures"]) == {"front", "wrist"}
    sheet = decode(base64.b64decode(report["pictures"]["front"].partition(",")[2]))
    # six episodes of four frames, 96 pixels high, 128 wide, with gaps of 4
    assert sheet.shape == (6 * 100 + 4, 4 * 132 + 4, 3)
    text = files[1].read_text()
    assert "**0 errors, 0 warnings.** This data set can be trained on." in text
    for link in re.findall(r"\]\((.*?)\)", text):
        assert (files[1].parent / link).is_file()
        assert f"Wrote {files[1].parent / link}" in printed


def test_errors_end_with_status_1_and_name_place_and_remedy(root: Path, capsys: pytest.CaptureFixture[str]):
    def edit(columns):
        columns["action"][LENGTH + 3][1] = float("nan")

    edit_frames(root, edit)
    assert main(["validate", str(root)]) == 1
    printed = capsys.readouterr().out
    assert "ERROR [finite] episode 1, frame 3: 'action: dy' is nan; 1 such numbers in 1 episodes." in printed
    assert "    Repair these episodes or leave them out." in printed
    assert "1 error, " in printed


def test_warnings_alone_end_with_status_0(root: Path):
    edit_json(root, "stats.json", lambda stats: stats["action"]["q99"].__setitem__(0, 5.0))
    report = validate_dataset(root)
    assert report.is_good and len(report.of_level("warning")) == 1


def test_what_the_data_say_does_not_break_the_markdown(root: Path, tmp_path: Path):
    edit_json(root, "info.json", lambda info: info["features"]["action"].update(names=["a|b", "<script>", "gripper"]))
    edit_frames(root, lambda columns: columns["action"][0].__setitem__(0, float("inf")))
    edit_frames(root, lambda columns: columns["action"][0].__setitem__(1, float("inf")))
    assert main(["validate", str(root), "--markdown", str(tmp_path / "r.md")]) == 1
    text = (tmp_path / "r.md").read_text()
    assert "a\\|b" in text and "<script>" not in text
    rows = [line for line in text.splitlines() if line.startswith("| finite")]
    assert rows and all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, r"is no data set: meta/info.json is missing"),
        ("{", r"info.json is no valid JSON"),
        ('{"codebase_version": "v2.1"}', r"format version v2.1; validation takes v3.0. Convert first"),
        ('{"codebase_version": "v3.0"}', r"describes no features"),
        ('{"codebase_version": "v3.0", "features": {}}', r"has no frame rate: fps is None"),
        ('{"codebase_version": "v3.0", "features": {}, "fps": 0}', r"a frame rate of 0; expected more than 0"),
        ('{"codebase_version": "v3.0", "features": {}, "fps": 5}', r"holds no episode table"),
    ],
)
def test_what_cannot_be_read_ends_with_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, reason: str
):
    (tmp_path / "meta").mkdir()
    if content is not None:
        (tmp_path / "meta/info.json").write_text(content)
    with pytest.raises(DatasetError, match=reason):
        validate_dataset(tmp_path)
    assert main(["validate", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_damaged_file_is_one_error_and_the_rest_is_checked(root: Path):
    path = root / "data/chunk-000/file-000.parquet"
    path.write_bytes(path.read_bytes()[:-60])
    report = validate_dataset(root)
    damaged = [finding.message for _, finding in report.of_level("error") if "file-000.parquet" in finding.message]
    assert 1 <= len(damaged) <= 3
    assert not report.is_good


@needs_samples
def test_the_broken_sample_is_described_by_what_is_wrong_with_it(capsys: pytest.CaptureFixture[str]):
    assert main(["validate", str(SAMPLES / "franka_pickplace_v30_broken")]) == 1
    printed = capsys.readouterr().out
    assert "names data files as 'data/train/episode_{episode_index:06d}.parquet'" in printed
    assert "data/ holds no parquet file; meta/info.json announces 680 frames" in printed
    assert "is h264; meta/info.json says mp4v for 'observation.images.top'" in printed


@needs_samples
@pytest.mark.parametrize("name", ["g1_av1_v21_subset", "gr00t_picknplace_v20"])
def test_older_samples_are_sent_to_the_converter(name: str):
    with pytest.raises(DatasetError, match=r"Convert first: `qsft convert"):
        validate_dataset(SAMPLES / name)
