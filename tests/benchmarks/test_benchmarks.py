"""The benchmarks run and say what they measured; how long anything takes is not judged here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vlm_qsft.cli.bench import SUBJECTS, load_benchmark
from vlm_qsft.model.text_settings import TextModelSettings


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_benchmark_still_finds_what_it_measures(subject: str) -> None:
    assert callable(load_benchmark(subject).main)


def test_the_record_of_a_decision_holds_every_extraction_and_its_ratio_to_sft(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bench" / "policy.json"
    bench = load_benchmark("policy")
    assert bench.main(["--out", str(out), "--rounds", "3"]) == 0

    record = json.loads(out.read_text())
    assert set(record["policies"]) == set(bench.SETTINGS)
    for policy in record["policies"].values():
        low, high = policy["ratio_interval"]
        assert 0.0 < low <= high
        assert 0.0 < policy["decision_ms"] <= policy["decision_p95_ms"]
        assert policy["ratio_to_sft"] == pytest.approx(policy["decision_ms"] / record["policies"]["sft"]["decision_ms"])
    assert record["policies"]["sft"]["ratio_interval"] == [1.0, 1.0]
    assert record["ratio_to_sft"] == record["policies"]["ratio"]["ratio_to_sft"]
    assert record["is_within"] == (record["ratio_to_sft"] <= record["largest_ratio"])
    assert record["settings"]["rounds"] == 3
    assert record["parameters"] > 1e6
    assert {"command", "commit", "versions", "machine"} <= record.keys()

    *rows, path = capsys.readouterr().out.splitlines()
    assert path == str(out)
    for row, (name, policy) in zip(rows, record["policies"].items(), strict=True):
        assert row.startswith(name)
        assert f"{policy['ratio_to_sft']:.2f} x SFT [" in row


def test_the_regularity_of_commands_is_the_difference_of_their_gaps_from_the_control_period() -> None:
    # Before the window; then gaps of 100, 104 and 97 ms; after the window. The third and the fifth command move.
    came = np.array([(0.95, 0.0), (1.0, 0.0), (1.1, 0.2), (1.204, 0.0), (1.301, 0.1), (1.5, 0.3)])
    numbers = load_benchmark("ros").regularity(came, 1.0, 1.4)
    assert (numbers["commands"], numbers["commands_expected"]) == (4, 4)
    assert numbers["period_mean_ms"] == pytest.approx(301 / 3, abs=1e-3)
    assert numbers["jitter_p50_ms"] == pytest.approx(3.0)  # of 0, 3 and 4
    assert numbers["jitter_max_ms"] == pytest.approx(4.0)
    assert numbers["moving_share"] == 0.5


def test_the_record_of_a_policy_server_holds_latency_and_throughput_with_their_ratios(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bench" / "serve.json"
    bench = load_benchmark("serve")
    assert bench.main(["--out", str(out), "--rounds", "5"]) == 0

    record = json.loads(out.read_text())
    local = record["latency"]["local"]["decision_ms"]
    for timed in record["latency"].values():
        assert timed["ratio_to_local"] == pytest.approx(timed["decision_ms"] / local)
    assert list(record["throughput"]) == ["1", "4", "16"]
    for robots, rates in record["throughput"].items():
        assert rates["ratio"] == pytest.approx(rates["batched_per_s"] / rates["one_by_one_per_s"])
        assert 1.0 <= rates["robots_per_batch"] <= int(robots)
    assert {"command", "commit", "versions", "machine"} <= record.keys()
    assert capsys.readouterr().out.splitlines()[-1] == str(out)


def test_the_record_of_generate_holds_every_extraction_beside_plain_generation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "generate.json"
    bench = load_benchmark("generate")
    words = ["--out", str(out), "--rounds", "2", "--tokens", "3", "--prompt", "4", "--width", "32", "--layers", "1"]
    assert bench.main(words) == 0
    record = json.loads(out.read_text())
    assert set(record["policies"]) == {"plain generation", "ratio", "likelihood", "single"}
    assert record["policies"]["plain generation"]["ratio"] == 1.0
    within = [record["policies"][name]["ratio"] <= largest for name, largest in record["largest_ratio"].items()]
    assert record["is_within"] == all(within)
    assert record["settings"]["tokens"] == 3
    assert "x plain [" in capsys.readouterr().out


def test_the_record_of_a_text_step_holds_every_way_beside_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = load_benchmark("text")
    monkeypatch.setattr(bench, "GAMES", 4)
    bench.main(["--task", "wordle", "--rounds", "1", "--out", str(tmp_path / "text.json")])
    ways = json.loads((tmp_path / "text.json").read_text())["tasks"]["wordle"]
    assert [(way["row_length"], way["attention"], way["precision"]) for way in ways] == [
        (way.row_length, way.attention, way.precision) for way in bench.WAYS
    ]
    assert ways[0]["ratio"] == 1.0
    for way in ways:
        assert way["ratio"] == pytest.approx(ways[0]["step_ms"] / way["step_ms"], abs=0.02)
    assert len(capsys.readouterr().out.splitlines()) == len(bench.WAYS) + 4


def test_a_task_that_a_scale_does_not_have_is_refused_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        load_benchmark("language").main(["--scale", "reduced", "--task", "wordle", "--work", str(tmp_path / "work")])
    assert stopped.value.code == 2
    assert "The scale 'reduced' has no 'wordle'; it has maze" in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


FOLDERS = ("behavior", "sft", "sft-successes", "qsft", "monte_carlo", "ilql", "cql")


def test_every_method_of_the_language_benchmark_is_trained_tuned_and_played(tmp_path: Path) -> None:
    bench = load_benchmark("language")
    recipe = bench.RECIPES["wordle"]
    short = replace(recipe.behavior, steps=2, batch_size=4, validation_fraction=0.2, device="cpu")
    tiny = replace(
        recipe,
        episodes=20,
        model=TextModelSettings(width=32, layers=1),
        behavior=short,
        q=replace(recipe.q, steps=3, batch_size=4, validation_fraction=0.2, device="cpu"),
    )
    scale = bench.Scale(1.0, {"wordle": 1.0}, games=0.0)
    alone = bench.run("wordle", tiny, scale, tmp_path, methods=["MC returns"], seed=0)
    assert {folder.name for folder in tmp_path.iterdir()} == {"logs", "behavior", "cache", "monte_carlo", "games"}
    result = bench.run("wordle", tiny, scale, tmp_path, seed=0)
    assert alone["methods"] == {"MC returns": result["methods"]["MC returns"]}
    assert tuple(result["methods"]) == bench.METHODS
    for name, method in result["methods"].items():
        best = max(trial["mean_return"] for trial in method["tuning"])
        assert {"policy": method["policy"], "mean_return": best} in method["tuning"], name
        assert method["episodes"] == 8 and method["interval"][0] <= method["mean_return"] <= method["interval"][1]
    steps = {name: json.loads((tmp_path / name / "settings.json").read_text())["train"]["steps"] for name in FOLDERS}
    assert steps == {"behavior": 2, "sft": 3, "sft-successes": 3, "qsft": 3, "monte_carlo": 3, "ilql": 3, "cql": 3}
    header, rows = bench.rows_of(result["methods"])
    assert [row[0] for row in rows] == list(bench.METHODS) and all(len(row) == len(header) for row in rows)
    assert alone["q_sft_minus"] == {}
    assert set(result["q_sft_minus"]) == set(bench.METHODS) - {"Q-SFT"}
    for name, difference in result["q_sft_minus"].items():
        gap = result["methods"]["Q-SFT"]["mean_return"] - result["methods"][name]["mean_return"]
        assert difference["mean"] == pytest.approx(gap), name
        assert difference["interval"][0] <= difference["mean"] <= difference["interval"][1]
    assert result["published"]["ILQL"] == 97.7
    untuned = bench.run("wordle", tiny, scale, tmp_path, methods=["SFT", "Q-SFT"], seed=0, is_tuned=False)["methods"]
    assert [trial["policy"] for trial in untuned["Q-SFT"]["tuning"]] == [recipe.policy.to_json()]
    assert untuned["SFT"] == result["methods"]["SFT"]
