"""The real third-party sets beside the repository: every array equal to pyarrow's, every frame to PyAV's."""

from __future__ import annotations

import pickle
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from qsft_datasets.lerobot import open_source, recognise
from qsft_datasets.source import VideoStretch
from vlm_qsft.data.video_stretch import keeps_rate, stretch_frames, stretch_times
from vlm_qsft.errors import DatasetError

SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "data" / "lerobot"
pytestmark = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="The third-party samples are not beside this repository (../shared/data/lerobot)."
)
WHOLE = ("g1_av1_v21_subset", "gr00t_picknplace_v20")


@pytest.mark.parametrize("name", WHOLE)
def test_every_number_of_every_episode_equals_pyarrow(name: str):
    source = open_source(SAMPLES / name)
    references = source.references()
    files = sorted((SAMPLES / name / "data/chunk-000").glob("*.parquet"))
    assert [reference.file for reference in references] == [f"data/chunk-000/{file.name}" for file in files]
    for reference, file in zip(references, files, strict=True):
        episode, table = source.read(reference), pq.read_table(file)
        assert episode.length == len(table)
        numbers = {key: value for key, value in episode.steps.items() if isinstance(value, np.ndarray)}
        assert {"observation.state", "action", "timestamp"} <= set(numbers)
        for key, values in numbers.items():
            expected = np.array(table.column(key).to_pylist(), dtype=values.dtype)
            np.testing.assert_array_equal(values, expected)
            inner = table.schema.field(key).type
            inner = inner.value_type if hasattr(inner, "value_type") else inner
            assert np.dtype(inner.to_pandas_dtype()) == values.dtype
        given = {*episode.steps, "frame_index", "episode_index", "index", "task_index"}
        assert set(table.column_names) <= given


@pytest.mark.parametrize("name", WHOLE)
def test_every_instruction_is_the_task_that_the_row_names(name: str):
    source = open_source(SAMPLES / name)
    for reference in source.references():
        texts = source.read(reference).steps["task"]
        assert isinstance(texts, list)
        assert len(set(texts)) == 1 and len(texts[0]) > 10
        listed = (SAMPLES / name / "meta/episodes.jsonl").read_text().splitlines()[int(reference.position[0])]
        assert f'"{texts[0]}"' in listed


@pytest.mark.parametrize(("name", "n_episodes"), [("g1_av1_v21_subset", 1), ("gr00t_picknplace_v20", 5)])
def test_every_frame_equals_pyav_and_the_count_is_the_steps(name: str, n_episodes: int):
    source = open_source(SAMPLES / name)
    for reference in source.references()[:n_episodes]:
        episode = source.read(reference)
        stretches = [value for value in episode.steps.values() if isinstance(value, VideoStretch)]
        assert len(stretches) == 1
        stretch = stretches[0]
        assert stretch.n_frames == episode.length
        ours = stretch_frames(stretch.path, stretch.from_s, stretch.to_s, stretch.n_frames)
        with av.open(str(stretch.path)) as container:
            for mine, theirs in zip(ours, container.decode(video=0), strict=True):
                np.testing.assert_array_equal(mine, theirs.to_ndarray(format="rgb24"))


@pytest.mark.parametrize("name", WHOLE)
def test_the_videos_can_be_copied_as_they_are(name: str):
    source = open_source(SAMPLES / name)
    fps = source.description.fps
    assert fps is not None
    for reference in source.references():
        for value in source.read(reference).steps.values():
            if isinstance(value, VideoStretch):
                times = stretch_times(value.path, value.from_s, value.to_s, value.n_frames)
                assert keeps_rate(times, fps)


def test_gr00t_is_described_as_its_files_are_and_not_as_its_metadata_says():
    description = open_source(SAMPLES / "gr00t_picknplace_v20").description
    assert (description.format, description.fps, description.robot_type) == (
        "lerobot-v2.0",
        Fraction(20),
        "GR1ArmsOnly",
    )
    assert description.feature("observation.images.ego_view").shape == (256, 256, 3)
    assert description.feature("observation.state").dtype == "float64"
    assert description.feature("next.reward").shape == ()
    notes = "\n".join(description.notes)
    assert "'observation.images.egoview' (video), which has no file" in notes
    assert "finds 1 of 5; the usual 'data/chunk-{episode_chunk:03d}" in notes
    assert "split 'train' ends at episode 100" in notes
    assert "observation.images.egoview" not in [feature.path for feature in description.features]


def test_gr00t_tells_validity_and_description_apart_in_every_step():
    source = open_source(SAMPLES / "gr00t_picknplace_v20")
    episode = source.read(source.references()[2])
    description = "pick the meat from the counter and place it in the plate"
    assert episode.steps["annotation.human.action.task_description"] == [description] * 470
    assert episode.steps["annotation.human.validity"] == ["valid"] * 470
    assert episode.episode == {"episodes/tasks": f"{description}\nvalid"}


def test_gr00t_time_stamps_that_begin_a_step_late_are_reported_and_move_no_picture():
    source = open_source(SAMPLES / "gr00t_picknplace_v20")
    episode = source.read(source.references()[0])
    assert episode.gaps == ("timestamp: begins at 0.050 s, not at 0; steps and pictures are matched by order.",)
    stretch = episode.steps["observation.images.ego_view"]
    assert isinstance(stretch, VideoStretch)
    assert (stretch.from_s, stretch.n_frames) == (0.0, 416)


def test_the_set_without_data_is_refused_and_says_that_its_data_are_missing():
    root = SAMPLES / "franka_pickplace_v30_broken"
    assert recognise(root)
    source = open_source(root)
    reason = r"episode_000000\.parquet is missing: the metadata names 10 data files and none of them exists"
    for ask in (source.references, lambda: source.description):
        with pytest.raises(DatasetError, match=reason):
            ask()


def test_a_source_travels_to_another_process_and_reads_the_same():
    source = open_source(SAMPLES / "g1_av1_v21_subset")
    first = source.read(source.references()[1])
    copy = pickle.loads(pickle.dumps(source))
    again = copy.read(pickle.loads(pickle.dumps(source.references()[1])))
    np.testing.assert_array_equal(first.steps["action"], again.steps["action"])
    assert again.steps["observation.images.cam_high"] == first.steps["observation.images.cam_high"]


def test_nothing_is_written_into_a_source(tmp_path: Path):
    root = tmp_path / "set"
    shutil.copytree(SAMPLES / "g1_av1_v21_subset", root)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    source = open_source(root)
    for reference in source.references():
        source.read(reference)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
