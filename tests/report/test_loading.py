"""Loading what a run left behind, complete or not."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qsft_sim.statistics import wilson_interval
from qsft_sim.trace import Trace
from vlm_qsft.images import decode
from vlm_qsft.report.episode_results import (
    EpisodeSet,
    compare_on_common_scenes,
    load_episode_set,
    load_tunings,
    write_settings,
)
from vlm_qsft.report.facts import group_facts, write_duration, write_fact
from vlm_qsft.report.logged_data import LoggedData, load_logged_data
from vlm_qsft.report.missing import Missing
from vlm_qsft.report.phase_metrics import PhaseMetrics, load_phase_metrics
from vlm_qsft.report.policy_names import in_order
from vlm_qsft.report.q_diagnostics import Calibration, load_calibration, load_targets
from vlm_qsft.report.sprite import make_sprite
from vlm_qsft.report.trace import load_trace


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))
    return path


def reason(loaded: object) -> str:
    assert isinstance(loaded, Missing), loaded
    return loaded.reason


def test_a_step_logged_again_after_a_resume_keeps_its_last_number(tmp_path: Path) -> None:
    write(
        tmp_path / "behavior" / "metrics.jsonl",
        '{"step": 10, "phase": "behavior", "split": "train", "nll": 5.0}',
        '{"step": 20, "phase": "behavior", "split": "train", "nll": 4.0}',
        '{"step": 20, "phase": "behavior", "split": "train", "nll": 3.0}',
        '{"step": 20, "phase": "behavior", "split": "validation", "nll": 3.5}',
        '{"step": 30, "phase": "behav',
    )
    loaded = load_phase_metrics(tmp_path, "behavior")
    assert isinstance(loaded, PhaseMetrics)
    train, validation = loaded.of("nll")
    assert (train.steps, train.numbers) == ((10.0, 20.0), (5.0, 3.0))
    assert (validation.split, validation.numbers) == ("validation", (3.5,))
    assert loaded.unreadable == 1


def test_a_long_curve_is_averaged_over_neighbours(tmp_path: Path) -> None:
    lines = [json.dumps({"step": step, "split": "train", "loss": float(step % 2)}) for step in range(480)]
    write(tmp_path / "q" / "metrics.jsonl", *lines)
    loaded = load_phase_metrics(tmp_path, "q")
    assert isinstance(loaded, PhaseMetrics)
    (curve,) = loaded.curves
    assert curve.averaged == 2
    assert set(curve.numbers) == {0.5}
    assert curve.steps[:2] == (0.5, 2.5)


def test_what_is_missing_says_which_file_and_why(tmp_path: Path) -> None:
    assert reason(load_phase_metrics(tmp_path, "q")) == "q/metrics.jsonl was not written by this run."
    write(tmp_path / "q" / "targets.json", '{"edges": [0, 0.5], "counts": [1, 2]}')
    assert reason(load_targets(tmp_path)).startswith("q/targets.json does not hold ascending edges")
    write(tmp_path / "q" / "calibration.json", '{"bins": [')
    assert reason(load_calibration(tmp_path)).startswith("q/calibration.json cannot be read")
    write(tmp_path / "q" / "calibration.json", "[1, 2]")
    assert reason(load_calibration(tmp_path)) == "q/calibration.json holds a list, expected an object."
    assert reason(load_logged_data(tmp_path)) == "data/ was not recorded by this run."
    write(tmp_path / "data" / "staging" / "episode-000000.parquet", "cut")
    assert reason(load_logged_data(tmp_path)).startswith("data/ cannot be read: ")


def test_the_logs_own_success_rate_is_read_from_the_data_set(complete_run: Path) -> None:
    logs = load_logged_data(complete_run)
    assert isinstance(logs, LoggedData)
    assert (logs.episodes, logs.frames, logs.success_rate) == (8, 48, 3 / 8)


def test_a_killed_evaluation_still_shows_its_complete_lines(complete_run: Path, tmp_path: Path) -> None:
    whole = (complete_run / "evaluation" / "qsft" / "final.jsonl").read_text()
    path = write(tmp_path / "evaluation" / "qsft" / "final.jsonl", whole[:-40])
    loaded = load_episode_set(path, run_folder=tmp_path)
    assert isinstance(loaded, EpisodeSet)
    assert (len(loaded.results), loaded.unreadable) == (199, 1)


def test_policies_are_compared_on_the_scenes_they_share(complete_run: Path) -> None:
    sets = [
        load_episode_set(complete_run / "evaluation" / policy / "final.jsonl", run_folder=complete_run)
        for policy in ("qsft", "sft")
    ]
    first, second = sets
    assert isinstance(first, EpisodeSet) and isinstance(second, EpisodeSet)
    part = EpisodeSet(second.results[50:150])
    comparison = compare_on_common_scenes(first, part)
    assert comparison is not None
    by_hand = [a.success - b.success for a, b in zip(first.results[50:150], part.results, strict=True)]
    assert comparison.episodes == 100
    assert comparison.difference == pytest.approx(sum(by_hand) / 100)
    assert compare_on_common_scenes(EpisodeSet(first.results[:10]), part) is None


def test_tunings_come_in_the_order_of_their_number(complete_run: Path, tmp_path: Path) -> None:
    line = (complete_run / "evaluation" / "qsft" / "tune-0.jsonl").read_text().splitlines()[0]
    for number in (10, 9):
        write(tmp_path / f"tune-{number}.jsonl", line.replace('"temperature": 1.0', f'"temperature": {number}'))
    loaded = load_tunings(tmp_path, run_folder=tmp_path)
    assert [one.settings["temperature"] for one in loaded] == [9, 10]


def test_a_trace_that_cannot_be_shown_says_which_and_why(complete_run: Path, tmp_path: Path) -> None:
    whole = complete_run / "evaluation" / "qsft" / "trace-success.npz"
    assert isinstance(load_trace(whole, run_folder=complete_run), Trace)
    folder = tmp_path / "evaluation" / "qsft"
    folder.mkdir(parents=True)
    (folder / "cut.npz").write_bytes(whole.read_bytes()[:-100])
    assert reason(load_trace(folder / "cut.npz", run_folder=tmp_path)).startswith(
        "evaluation/qsft/cut.npz cannot be read"
    )
    scripted = Trace.load(whole)
    none = scripted.q_values[:, :, :0]
    replace(scripted, q_values=none, probabilities=none, bin_centers=none[0]).save(folder / "scripted.npz")
    assert reason(load_trace(folder / "scripted.npz", run_folder=tmp_path)) == (
        "evaluation/qsft/scripted.npz has no bins, as that of a scripted demonstrator."
    )
    assert reason(load_trace(folder / "absent.npz", run_folder=tmp_path)) == "No trace recorded."


def test_every_tile_of_a_sprite_is_its_frame() -> None:
    levels = np.array([20, 90, 160, 230, 60], np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (5, 20, 24, 3))
    sprite = make_sprite(np.ascontiguousarray(frames))
    sheet = decode(base64.b64decode(sprite.uri.split(",", 1)[1]))
    for step, level in enumerate(levels):
        top, left = step // sprite.columns * sprite.pitch_y, step % sprite.columns * sprite.pitch_x
        tile = sheet[top : top + sprite.height, left : left + sprite.width].astype(int)
        assert abs(tile - int(level)).max() <= 2


def test_large_frames_are_shrunk_with_their_aspect_ratio() -> None:
    sprite = make_sprite(np.zeros((2, 480, 640, 3), np.uint8))
    assert (sprite.width, sprite.height) == (256, 192)


def test_facts_show_every_setting_once_under_its_heading() -> None:
    groups = group_facts({"preset": "demo", "model": {"n_bins": 256, "trunk": {"width": 64}}}, first_title="command")
    assert [(group.title, group.facts) for group in groups] == [
        ("command", (("preset", "demo"),)),
        ("model", (("n_bins", "256"),)),
        ("model · trunk", (("width", "64"),)),
    ]


def test_phases_with_the_same_settings_share_a_group_that_names_them_all() -> None:
    phase = {"steps": 1200, "batch_size": 128}
    settings = {"behavior": phase, "model": {"width": 64}, "sft_success": phase}
    groups = group_facts({"settings": settings}, first_title="command")
    assert [group.title for group in groups] == ["settings · behavior, sft success", "settings · model"]


def test_lists_in_settings_are_written_as_people_read_them() -> None:
    assert write_fact("quality_shares", [["expert", 0.15], ["poor", 0.35]]) == "expert 0.15, poor 0.35"
    tried = [{"extraction": "single", "inverse_temperature": 0.0}, {"extraction": "sft"}]
    assert write_fact("qsft", tried) == "extraction single, inverse temperature 0\nextraction sft"


def test_settings_of_a_policy_leave_out_what_is_switched_off() -> None:
    settings = {"support": 0.0, "temperature": 0.5, "inverse_temperature": 16.0, "extraction": "ratio"}
    assert write_settings(settings) == "ratio · temperature 0.5 · inverse temperature 16"
    assert write_settings({"temperature": 0.0, "seed": 3}) == "temperature 0 · seed 3"
    assert write_settings({"repeats": False, "temperature": 0.0}) == "temperature 0 · repeats false"
    assert write_settings({"repeats": True, "temperature": 0.0}) == "temperature 0"


def test_calibration_says_how_sure_and_how_biased_it_is(tmp_path: Path) -> None:
    bins = [{"predicted": 0.8, "realised": 0.5, "count": 10}, {"predicted": 0.1, "realised": 0.2, "count": 30}]
    write(tmp_path / "q" / "calibration.json", json.dumps({"bins": bins, "ece": 0.15, "correlation": 0.6}))
    loaded = load_calibration(tmp_path)
    assert isinstance(loaded, Calibration)
    low, high = loaded.bins
    # Five successes in ten, by hand: (0.5 + z^2/20 -+ z sqrt(0.025 + z^2/400)) / (1 + z^2/10).
    assert high.interval == pytest.approx((0.23659, 0.76341), abs=1e-5)
    assert low.interval == wilson_interval(6, 30)
    assert (loaded.frames, loaded.correlation) == (40, 0.6)
    assert loaded.bias == pytest.approx((10 * 0.3 - 30 * 0.1) / 40)


def test_outcomes_other_than_success_are_compared_on_common_scenes(complete_run: Path) -> None:
    first, second = (
        load_episode_set(complete_run / "evaluation" / policy / "final.jsonl", run_folder=complete_run)
        for policy in ("qsft", "sft")
    )
    assert isinstance(first, EpisodeSet) and isinstance(second, EpisodeSet)
    comparison = compare_on_common_scenes(first, second, outcome="wrong_object")
    assert comparison is not None
    rates = [sum(one.wrong_object for one in each.results) / 200 for each in (first, second)]
    assert comparison.difference == pytest.approx(rates[0] - rates[1])


def test_durations_are_written_in_the_largest_fitting_unit() -> None:
    assert [write_duration(seconds) for seconds in (4.25, 60, 1507.3, 3780)] == [
        "4.25 s", "1 min", "25 min 7 s", "1 h 3 min",
    ]  # fmt: skip


def test_the_policy_that_is_presented_comes_first() -> None:
    assert in_order(["awr", "sft", "qsft", "sft_success"]) == ["qsft", "sft_success", "sft", "awr"]
