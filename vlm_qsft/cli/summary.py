"""summary.json: what a run shows, in numbers, and the same as a table for people."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

from qsft_sim.evaluation import read_results
from qsft_sim.results import EpisodeResult
from qsft_sim.seeds import EVALUATION, RECORDING, TUNING
from qsft_sim.statistics import compare, summarise, summarise_counterfactual
from vlm_qsft.cli.policy_loading import describe
from vlm_qsft.cli.provenance import commit, versions
from vlm_qsft.cli.run_folder import COUNTERFACTUAL_FILE, FINAL_FILE, RunFolder
from vlm_qsft.cli.table import table
from vlm_qsft.cli.usage_meter import Usage
from vlm_qsft.data import DatasetReader
from vlm_qsft.data.source_files import read_json
from vlm_qsft.data.storage import write_durably
from vlm_qsft.errors import DatasetError
from vlm_qsft.policy import PolicySettings


def write_summary(folder: RunFolder, policies: Sequence[str], usage: Usage) -> None:
    """Write summary.json from the results in the run folder.

    Raises:
        StorageError: disk full.
    """
    run = read_json(folder.record)
    results = {policy: read_results(folder.evaluation(policy) / FINAL_FILE) for policy in policies}
    summary = {
        "preset": run["preset"],
        "command": run["command"],
        "commit": commit(),
        "data": describe_data(folder),
        "policies": {policy: describe_policy(folder, policy, results[policy]) for policy in policies},
        "comparisons": {
            f"{first} - {second}": asdict(compare(results[first], results[second]))
            for second, first in combinations(policies, 2)
        },
        "wall_s": round(usage.wall_s, 1),
        "peak_rss_gb": round(usage.peak_rss_gb, 3),
        "stages": folder.stage_times_s(),
        "seeds": {
            "training": run["settings"]["seed"],
            "recording": RECORDING,
            "tuning": TUNING,
            "evaluation": EVALUATION,
        },
        "versions": versions(),
        "machine": run["machine"],
    }
    write_durably(folder.summary, json.dumps(without_nan(summary), indent=2).encode())


def describe_data(folder: RunFolder) -> dict[str, Any]:
    """Return size and success rate of the recorded data set."""
    reader = DatasetReader(folder.data)
    success = reader.episodes.success
    return {
        "episodes": reader.n_episodes,
        "frames": reader.n_frames,
        "success_rate": math.nan if success is None else float(success.mean()),
    }


def describe_policy(folder: RunFolder, policy: str, results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """Return what was measured of a policy: final results, the settings it was given, and how they were chosen."""
    measured = summarise(results)
    counterfactual = read_results(folder.evaluation(policy) / COUNTERFACTUAL_FILE)
    tunings = []
    for path in sorted(folder.evaluation(policy).glob("tune-*.jsonl"), key=lambda path: int(path.stem.split("-")[1])):
        tried = read_results(path)
        rates = summarise(tried)
        tunings.append({**tried[0].settings, "success_rate": rates.success_rate, "episodes": rates.episodes})
    return {
        "success_rate": measured.success_rate,
        "interval": list(measured.interval),
        "episodes": measured.episodes,
        "wrong_object_rate": measured.wrong_object_rate,
        "wrong_object_interval": list(measured.wrong_object_interval),
        "mean_steps": measured.mean_steps,
        "settings": dict(results[0].settings),
        "counterfactual": asdict(summarise_counterfactual(counterfactual)),
        "tuning": tunings,
    }


def results_table(folder: RunFolder) -> str:
    """Return the results of summary.json as a table, with what the run has used.

    Raises:
        DatasetError: summary.json is damaged.
    """
    try:
        summary = read_json(folder.summary)
    except DatasetError as error:
        raise DatasetError(f"{error} Delete it: the same command writes it again.") from error
    rows = [
        (
            policy,
            f"{facts['success_rate']:.1%}",
            f"{facts['interval'][0]:.1%} to {facts['interval'][1]:.1%}",
            f"{facts['wrong_object_rate']:.1%}",
            facts["episodes"],
            describe(PolicySettings.from_json(facts["settings"])),
        )
        for policy, facts in summary["policies"].items()
    ]
    data = summary["data"]
    rows.append(("logs", f"{data['success_rate']:.1%}", "", "", data["episodes"], "what they learned from"))
    header = ("policy", "success", "95 % interval", "wrong object", "episodes", "setting")
    used = f"{summary['wall_s'] / 60:.1f} minutes, at most {summary['peak_rss_gb']:.1f} GB of memory"
    return f"{table(header, rows)}\n\n{used}"


def without_nan(content: Any) -> Any:
    """Return JSON content with null for NaN, which JSON does not have."""
    if isinstance(content, dict):
        return {name: without_nan(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_nan(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content
