"""Every real sample converts and equals its source number by number, or is refused with the true reason."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qsft_datasets.dataset_conversion import ConversionSettings, at_rate, convert_dataset
from qsft_datasets.mapping import Mapping, OutcomeMapping
from qsft_datasets.mapping_file import parse_mapping
from qsft_datasets.proposal import propose
from qsft_datasets.registry import find_source
from qsft_datasets.sampling import sample_episodes
from qsft_datasets.shipped import find_shipped, find_undecided
from qsft_datasets.source import Source, VideoStretch
from vlm_qsft.cli.main import main
from vlm_qsft.data import DatasetReader
from vlm_qsft.data.video_stretch import stretch_frames
from vlm_qsft.errors import UnknownName
from vlm_qsft.images import decode

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.usefixtures("without_warnings_of_lerobot"),
    pytest.mark.skipif(
        not SAMPLES.is_dir(), reason="The third-party samples are not beside this repository (../shared/data)."
    ),
]
# What a person decides where neither a shipped mapping nor the numbers do.
DECISIONS = {
    "fps": "10",
    "meaning": "absolute",
    "channels": "rgb",
    "open": "1",
    "closed": "0",
    "last_step": "action",
    "instruction_text": "do the task",
}
CONVERTED = {
    "rlds/bridge_dataset": (50, 500),
    "rlds/mt_opt_rlds": (2, None),
    "rlds/tfds_bridge_dummy": (1, None),
    "lerobot/gr00t_picknplace_v20": (5, 2096),
    "lerobot/g1_av1_v21_subset": (4, 1355),
    "hdf5/tfds_robomimic_ph": (2, None),
    "hdf5/tfds_robomimic_mh": (1, None),
}


def mapping_of(source: Source) -> Mapping:
    """The shipped mapping, or the proposed one with every decision made."""
    mapping = find_shipped(source)
    if mapping is None:
        text = find_undecided(source) or propose(source.description, sample_episodes(source))
        mapping = parse_mapping(re.sub(r"(\w+): decide", lambda found: f"{found[1]}: {DECISIONS[found[1]]}", text), "m")
    if mapping.outcome.source == "unknown":
        mapping = replace(mapping, outcome=OutcomeMapping("assume-success"))
    return mapping


@pytest.mark.parametrize("name", CONVERTED)
def test_a_sample_converts_and_every_number_equals_the_source(name: str, tmp_path: Path) -> None:
    n_episodes, n_steps = CONVERTED[name]
    source = find_source(SAMPLES / name)
    mapping = mapping_of(source)
    summary = convert_dataset(source, mapping, tmp_path / "set", settings=ConversionSettings())
    assert (summary.episodes_in, summary.episodes_out, summary.refused) == (n_episodes, n_episodes, ())
    assert n_steps in (None, summary.frames)
    reader = DatasetReader(tmp_path / "set")
    columns = {key: reader.stored_column(key) for key in ("action", *mapping.keep)}
    if mapping.state:
        columns["observation.state"] = reader.stored_column("observation.state")
    source = at_rate(source, mapping)
    for index, reference in enumerate(source.references()):
        episode = source.read(reference)
        first, length = int(reader.episodes.first_frame[index]), int(reader.episodes.length[index])
        assert length == episode.length - (mapping.last_step == "padding")
        expected: dict[str, np.ndarray] = {
            key: np.asarray(episode.steps[path]).reshape(episode.length, -1) for key, path in mapping.keep.items()
        }
        for key, parts in (("action", mapping.action), ("observation.state", mapping.state)):
            for part in parts:
                assert (part.scale, part.offset) == (1.0, 0.0)
            taken = [np.asarray(episode.steps[part.path]).reshape(episode.length, -1) for part in parts]
            taken = [
                values if part.columns is None else values[:, list(part.columns)]
                for values, part in zip(taken, parts, strict=True)
            ]
            if taken:
                expected[key] = np.concatenate(taken, axis=1)
        for key, values in expected.items():
            stored = columns[key][first : first + length]
            np.testing.assert_array_equal(
                stored, values[:length].astype(stored.dtype), err_msg=f"{key} of {reference.key}"
            )
            assert np.array_equal(values[:length].astype(stored.dtype).astype(values.dtype), values[:length])
        for camera in mapping.cameras:
            shown = reader.images(first + length // 2)[camera.name]
            np.testing.assert_array_equal(shown, source_picture(episode.steps[camera.path], length // 2))


def source_picture(values: object, step: int) -> np.ndarray:
    """The picture of a step as the source's own bytes, array or video give it."""
    if isinstance(values, VideoStretch):
        for number, frame in enumerate(stretch_frames(values.path, values.from_s, values.to_s, values.n_frames)):
            if number == step:
                return frame
    content = values[step]  # type: ignore[index]
    return decode(content) if isinstance(content, bytes) else np.asarray(content)


@pytest.mark.parametrize("name", CONVERTED)
def test_lerobot_loads_a_converted_sample_and_agrees(name: str, tmp_path: Path) -> None:
    lerobot_dataset = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="lerobot is not installed")
    source = find_source(SAMPLES / name)
    convert_dataset(source, mapping_of(source), tmp_path / "set", settings=ConversionSettings())
    reader = DatasetReader(tmp_path / "set")
    judged = lerobot_dataset.LeRobotDataset("local/sample", root=tmp_path / "set", video_backend="pyav")
    assert (judged.num_episodes, judged.num_frames) == (reader.n_episodes, reader.n_frames)
    for row in np.linspace(0, reader.n_frames - 1, 7).astype(int).tolist():
        item = judged[row]
        for key in {"action", "observation.state"} & set(item):
            theirs = item[key].numpy()
            np.testing.assert_array_equal(theirs, reader.stored_column(key)[row].astype(theirs.dtype))
        for camera, picture in reader.images(row).items():
            theirs = (item[f"observation.images.{camera}"].numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8)
            np.testing.assert_array_equal(theirs, picture)
        assert item["task"] == reader.instruction(row)


def test_videos_of_a_sample_are_copied_and_float64_is_kept(tmp_path: Path) -> None:
    root = SAMPLES / "lerobot/gr00t_picknplace_v20"
    source = find_source(root)
    convert_dataset(source, mapping_of(source), tmp_path / "set", settings=ConversionSettings())
    reader = DatasetReader(tmp_path / "set")
    assert (reader.schema.camera_storage, reader.schema.action_dtype) == ("video", "float64")
    originals = {path.read_bytes() for path in root.rglob("*.mp4")}
    assert {path.read_bytes() for path in (tmp_path / "set/videos").rglob("*.mp4")} <= originals


REFUSED = {
    "lerobot/franka_pickplace_v30_broken": "names 10 data files and none of them exists.*no states and no actions",
    "rosbag/ros2_wbag": r"no numbers in its steps.*AAA:data \(text\)",
    "rosbag/ros2_talker": r"no numbers in its steps.*/topic:data \(text\)",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_sample_without_actions_is_refused_with_the_true_reason(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(SAMPLES / name), str(tmp_path / "set")]) == 2
    error = capsys.readouterr().err
    assert re.search(REFUSED[name], error) and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_mapping_of_another_set_is_refused_by_name(tmp_path: Path) -> None:
    bridge, other = (find_source(SAMPLES / "rlds" / name) for name in ("bridge_dataset", "mt_opt_rlds"))
    with pytest.raises(UnknownName, match="is not known in mt_opt_rlds"):
        convert_dataset(other, mapping_of(bridge), tmp_path / "set", settings=ConversionSettings())
