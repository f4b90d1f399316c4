"""Proposals: what the numbers tell is found, what they do not tell is left to a person, and nothing is forgotten."""

from __future__ import annotations

import warnings
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from qsft_datasets.action_evidence import action_meaning, find_grippers
from qsft_datasets.coverage import check_fit
from qsft_datasets.mapping import Mapping
from qsft_datasets.mapping_file import parse_mapping
from qsft_datasets.proposal import propose
from qsft_datasets.sampling import sample_episodes
from qsft_datasets.source import SourceFeature
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.images import encode_png

from .scripted_source import FEATURES, SIZE, STEPS, ScriptedSource


def trajectories(
    kind: str, *, fps: float = 10.0, seed: int = 0, episodes: int = 5
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random walks of three numbers, and the actions of one meaning that led to them (almost)."""
    generator = np.random.default_rng(seed)
    pairs = []
    for _ in range(episodes):
        moves = generator.normal(size=(40, 3)) * 0.02
        state = np.concatenate([generator.normal(size=(1, 3)), np.zeros((39, 3))])
        state[1:] = state[0] + np.cumsum(moves[:-1], axis=0)
        following = np.concatenate([state[1:], state[-1:]])
        action = {
            "absolute": following + generator.normal(size=state.shape) * 0.001,
            "delta": moves,
            "velocity": moves * fps,
            "scaled": moves * 50,
            "noise": generator.normal(size=state.shape),
        }[kind]
        pairs.append((action, state))
    return pairs


@pytest.mark.parametrize(
    ("kind", "meaning"),
    [("absolute", "absolute"), ("delta", "delta"), ("velocity", "velocity"), ("scaled", "delta"), ("noise", None)],
)
def test_the_meaning_of_an_action_is_found_in_its_numbers(kind: str, meaning: str | None) -> None:
    assert action_meaning(trajectories(kind), grippers=(), fps=Fraction(10)).meaning == meaning


def test_without_a_rate_a_velocity_is_only_a_change() -> None:
    assert action_meaning(trajectories("velocity"), grippers=(), fps=None).meaning == "delta"


def test_a_constant_action_decides_nothing() -> None:
    pairs = [(np.ones_like(action), state) for action, state in trajectories("delta")]
    evidence = action_meaning(pairs, grippers=(), fps=None)
    assert (evidence.meaning, evidence.reason) == (None, "every number is constant")


def with_fingers(sign: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """A last number of -1 and 1, after which two fingers move against each other; +1 opens for sign = 1."""
    pairs = []
    for action, state in trajectories("delta"):
        command = np.where(np.arange(40) % 20 < 10, 1.0, -1.0)
        width = np.concatenate([[0.04], np.where(sign * command[:-1] > 0, 0.04, 0.0)])
        pairs.append(
            (
                np.concatenate([action, command[:, None]], axis=1),
                np.concatenate([state, np.stack([width, -width], 1)], 1),
            )
        )
    return pairs


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_two_fingers_tell_which_way_the_gripper_opens(sign: float) -> None:
    names = ("x", "y", "z", "gripper_qpos_0", "gripper_qpos_1")
    (gripper,) = find_grippers(with_fingers(sign), ("a", "b", "c", "d"), names)
    assert (gripper.column, gripper.low, gripper.high, gripper.opens_high) == (3, -1.0, 1.0, sign > 0)


def test_a_single_gripper_number_does_not_tell_which_way_it_opens() -> None:
    pairs = [(action, state[:, :4]) for action, state in with_fingers(1.0)]
    (gripper,) = find_grippers(pairs, ("a", "b", "c", "d"), ("x", "y", "z", "gripper"))
    assert gripper.opens_high is None


def decided(text: str, **words: str) -> Mapping:
    """The proposal after a person has replaced every `decide`."""
    for place, word in words.items():
        before = f"{place}: decide"
        assert before in text, text
        text = text.replace(before, f"{place}: {word}")
    return parse_mapping(text, "proposal.yaml")


def test_the_proposal_of_the_scripted_set_needs_three_decisions_and_fits(source: ScriptedSource) -> None:
    text = propose(source.description, sample_episodes(source))
    with pytest.raises(
        InvalidSetting, match=r"fps \(line \d+\), gripper\[0\]\.open \(line \d+\), gripper\[0\]\.closed"
    ):
        parse_mapping(text, "proposal.yaml")
    mapping = decided(text, fps="5", open="1", closed="0")
    check_fit(mapping, source.description)
    assert [camera.name for camera in mapping.cameras] == ["image_0", "wrist"]
    assert [(part.path, part.meaning) for part in mapping.action] == [("action", "delta")]
    assert mapping.state[0].names == ("x", "y", "z", "gripper")
    assert (mapping.reward, mapping.terminated, mapping.last_step) == ("reward", "is_terminal", "padding")
    assert (mapping.outcome.source, mapping.outcome.path) == ("reward", "reward")
    assert mapping.keep == {"joint": "joint"}
    assert mapping.attributes == {"scene": "episode_metadata/scene"}
    assert "here the last action is zero in 6" in text


def test_every_feature_of_a_strange_source_is_spoken_for(source: ScriptedSource) -> None:
    strange = (
        SourceFeature("observation/depth", "image", "uint16", (8, 8, 1)),
        SourceFeature("observation/dark", "image", "uint8", (*SIZE, 3)),
        SourceFeature("observation/nowhere", "image", "uint8", (*SIZE, 3)),
        SourceFeature("points", "number", "float32", (None, 3)),
        SourceFeature("huge", "number", "float32", (1000, 1000)),
        SourceFeature("raw", "bytes", "bytes", ()),
        SourceFeature("note", "text", "str", ()),
        SourceFeature("next.success", "number", "bool", ()),
        SourceFeature("timestamp", "number", "float32", ()),
        SourceFeature("camera/intrinsics", "number", "float64", (3, 3), per_episode=True),
        SourceFeature("episode_metadata/path", "text", "str", (), per_episode=True),
    )
    dark = [encode_png(np.zeros((*SIZE, 3), np.uint8))] * STEPS
    full = replace(source, features=(*FEATURES, *strange), episodes=1, changes={"observation/dark": dark})
    full = replace(full, fps=Fraction(30000, 1001))
    mapping = decided(propose(full.description, sample_episodes(full)), open="1", closed="0")
    check_fit(mapping, full.description)
    assert mapping.fps == Fraction(30000, 1001)
    assert mapping.ignore["observation/dark"] == "black in every sampled picture"
    assert mapping.ignore["observation/nowhere"].startswith("declared, but without a picture")
    assert {"observation/depth", "points", "huge", "raw", "note", "timestamp", "camera/intrinsics"} <= set(
        mapping.ignore
    )
    assert mapping.keep["original.next.success"] == "next.success"
    assert mapping.attributes["path"] == "episode_metadata/path"


def test_a_flag_that_never_changes_is_no_outcome(source: ScriptedSource) -> None:
    flag = SourceFeature("success", "number", "bool", ())
    always = replace(
        source,
        features=(*(feature for feature in FEATURES if feature.path != "reward"), flag),
        episodes=1,
        changes={"success": np.ones(STEPS, bool)},
    )
    text = propose(always.description, sample_episodes(always))
    assert "outcome:  # 'success' is 1 in every sampled episode" in text
    assert "source: unknown" in text


def test_a_source_without_an_action_or_an_instruction_asks_for_them(source: ScriptedSource) -> None:
    bare = replace(source, features=tuple(f for f in FEATURES if f.path not in ("action", "language_instruction")))
    text = propose(bare.description, sample_episodes(bare))
    assert "instruction_text: decide" in text and "- path: decide" in text


@pytest.mark.parametrize("separator", ["\u2028", "\x85", "\n", "\x00"])
def test_an_instruction_with_a_line_end_of_yaml_leaves_the_proposal_readable(
    source: ScriptedSource, separator: str
) -> None:
    told = replace(source, changes={"language_instruction": [f"pick{separator}up: [it"] * STEPS})
    text = propose(told.description, sample_episodes(told))
    assert "'pick up: [it'" in text
    assert decided(text, fps="5", open="1", closed="0").instruction == "language_instruction"


def test_actions_that_are_nan_everywhere_decide_nothing_and_warn_of_nothing() -> None:
    pairs = [(np.full_like(action, np.nan), state) for action, state in trajectories("delta")]
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert action_meaning(pairs, grippers=(), fps=None, state_names=("x", "y", "z")).meaning is None
