from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from qsft_sim.recording import RecordingSettings, record, record_episode, recording_jobs
from vlm_qsft.errors import InvalidSetting, UnknownName

from .killed import run_until_killed

SMALL = RecordingSettings(
    episodes=6, mixture={"expert": 1, "poor": 1}, tasks=("pick", "near"), image_size=(16, 16), n_distractors=(1, 1)
)


def bytes_of(folder: Path) -> dict[str, str]:
    """Return the hash of every file of a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_any_number_of_processes_records_the_same_bytes(tmp_path: Path) -> None:
    counted: list[tuple[int, int]] = []
    record(tmp_path / "one", SMALL, workers=1, progress=lambda complete, total: counted.append((complete, total)))
    record(tmp_path / "two", SMALL, workers=2)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two") != {}
    assert counted == [(number, 6) for number in range(1, 7)]


def test_a_recorder_that_was_killed_continues_and_gives_the_same_bytes(tmp_path: Path) -> None:
    record(tmp_path / "whole", SMALL, workers=1)
    run_until_killed(
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from qsft_sim.recording import RecordingSettings, record\n"
        "settings = RecordingSettings(episodes=6, mixture={'expert': 1, 'poor': 1}, tasks=('pick', 'near'),\n"
        "    image_size=(16, 16), n_distractors=(1, 1))\n"
        "def die_after_two(complete, total):\n"
        "    if complete == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "if __name__ == '__main__':\n"
        "    record(Path(sys.argv[1]), settings, workers=2, progress=die_after_two)\n",
        tmp_path / "killed",
    )
    assert not (tmp_path / "killed" / "meta").exists()
    record(tmp_path / "killed", SMALL, workers=1)
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")


def test_a_recording_with_other_settings_is_refused_in_the_same_folder(tmp_path: Path) -> None:
    record(tmp_path, RecordingSettings(episodes=1, mixture={"expert": 1}, image_size=(8, 8)))
    with pytest.raises(InvalidSetting, match="seed was 0, is 1 now"):
        record(tmp_path, RecordingSettings(episodes=1, mixture={"expert": 1}, image_size=(8, 8), seed=1))


def test_the_data_set_says_who_demonstrated_what_and_how_it_was_made(tmp_path: Path) -> None:
    record(tmp_path, SMALL)
    episodes = pq.read_table(next((tmp_path / "meta" / "episodes").rglob("*.parquet"))).to_pylist()
    assert [row["attributes/task"] for row in episodes] == ["pick", "near"] * 3
    assert {row["attributes/quality"] for row in episodes} <= {"expert", "poor"}
    assert all(isinstance(row["attributes/wrong_object"], bool) for row in episodes)
    assert len({row["attributes/seed"] for row in episodes}) == 6
    recipe = json.loads((tmp_path / "meta" / "labels.json").read_text())["recipe"]
    assert {"mujoco", "back_end", "seed", "variant"} <= set(recipe)


def test_an_expert_episode_is_labelled_as_a_success_with_reward_on_its_last_step() -> None:
    settings = RecordingSettings(episodes=1, mixture={"expert": 1}, image_size=(8, 8))
    episode = record_episode(settings.environment, recording_jobs(settings)[0])
    assert episode.success and episode.terminated and not episode.truncated
    assert np.asarray(episode.reward).tolist() == [0.0] * (episode.length - 1) + [1.0]
    assert episode.action.shape == (episode.length, 5) and np.abs(episode.action).max() <= 1
    assert str(episode.instruction).startswith("pick up the ")


def test_a_failed_episode_is_truncated_at_forty_steps_without_reward() -> None:
    settings = RecordingSettings(episodes=12, mixture={"poor": 1}, image_size=(8, 8))
    made = (record_episode(settings.environment, job) for job in recording_jobs(settings))
    failed = next(episode for episode in made if not episode.success)
    assert failed.truncated and not failed.terminated
    assert failed.length == 40 and np.asarray(failed.reward).tolist() == [0.0] * 40


def test_the_pictures_of_a_row_show_the_table_before_its_action() -> None:
    settings = RecordingSettings(episodes=1, mixture={"expert": 1}, image_size=(8, 8), cameras=("wrist",))
    episode = record_episode(settings.environment, recording_jobs(settings)[0])
    # The commanded height before the first action is that of the first posture; the first move changes row 1.
    heights = np.asarray(episode.state)[:, 2]
    assert heights[1] - heights[0] == pytest.approx(0.05 * episode.action[0, 2], abs=1e-6)


def test_the_mixture_is_drawn_with_its_weights_and_stays_when_more_episodes_are_asked_for() -> None:
    jobs = recording_jobs(RecordingSettings(episodes=4000, mixture={"expert": 1, "noisy": 3}))
    counts = Counter(job.quality for job in jobs)
    # Four standard deviations of a draw of 4,000 with odds of 1 in 4 are 0.027.
    assert counts["expert"] / 4000 == pytest.approx(0.25, abs=0.027)
    assert recording_jobs(RecordingSettings(episodes=100, mixture={"expert": 1, "noisy": 3})) == jobs[:100]


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"episodes": 0}, InvalidSetting, "at least one episode"),
        ({"mixture": {"expert": 0.0}}, InvalidSetting, "weights"),
        ({"mixture": {"perfect": 1.0}}, UnknownName, "distracted"),
        ({"tasks": ("stack",)}, UnknownName, "near, pick"),
        ({"cameras": ()}, InvalidSetting, "at least one"),
        ({"cameras": ("rear",)}, UnknownName, "front"),
    ],
)
def test_impossible_recordings_are_refused_before_anything_is_written(wrong: dict, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        RecordingSettings(**{"episodes": 1, **wrong})
