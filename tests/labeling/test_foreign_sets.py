"""Sets that LeRobot wrote: nothing of theirs is lost, LeRobot loads the result and agrees."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from qsft_datasets.labeling import LabelRequest, OutcomeRequest, label_dataset
from vlm_qsft.data import DatasetReader
from vlm_qsft.data.schema import LABEL_DTYPES
from vlm_qsft.errors import DatasetError

from .sets import LENGTHS, SUCCESSES, content

lerobot_dataset = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="lerobot is not installed")
LAST = np.cumsum(LENGTHS) - 1
# Without FFmpeg libraries torchcodec logs a page on every construction.
logging.getLogger("torchcodec").setLevel(logging.ERROR)


def load(root: Path):
    logging.disable(logging.WARNING)
    try:
        return lerobot_dataset.LeRobotDataset("local/labelled", root=root, video_backend="pyav")
    finally:
        logging.disable(logging.NOTSET)


def test_lerobot_loads_a_labelled_set_and_agrees_on_every_value(image_root: Path, pristine_images: Path):
    label_dataset(image_root, LabelRequest(rule="vgps", gamma=0.9, counterfactual=0.6, seed=1))
    reader, judged, before = DatasetReader(image_root), load(image_root), load(pristine_images)
    assert (judged.num_frames, judged.num_episodes) == (reader.n_frames, reader.n_episodes)
    assert reader.n_episodes == 7
    numbers = [*LABEL_DTYPES, "source.reward", "source.success", "next.done", "action", "index", "episode_index"]
    columns = {key: reader.column(key) for key in numbers}
    for row in range(reader.n_frames):
        item = judged[row]
        for key, values in columns.items():
            np.testing.assert_array_equal(item[key].numpy(), values[row], err_msg=f"{key}, frame {row}")
        assert item["task"] == reader.instruction(row)
        if row < before.num_frames:
            original = before[row]
            for key in ("observation.images.front", "action", "observation.state", "timestamp"):
                np.testing.assert_array_equal(item[key].numpy(), original[key].numpy())
            np.testing.assert_array_equal(item["source.reward"].numpy(), original["next.reward"].numpy())
    assert judged.meta.episodes["attributes/outcome_source"] == ["flag"] * 5 + ["counterfactual"] * 2
    assert set(judged.meta.stats) == set(judged.meta.features)


def test_a_foreign_set_keeps_its_rewards_and_flags_under_other_names(image_root: Path, pristine_images: Path):
    label_dataset(image_root, LabelRequest(rule="binary01"))
    before, after = (pq.read_table(next((root / "data").rglob("*.parquet"))) for root in (pristine_images, image_root))
    assert after.column("source.reward").to_pylist() == before.column("next.reward").to_pylist()
    assert after.column("source.success").to_pylist() == before.column("next.success").to_pylist()
    images = [table.column("observation.images.front").combine_chunks().field("bytes") for table in (before, after)]
    assert images[0].equals(images[1])
    info = json.loads((image_root / "meta/info.json").read_text())
    assert info["features"]["source.reward"]["dtype"] == "float32"
    assert info["features"]["mc_return"] == {"dtype": "float32", "shape": [1], "names": None}


def test_keep_scales_the_rewards_of_the_source_and_is_found_again_after_other_rules(image_root: Path):
    keep = LabelRequest(rule="keep", gamma=1.0, outcome=OutcomeRequest(("flag",)))
    with_terminations = LabelRequest(rule="keep", gamma=0.5, outcome=OutcomeRequest(("flag",)))
    summary = label_dataset(image_root, keep)
    reader = DatasetReader(image_root)
    source = reader.column("source.reward").astype(np.float64)
    # returns of the first episode, rewards 0 2 4 9, gamma 1: 15 15 13 9
    mapping = summary.settings.return_mapping
    np.testing.assert_allclose(mapping.raw_returns(reader.column("mc_return")[:4]), [15, 15, 13, 9], atol=1e-4)
    assert reader.column("mc_return").min() >= 0 and reader.column("mc_return").max() == pytest.approx(1)
    label_dataset(image_root, with_terminations)
    before = content(image_root)
    label_dataset(image_root, LabelRequest(rule="vgps", gamma=0.9))
    label_dataset(image_root, with_terminations)
    assert content(image_root) == before
    np.testing.assert_array_equal(DatasetReader(image_root).column("source.reward"), source)


def test_a_set_of_ours_has_no_rewards_to_keep(root: Path):
    with pytest.raises(DatasetError, match=r"no rewards of its source"):
        label_dataset(root, LabelRequest(rule="keep"))


def test_video_files_are_not_touched(video_root: Path):
    def state_of_videos() -> dict[Path, tuple[int, int, bytes]]:
        files = (video_root / "videos").rglob("*.mp4")
        return {path: (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes()) for path in files}

    videos = state_of_videos()
    label_dataset(video_root, LabelRequest(rule="recap", gamma=1.0, counterfactual=1.0))
    assert videos and state_of_videos() == videos
    judged, reader = load(video_root), DatasetReader(video_root)
    assert judged.num_episodes == reader.n_episodes == 8
    # the copy of episode 0 shows its frames
    first = int(reader.episodes.first_frame[5])
    assert reader.episodes.attributes["counterfactual_of"][5] == 0
    for frame in range(LENGTHS[0]):
        np.testing.assert_array_equal(reader.images(first + frame)["front"], reader.images(frame)["front"])
        picture = judged[first + frame]["observation.images.front"].numpy()
        np.testing.assert_array_equal(picture, judged[frame]["observation.images.front"].numpy())


def test_labels_of_a_foreign_set_by_hand(video_root: Path):
    label_dataset(video_root, LabelRequest(rule="binary01", gamma=0.5))
    reader = DatasetReader(video_root)
    reward = np.zeros(sum(LENGTHS))
    reward[LAST] = SUCCESSES
    np.testing.assert_array_equal(reader.column("next.reward"), reward)
    np.testing.assert_array_equal(reader.column("next.truncated")[LAST], ~np.array(SUCCESSES))
    assert reader.episodes.attributes["recorded_success"] == SUCCESSES


def test_the_same_request_twice_gives_the_same_bytes(video_root: Path):
    request = LabelRequest(rule="keep", gamma=0.9, counterfactual=0.5)
    label_dataset(video_root, request)
    before = content(video_root)
    assert not label_dataset(video_root, request).changed
    assert content(video_root) == before
