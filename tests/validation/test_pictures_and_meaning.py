"""Checks of cameras, videos, labels, instructions, actions and grippers, each on a set that is broken by hand."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qsft_datasets.labeling import LabelRequest, OutcomeRequest, label_dataset
from qsft_datasets.validation.check_action_meaning import stem
from vlm_qsft.data import DatasetSchema

from .sets import (
    LENGTH,
    SCHEMA,
    edit_episodes,
    edit_frames,
    edit_json,
    facts,
    findings,
    only,
    with_action,
    write_set,
)


def with_camera(made, camera: str, pictures: np.ndarray):
    return replace(made, images={**made.images, camera: pictures})


def test_a_camera_that_is_black_everywhere_is_an_error(tmp_path: Path):
    black = np.full((LENGTH, 16, 16, 3), 3, np.uint8)
    finding = only(write_set(tmp_path / "set", lambda n, made: with_camera(made, "wrist", black)), "cameras")
    assert (finding.level, finding.message) == ("error", "Camera 'wrist' is black in 6 of 6 sampled episodes.")


def test_a_camera_that_is_of_one_colour_somewhere_is_a_warning(tmp_path: Path):
    grey = np.full((LENGTH, 16, 16, 3), 99, np.uint8)
    root = write_set(tmp_path / "set", lambda n, made: with_camera(made, "wrist", grey) if n == 4 else made)
    finding = only(root, "cameras")
    assert (finding.level, finding.episode) == ("warning", 4)
    assert finding.message == "Camera 'wrist' is of one colour in 1 of 6 sampled episodes."


def test_a_camera_that_is_frozen(tmp_path: Path):
    def freeze(number, made):
        return with_camera(made, "front", np.repeat(made.images["front"][:1], LENGTH, axis=0)) if number < 2 else made

    finding = only(write_set(tmp_path / "set", freeze), "cameras")
    assert (finding.level, finding.episodes) == ("warning", (0, 1))
    assert "frozen in 2 of 6 sampled episodes: the same picture from the first frame to the last" in finding.message


def test_a_still_picture_of_a_robot_that_stands_still_is_no_finding(tmp_path: Path):
    def still(number, made):
        if number:
            return made
        made = with_camera(made, "front", np.repeat(made.images["front"][:1], LENGTH, axis=0))
        for dimension in range(3):
            made = with_action(made, dimension, 0.0)
        return made

    assert findings(write_set(tmp_path / "set", still), "cameras") == []


def test_a_picture_that_is_missing_or_damaged(root: Path):
    def edit(columns: dict[str, Any]) -> None:
        columns["observation.images.front"][2 * LENGTH] = {"bytes": b"\x89PNG but no more", "path": None}
        columns["observation.images.wrist"][5 * LENGTH] = {"bytes": None, "path": "somewhere.png"}

    found = findings(edit_frames(root, edit), "cameras")
    assert [(finding.level, finding.episode, finding.frame) for finding in found] == [("error", 2, 0), ("error", 5, 0)]
    assert "no readable PNG or JPEG" in found[0].message and "has no picture" in found[1].message


def test_a_picture_of_another_size_and_a_camera_under_two_names(root: Path, tmp_path: Path):
    edit_json(root, "info.json", lambda info: info["features"]["observation.images.front"].update(shape=[48, 32, 3]))
    assert "has a picture of 24 x 32; meta/info.json declares 48 x 32" in only(root, "cameras").message
    schema = DatasetSchema({"a": (24, 32), "b": (24, 32)}, SCHEMA.state_names, SCHEMA.action_names, Fraction(10))

    def twice(number, made):
        return replace(made, images={"a": made.images["front"], "b": made.images["front"]})

    assert only(write_set(tmp_path / "two", twice, schema=schema), "cameras").message == (
        "Cameras 'a' and 'b' show the same pictures."
    )


def test_instructions_that_are_empty_or_say_nothing(tmp_path: Path):
    texts = ("pick the red cube", "", "Default.", "open the drawer", " ", "push it")
    root = write_set(tmp_path / "set", lambda number, made: replace(made, instruction=texts[number]))
    found = findings(root, "instructions")
    assert [(finding.level, finding.episodes) for finding in found] == [("warning", (1, 4)), ("warning", (2,))]
    assert "'Default.' says nothing" in found[1].message


def test_frames_that_are_told_something_else_than_their_episode(root: Path):
    def edit(columns: dict[str, Any]) -> None:
        columns["task_index"][3 * LENGTH : 4 * LENGTH] = [2] * LENGTH

    finding = only(edit_frames(root, edit), "instructions")
    assert (finding.level, finding.episode) == ("error", 3)
    assert finding.message == ("The frames are told 'push the ball', the episode table says 'pick the red cube'.")
    edit_frames(root, lambda columns: columns["task_index"].__setitem__(5, 9))
    assert "task_index 9; meta/tasks.parquet lists 3 tasks" in only(root, "instructions").message


def test_outcomes_without_failures_without_successes_and_without_labels(root: Path):
    for source, message in (("assume-success", "Every episode is a success"), ("assume-failure", "No episode is a")):
        label_dataset(root, LabelRequest(rule="binary01", outcome=OutcomeRequest((source,))))
        found = findings(root, "outcomes")
        assert [finding.level for finding in found] == ["warning", "warning"]
        assert found[0].message.startswith(message)
        assert found[1].message == "The outcome of 6 episodes is assumed, not known."
    edit_json(root, "info.json", lambda info: info["features"].pop("mc_return"))
    assert only(root, "outcomes").message == "The data set has no labels (missing: mc_return): it is good for SFT only."


def test_counterfactual_copies_are_no_duplicates_and_do_not_change_the_success_rate(root: Path):
    label_dataset(root, LabelRequest(rule="binary01", counterfactual=1.0))
    assert findings(root, "duplicates") == []
    assert facts(root, "outcomes")["success rate"] == "50.0% (3 of 6 recorded episodes, and 3 counterfactual failures)"


@pytest.mark.parametrize("rule", ["binary01", "vgps", "recap"])
def test_every_rule_passes_the_checks_of_flags_and_returns(root: Path, rule: str):
    label_dataset(root, LabelRequest(rule=rule, gamma=0.9, counterfactual=0.5))
    for check in ("flags", "returns", "statistics", "counts", "features"):
        assert findings(root, check) == [], check


def test_flags_that_contradict_each_other(root: Path):
    last = [LENGTH * (number + 1) - 1 for number in range(6)]

    def edit(columns: dict[str, Any]) -> None:
        columns["next.truncated"][last[0]] = True  # beside terminated
        columns["next.truncated"][last[1]] = False  # neither
        columns["next.terminated"][last[2] - 4] = True  # in the middle
        columns["next.success"][last[3]] = True  # the table says failure
        columns["next.success"][4 * LENGTH : 5 * LENGTH] = [True] * LENGTH

    found = {finding.message.split(":")[0][:60]: finding for finding in findings(edit_frames(root, edit), "flags")}
    places = {message: (finding.level, finding.episode) for message, finding in found.items()}
    assert places == {
        "'next.terminated' is set before the end of an episode, 1 tim": ("error", 2),
        "An episode ends neither terminated nor truncated.": ("error", 1),
        "An episode ends terminated and truncated": ("warning", 0),
        "'next.success' on the last frame contradicts 'success' of th": ("error", 3),
        "'next.truncated' on the last frame contradicts 'truncated' o": ("error", 0),
        "'next.success' is set on every frame of an episode": ("warning", 4),
    }


def test_a_success_that_was_cut_off_is_a_warning(root: Path):
    def edit(columns: dict[str, Any]) -> None:
        columns["terminated"][2], columns["truncated"][2] = False, True

    finding = next(f for f in findings(edit_episodes(root, edit), "flags") if f.message.startswith("A success was"))
    assert (finding.level, finding.episode) == ("warning", 2)


def test_returns_outside_the_unit_interval_and_at_odds_with_rewards(root: Path):
    def edit(columns: dict[str, Any]) -> None:
        columns["mc_return"][LENGTH + 2] = 1.5

    found = findings(edit_frames(root, edit), "returns")
    assert [(finding.level, finding.episode, finding.frame) for finding in found] == [("error", 1, 2)] * 2
    assert "The return is 1.5; Q-SFT needs every return in [0, 1]" in found[0].message
    assert "the rewards, discounted by 0.9, sum to 0" in found[1].message


def test_rewards_that_contradict_the_rule(root: Path):
    edit_json(root, "labels.json", lambda labels: labels.update(reward_rule="vgps"))
    found = findings(root, "returns")
    assert found[-1].message == "The rewards contradict rule 'vgps' and the outcome of the episode."
    (root / "meta/labels.json").unlink()
    assert "meta/labels.json is missing" in findings(root, "returns")[0].message


def test_duplicates_within_a_split_and_between_two(tmp_path: Path):
    def repeat(number, made):
        from .sets import episode

        return replace(episode(1), images=made.images) if number == 4 else made

    root = write_set(tmp_path / "set", repeat)
    finding = only(root, "duplicates")
    assert (finding.level, finding.episodes) == ("warning", (4,))
    edit_json(root, "info.json", lambda info: info.update(splits={"train": "0:4", "val": "4:6"}))
    finding = only(root, "duplicates")
    assert (finding.level, finding.episodes) == ("error", (1, 4))
    assert "1 in 'train', 4 in 'val'" in finding.message


def test_first_actions_of_zero_and_padded_last_ones(tmp_path: Path):
    def pad(number, made):
        action = made.action.copy()
        action[0] = 0.0
        action[-1] = 0.0
        return replace(made, action=action)

    found = findings(write_set(tmp_path / "set", pad), "first actions")
    assert [finding.message[:60] for finding in found] == [
        "The first action is zero in 100% of the episodes, others in ",
        "The last action is zero in 100% of the episodes, others in 0",
    ]


def test_an_action_that_is_the_next_state_is_absolute_whatever_its_name_says(tmp_path: Path):
    def absolute(number, made):
        after = np.concatenate([made.state[1:], made.state[-1:]])
        return with_action(with_action(made, 0, after[:, 0]), 1, after[:, 1])

    root = write_set(tmp_path / "set", absolute)
    found = findings(root, "action meaning")
    assert [finding.message[:40] for finding in found] == [
        "Action 'dx' follows the state itself (co", "Action 'dy' follows the state itself (co",
    ]  # fmt: skip
    assert facts(root, "action meaning")["action meaning"].startswith("2 absolute: dx, dy (correlation with the state")


def test_an_action_that_moves_the_state_is_a_delta(good: Path):
    assert facts(good, "action meaning")["action meaning"].startswith("2 delta: dx, dy")


def test_a_velocity_moves_the_state_by_its_value_times_the_period(tmp_path: Path):
    root = write_set(tmp_path / "set", lambda n, made: with_action(made, 0, made.action[:, 0] * 10))
    assert "1 velocity: dx" in facts(root, "action meaning")["action meaning"]


def test_an_action_of_the_wrong_sign_and_a_mixture(tmp_path: Path):
    def turn(number, made):
        after = np.concatenate([made.state[1:, 1], made.state[-1:, 1]])
        return with_action(with_action(made, 0, -made.action[:, 0]), 1, after)

    messages = [finding.message for finding in findings(write_set(tmp_path / "set", turn), "action meaning")]
    assert any(message.startswith("Action 'dx' moves the state the other way") for message in messages)
    assert any(message == "Some actions are absolute (dy), others changes (dx)." for message in messages)


def test_a_declared_meaning_is_compared_with_the_measured_one(root: Path):
    edit_json(root, "labels.json", lambda labels: labels.update(action_meaning={"dx": "absolute", "dy": "delta"}))
    finding = only(root, "action meaning")
    assert (finding.level, finding.message) == ("error", "Action 'dx' is declared absolute and measured delta.")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("dx", "x"), ("delta_x", "x"), ("vel_x", "x"), ("x", "x"), ("droll", "roll"), ("shoulder_pan.pos", "shoulder_pan"),
     ("depth", "depth"), ("dof", "dof"), ("target_joint_1", "joint_1")],
)  # fmt: skip
def test_names_that_belong_together(name: str, expected: str):
    assert stem(name) == expected


def test_a_gripper_that_closes_upwards_in_some_episodes_is_an_error(tmp_path: Path):
    root = write_set(tmp_path / "set", lambda n, made: with_action(made, 2, -made.action[:, 2]) if n < 2 else made)
    finding = only(root, "gripper")
    assert (finding.level, finding.episodes) == ("error", (0, 1))


def test_a_gripper_of_the_other_sign_everywhere_is_a_warning(tmp_path: Path):
    root = write_set(tmp_path / "set", lambda n, made: with_action(made, 2, -made.action[:, 2]))
    finding = only(root, "gripper")
    assert finding.level == "warning" and "go opposite ways" in finding.message


def test_a_gripper_of_two_ranges_is_a_warning(tmp_path: Path):
    root = write_set(tmp_path / "set", lambda n, made: with_action(made, 2, made.action[:, 2] > 0) if n == 3 else made)
    finding = only(root, "gripper")
    assert (finding.level, finding.episodes) == ("warning", (3,))
    assert "from -1 to 1 in 5 episodes and from 0 to 1 in 1" in finding.message


@pytest.fixture(scope="session")
def pristine_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lerobot = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="lerobot is not installed")
    root = tmp_path_factory.mktemp("video") / "set"
    features = {
        "observation.images.front": {"dtype": "video", "shape": (64, 64, 3), "names": ["height", "width", "channels"]},
        "observation.state": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
        "action": {"dtype": "float32", "shape": (2,), "names": ["dx", "dy"]},
    }
    logging.disable(logging.WARNING)
    theirs = lerobot.LeRobotDataset.create("local/video", fps=10, features=features, root=root)
    generator = np.random.default_rng(0)
    for number in range(3):
        for _ in range(12):
            image = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
            numbers = generator.normal(size=(2, 2)).astype(np.float32)
            frame = {"observation.images.front": image, "observation.state": numbers[0], "action": numbers[1]}
            theirs.add_frame({**frame, "task": f"task {number}"})
        theirs.save_episode()
    theirs.finalize()
    logging.disable(logging.NOTSET)
    return root


def test_a_set_of_videos_passes_and_a_wrong_description_does_not(pristine_video: Path, tmp_path: Path):
    root = Path(shutil.copytree(pristine_video, tmp_path / "set"))
    for check in ("videos", "cameras", "counts", "features", "time", "flags", "returns"):
        assert findings(root, check) == [], check
    info = json.loads((root / "meta/info.json").read_text())
    note = info["features"]["observation.images.front"]["info"]
    codec = note["video.codec"]
    note["video.codec"] = "mp4v"
    info["features"]["observation.images.front"]["shape"] = [32, 64, 3]
    (root / "meta/info.json").write_text(json.dumps(info))
    messages = [finding.message for finding in findings(root, "videos")]
    assert messages[0].startswith("Another codec: videos/") and f"is {codec}; meta/info.json says mp4v" in messages[0]
    assert "is 64 x 64 (height x width); meta/info.json declares 32 x 64" in messages[1]


def test_videos_that_are_missing_cut_off_or_too_short(pristine_video: Path, tmp_path: Path):
    root = Path(shutil.copytree(pristine_video, tmp_path / "set"))
    video = next((root / "videos").rglob("*.mp4"))
    edit_episodes(root, lambda table: table["videos/observation.images.front/to_timestamp"].__setitem__(2, 9.0))
    finding = only(root, "videos")
    assert finding.message.startswith("Too short: ") and "lasts 3.60 s; its episodes need 9.00 s" in finding.message
    assert finding.episodes == (2,)
    edit_episodes(root, lambda table: table["videos/observation.images.front/to_timestamp"].__setitem__(2, 3.6))
    assert findings(root, "videos") == []
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    assert only(root, "videos").message.startswith("Unreadable video: ")
    video.unlink()
    finding = only(root, "videos")
    assert finding.message.endswith("file-000.mp4 is missing.") and finding.episodes == (0, 1, 2)
    assert findings(root, "cameras")[0].level == "error"
