"""Checks of instructions, outcomes, flags, returns and duplicates, each on a set that is broken by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qsft_datasets.labeling import LabelRequest, OutcomeRequest, label_dataset
from vlm_qsft.data import KeptColumn

from .sets import (
    LENGTH,
    SCHEMA,
    edit_episodes,
    edit_frames,
    edit_json,
    episode,
    facts,
    findings,
    only,
    write_set,
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
        return replace(episode(1), images=made.images) if number == 4 else made

    root = write_set(tmp_path / "set", repeat)
    finding = only(root, "duplicates")
    assert (finding.level, finding.episodes) == ("warning", (4,))
    edit_json(root, "info.json", lambda info: info.update(splits={"train": "0:4", "val": "4:6"}))
    finding = only(root, "duplicates")
    assert (finding.level, finding.episodes) == ("error", (1, 4))
    assert "1 in 'train', 4 in 'val'" in finding.message


def test_an_episode_in_two_splits_of_the_source_is_leaked(tmp_path: Path):
    def change(number, made):
        content = episode(1) if number == 4 else made
        return replace(content, attributes={"source_split": "train" if number < 4 else "val"})

    finding = only(write_set(tmp_path / "set", change), "duplicates")
    assert (finding.level, finding.episodes) == ("error", (1, 4))
    assert "1 in 'train', 4 in 'val'" in finding.message


def test_ends_that_the_source_set_early_and_gaps_that_were_bridged(tmp_path: Path):
    schema = replace(SCHEMA, kept={"source.terminated": KeptColumn("bool", 1)})

    def change(number, made):
        ended = np.zeros((LENGTH, 1), bool)
        ended[-6 if number == 2 else -1 :] = True
        gaps = {"gaps": "0.4 s without /camera from 1.2 s."} if number == 3 else {}
        return replace(made, kept={"source.terminated": ended}, attributes=gaps)

    root = write_set(tmp_path / "set", change, schema=schema)
    finding = only(root, "flags")
    assert (finding.level, finding.episode, finding.frame, finding.count) == ("warning", 2, LENGTH - 6, 5)
    assert finding.message == "'source.terminated' is set before the end of an episode, 5 times."
    finding = only(root, "time")
    assert (finding.level, finding.episodes) == ("warning", (3,))
    assert "were odd before the conversion: 0.4 s without /camera from 1.2 s." in finding.message
