"""Results of evaluation episodes, one JSON line each: final, tuning and counterfactual runs of one policy."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Literal

from qsft_sim.results import EpisodeResult, Setting
from qsft_sim.statistics import PairedComparison, SuccessSummary, compare, summarise
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.report.missing import Missing

Outcome = Literal["success", "wrong_object"]
"""What can be counted of an episode."""

_ORDER = ("extraction", "temperature", "inverse_temperature", "support", "candidates", "repeats", "symmetries")
_OFF_AT = {"inverse_temperature": 0, "support": 0, "candidates": 1, "repeats": True, "symmetries": False}


@dataclass(frozen=True)
class EpisodeSet:
    """Results of one policy with one setting, at least one; `unreadable` lines of the file were left out."""

    results: tuple[EpisodeResult, ...]
    unreadable: int = 0

    @property
    def summary(self) -> SuccessSummary:
        """Return success rate with interval, wrong-object rate and mean length."""
        return summarise(self.results)

    @property
    def settings(self) -> Mapping[str, Setting]:
        """Return the settings of the policy; every line of a file has the same."""
        return self.results[0].settings


def load_episode_set(path: Path, *, run_folder: Path) -> EpisodeSet | Missing:
    """Return the results in a JSON Lines file, or why there are none. A killed evaluation leaves a cut last line."""
    shown = path.relative_to(run_folder)
    try:
        lines = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    except FileNotFoundError:
        return Missing(f"{shown} was not written by this run.")
    except OSError as problem:
        return Missing(f"{shown} cannot be read: {problem.strerror}.")
    results: list[EpisodeResult] = []
    for line in lines:
        try:
            results.append(EpisodeResult.from_json(line))
        except InvalidSetting:
            continue
    if not results:
        return Missing(f"{shown} holds no result of an episode.")
    return EpisodeSet(tuple(results), len(lines) - len(results))


def load_tunings(policy_folder: Path, *, run_folder: Path) -> tuple[EpisodeSet, ...]:
    """Return what was tried on the tuning seeds, `tune-<k>.jsonl` in the order of k."""
    numbered = sorted(
        (int(match.group(1)), path)
        for path in policy_folder.glob("tune-*.jsonl")
        if (match := re.fullmatch(r"tune-(\d+)", path.stem))
    )
    loaded = (load_episode_set(path, run_folder=run_folder) for _, path in numbered)
    return tuple(one for one in loaded if isinstance(one, EpisodeSet))


def compare_on_common_scenes(
    first: EpisodeSet, second: EpisodeSet, *, outcome: Outcome = "success"
) -> PairedComparison | None:
    """Return the paired comparison on the scenes that both were evaluated on, or None where there is none."""
    by_scene = {(result.task, result.seed): result for result in second.results}
    pairs = [(one, by_scene[one.task, one.seed]) for one in first.results if (one.task, one.seed) in by_scene]
    if not pairs:
        return None
    return compare([one for one, _ in pairs], [other for _, other in pairs], outcome=attrgetter(outcome))


def write_settings(settings: Mapping[str, Setting]) -> str:
    """Return the settings of a policy that change what it does, as one line: `single · temperature 0.3 · support 0.3`.

    An inverse temperature or a support of 0 and a single candidate are the absence of each; see
    `vlm_qsft.policy.PolicySettings`.
    """
    shown = [str(settings["extraction"])] if "extraction" in settings else []
    for name in sorted(settings, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)):
        value = settings[name]
        if name != "extraction" and _OFF_AT.get(name) != value:
            shown.append(f"{name.replace('_', ' ')} {_write_setting(value)}")
    return " · ".join(shown)


def _write_setting(value: Setting) -> str:
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)
