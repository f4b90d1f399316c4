"""float64 state and action, kept columns, an instruction per frame: stored bit by bit, and LeRobot agrees."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vlm_qsft.data import DatasetReader, DatasetSchema, DatasetWriter, Episode
from vlm_qsft.data.schema import KeptColumn
from vlm_qsft.errors import DatasetError, InvalidSetting, NotFinite, ShapeMismatch

from .scripted import LABELS, scripted_episode

pytestmark = pytest.mark.usefixtures("without_warnings_of_lerobot")

KEPT = {
    "observation.force": KeptColumn("float64", 3),
    "contact": KeptColumn("bool", 1),
    "stamp_ns": KeptColumn("int64", 1),
    "embedding": KeptColumn("float32", 2),
}
SCHEMA = DatasetSchema(
    cameras={"front": (16, 24)},
    state_names=("x", "y", "z"),
    action_names=("dx", "gripper"),
    fps=Fraction(25, 2),
    state_dtype="float64",
    kept=KEPT,
)
TEXTS = ("reach", "grasp")


def full_episode(seed: int) -> Episode:
    """An episode whose numbers float32 cannot hold, and whose instruction changes at half of it."""
    generator = np.random.default_rng(seed)
    episode = scripted_episode(seed)
    length = episode.length
    return replace(
        episode,
        images={"front": episode.images["front"]},
        state=generator.normal(size=(length, 3)) + 1e-12,
        instruction=[TEXTS[frame >= length // 2] if seed else TEXTS[0] for frame in range(length)],
        kept={
            "observation.force": generator.normal(size=(length, 3)) * 1e30,
            "contact": generator.random((length, 1)) > 0.5,
            "stamp_ns": np.int64(1_700_000_000_000_000_001) + np.arange(length)[:, None],
            "embedding": generator.normal(size=(length, 2)).astype(np.float32),
        },
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other") / "set"
    with DatasetWriter(folder, SCHEMA, labels=LABELS) as writer:
        for seed in range(3):
            writer.add_episode(full_episode(seed))
        writer.finalize()
    return folder


def test_every_number_comes_back_in_its_own_type(root: Path) -> None:
    reader = DatasetReader(root)
    assert reader.schema == SCHEMA
    episodes = [full_episode(seed) for seed in range(3)]
    expected = {"observation.state": np.concatenate([episode.state for episode in episodes])}
    expected |= {key: np.concatenate([episode.kept[key] for episode in episodes]) for key in KEPT}
    for key, values in expected.items():
        stored = reader.stored_column(key)
        assert stored.dtype == values.dtype
        np.testing.assert_array_equal(stored, values)
    assert reader.column("observation.state").dtype == np.float32


def test_the_instruction_of_every_frame_comes_back(root: Path) -> None:
    reader = DatasetReader(root)
    told = [text for seed in range(3) for text in full_episode(seed).instruction]
    assert [reader.instruction(row) for row in range(reader.n_frames)] == told
    assert reader.episodes.instruction == ("reach", "reach", "reach")


def test_lerobot_agrees_on_every_value(root: Path) -> None:
    lerobot_dataset = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="lerobot is not installed")
    reader = DatasetReader(root)
    judged = lerobot_dataset.LeRobotDataset("local/other", root=root)
    assert judged.meta.fps == 12.5
    assert judged.meta.episodes["tasks"] == [["reach"], ["reach", "grasp"], ["reach", "grasp"]]
    columns = {key: reader.stored_column(key) for key in ("observation.state", "action", *KEPT)}
    for row in range(reader.n_frames):
        item = judged[row]
        for key, values in columns.items():
            # torch has no float64 default: LeRobot hands out what the column holds, in its own type or as float32
            theirs = item[key].numpy().reshape(-1)
            np.testing.assert_array_equal(theirs, values[row].astype(theirs.dtype), err_msg=key)
        assert item["stamp_ns"].item() == columns["stamp_ns"][row, 0]
        assert item["task"] == reader.instruction(row)


def test_a_schema_with_kept_columns_survives_its_json_and_a_plain_one_has_no_new_fields() -> None:
    assert DatasetSchema.from_json(SCHEMA.to_json()) == SCHEMA
    plain = DatasetSchema({}, (), ("dx",), Fraction(5))
    assert "kept" not in plain.to_json() and "dtype" not in plain.to_json()


@pytest.mark.parametrize("key", ["action", "next.reward", "observation.images.x", "a/b", "", "language_events", "ü b"])
def test_a_kept_column_may_not_take_the_place_of_another(key: str) -> None:
    with pytest.raises(InvalidSetting, match="Kept column"):
        replace(SCHEMA, kept={key: KeptColumn("float32", 1)})


def test_kept_columns_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    episode = full_episode(1)
    with DatasetWriter(tmp_path, SCHEMA, labels=LABELS) as writer:
        lacking = {key: values for key, values in episode.kept.items() if key != "contact"}
        with pytest.raises(DatasetError, match=r"keeps embedding, observation\.force, stamp_ns"):
            writer.add_episode(replace(episode, kept=lacking))
        with pytest.raises(ShapeMismatch, match=r"'embedding' has float64 \(4, 2\); expected float32 \(4, 2\)"):
            writer.add_episode(replace(episode, kept={**episode.kept, "embedding": np.zeros((4, 2))}))
        holes = episode.kept["observation.force"].copy()
        holes[2, 1] = np.nan
        with pytest.raises(NotFinite, match=r"'observation\.force' is nan at place 1 in frame 2"):
            writer.add_episode(replace(episode, kept={**episode.kept, "observation.force": holes}))
        with pytest.raises(ShapeMismatch, match="3 instructions for 4 frames"):
            writer.add_episode(replace(episode, instruction=["a", "b", "c"]))
        assert writer.n_episodes == 0
