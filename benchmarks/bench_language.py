"""Q-SFT, SFT and the rivals on language tasks: the same logs, small models, steps and games for every method.

    python benchmarks/bench_language.py --out runs/bench/language.json
    python benchmarks/bench_language.py --scale full --task wordle --out runs/bench/wordle.json
    python benchmarks/bench_language.py --scale full --task wordle --seed 1 --untuned --work runs/bench/seed-1

Interrupted, the same command continues: logs, phases and evaluations lie below `--work`. SFT takes as many steps as the
longer of the two phases of the others. Every method has its extraction tuned on the same games of their own, then plays
the evaluation games. Scores are normalised as LMRL-Gym does, and stand next to the published.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vlm_qsft.cli.arguments import one_of
from vlm_qsft.cli.progress import NamedProgress
from vlm_qsft.cli.provenance import provenance
from vlm_qsft.cli.table import table
from vlm_qsft.dialogue.checkpoint import load_text_checkpoint
from vlm_qsft.dialogue.evaluation import ReturnSummary, evaluate_text, return_difference, summarise_returns
from vlm_qsft.dialogue.phases import train_text_behavior, train_text_q
from vlm_qsft.dialogue.playing import GameResult
from vlm_qsft.dialogue.recipes import RECIPES, TextRecipe
from vlm_qsft.dialogue.recording import DialogueRecordingSettings, record_dialogue
from vlm_qsft.dialogue.tasks import EVALUATION, LANGUAGE_TASKS, TUNING
from vlm_qsft.policy import PolicySettings
from vlm_qsft.processes import usable_cores
from vlm_qsft.training.settings import TrainSettings, Weights

METHODS = ("SFT", "SFT on successes", "Q-SFT", "MC returns", "ILQL", "CQL")
SFT_WEIGHTS: dict[str, Weights] = {"SFT": "all", "SFT on successes": "successes"}
CRITIC_OF = {"MC returns": "monte_carlo", "ILQL": "ilql", "CQL": "cql"}

PUBLISHED = {
    "maze": {"BC": 58, "filtered BC": 69, "MC": 75, "ILQL": 99.9, "PPO": 80},
    "maze-partly-observed": {"BC": 53, "filtered BC": 50, "MC": 52, "ILQL": 76, "PPO": 42},
    "wordle-small": {},
    "wordle": {"BC": 80, "filtered BC": 79, "MC": 95, "ILQL": 97.7, "PPO": 84},
    "endgames-small": {},
    "endgames": {"BC": 35, "filtered BC": 18, "MC": 50, "ILQL": 46, "PPO": 77.5},
}
"""Normalised scores of LMRL-Gym (arXiv 2311.18232), on its own logs and larger models; the small tasks are ours."""

SFT_SETTINGS = (
    *(PolicySettings("sft", temperature, 0.0, 0.0) for temperature in (1.0, 0.5, 0.25, 0.0)),
    PolicySettings("sft", 0.5, 0.0, 0.0, candidates=8),
)
Q_SETTINGS = (
    PolicySettings("ratio", 1.0, 8.0),
    PolicySettings("ratio", 1.0, 64.0),
    PolicySettings("ratio", 1.0, 300.0),
    PolicySettings("ratio", 1.0, 1000.0),
    PolicySettings("ratio", 0.5, 32.0),
    PolicySettings("ratio", 0.1, 16.0, support=0.6),
    PolicySettings("ratio", 0.05, 32.0, support=0.6),
    PolicySettings("ratio", 0.0, 16.0, support=0.6),
    PolicySettings("ratio", 0.0, 1e4),
    PolicySettings("ratio", 0.5, 32.0, candidates=8),
    *(PolicySettings("power", 0.0, exponent) for exponent in (1.0, 1.5, 2.0)),
)
SINGLE_SETTINGS = (
    *(PolicySettings("single", temperature, 0.0, 0.0) for temperature in (0.5, 0.25, 0.1, 0.0)),
    PolicySettings("single", 0.5, 0.0, 0.0, candidates=8),
)

# Where most tokens are no moves: what the logs never did is far less likely than any legal move, and stays out. Nothing
# is said again in a position in which it was said, and a board is read from all sides.
_MOVE = PolicySettings("sft", 1.0, 0.0, 8.0, repeats=False, symmetries=True)
SFT_MOVES = tuple(replace(_MOVE, temperature=temperature) for temperature in (1.0, 0.5, 0.25, 0.0))
Q_MOVES = (
    *(
        replace(_MOVE, extraction="ratio", temperature=0.0, inverse_temperature=weight, support=support)
        for support in (8.0, 16.0)
        for weight in (5.0, 10.0, 20.0)
    ),
    *(
        replace(_MOVE, extraction="power", temperature=temperature, inverse_temperature=exponent, support=16.0)
        for temperature in (1.0, 0.0)
        for exponent in (1.0, 2.0, 3.0)
    ),
)
OF_MOVES = ("endgames-small", "endgames")
"""Tasks that are played by these instead."""


@dataclass(frozen=True)
class Scale:
    """How much of a recipe is done.

    Attributes:
        episodes: share of the recipe's logged games.
        steps: share of its optimiser steps, of each task that the scale has.
        games: share of `GAMES`.
    """

    episodes: float
    steps: Mapping[str, float]
    games: float


GAMES = {
    "wordle-small": 1024, "wordle": 4096, "maze": 512, "maze-partly-observed": 512, "endgames-small": 1024,
    "endgames": 1024,
}  # fmt: skip
"""Evaluation games; a maze has 25 beginnings."""

TUNING_SHARE = {
    "wordle-small": 0.5, "wordle": 0.5, "maze": 0.125, "maze-partly-observed": 0.125, "endgames-small": 0.25,
    "endgames": 0.25,
}  # fmt: skip
"""Games that tune the extraction, others, for each evaluation game. Wordle's are short, and differ by little."""

SCALES = {
    "full": Scale(1.0, dict.fromkeys(GAMES, 1.0), 1.0),
    # Wordle is the same game with fewer words. Endgames have none: with a third of the steps legal moves decide.
    "reduced": Scale(0.5, {"maze": 0.5, "maze-partly-observed": 0.5, "wordle-small": 1.0}, 0.5),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, print a table per task and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/bench/language.json"), help="JSON file to write")
    parser.add_argument("--work", type=Path, default=Path("runs/bench/language"), help="logs, phases, evaluations")
    parser.add_argument("--scale", type=one_of("scale", SCALES), default="reduced", help="reduced or full")
    parser.add_argument("--task", type=one_of("task", RECIPES), action="append", help="instead of all; may be repeated")
    parser.add_argument(
        "--method", type=one_of("method", METHODS), action="append", help="instead of all; may be repeated"
    )
    parser.add_argument("--seed", type=int, default=0, help="of logs, weights and order")
    parser.add_argument("--untuned", action="store_true", help="Q-SFT plays by the recipe's extraction, nothing tuned")
    chosen = parser.parse_args(arguments)
    scale = SCALES[chosen.scale]
    tasks = chosen.task or list(scale.steps)
    if missing := [task for task in tasks if task not in scale.steps]:
        parser.error(f"The scale '{chosen.scale}' has no '{missing[0]}'; it has {', '.join(scale.steps)}.")
    result: dict[str, Any] = {"scale": {"name": chosen.scale, **asdict(scale)}, "seed": chosen.seed}
    result["tasks"] = {
        name: run(
            name,
            RECIPES[name],
            scale,
            chosen.work / chosen.scale / name,
            methods=[method for method in METHODS if method in (chosen.method or METHODS)],
            seed=chosen.seed,
            is_tuned=not chosen.untuned,
        )
        for name in tasks
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result | provenance(), indent=2) + "\n")
    for name, task in result["tasks"].items():
        print(f"\n{name} ({LANGUAGE_TASKS[name].purpose}); published: {task['published']}")
        print(table(*rows_of(task["methods"])))
        for method, difference in task["q_sft_minus"].items():
            low, high = difference["interval"]
            print(f"Q-SFT returns {difference['mean']:+.3f} ({low:+.3f} to {high:+.3f}) against {method}, same games")
    print(chosen.out)
    return 0


def rows_of(methods: dict[str, Any]) -> tuple[list[str], list[list[object]]]:
    """Return the header and the rows of a task's table."""
    header = ["method", "score", "return", "95 % interval", "success", "turns", "extraction"]
    rows: list[list[object]] = []
    for name, method in methods.items():
        low, high = method["interval"]
        policy = method["policy"]
        how = f"{policy['extraction']} T {policy['temperature']:g} beta {policy['inverse_temperature']:g}"
        how += f" of {policy['candidates']}" if policy["candidates"] > 1 else ""
        how += ", all symmetries" if policy["symmetries"] else ""
        scores = [round(method["score"], 1), round(method["mean_return"], 3), f"{low:.3f} to {high:.3f}"]
        rows.append([name, *scores, round(method["success_rate"], 3), round(method["mean_turns"], 1), how])
    return header, rows


def run(
    task: str,
    recipe: TextRecipe,
    scale: Scale,
    work: Path,
    *,
    methods: Sequence[str] = METHODS,
    seed: int,
    is_tuned: bool = True,
) -> dict[str, Any]:
    """Record, train and evaluate methods on a task, and return what they reached.

    Without `is_tuned` Q-SFT plays by the recipe's extraction; the others are tuned all the same. `q_sft_minus` are the
    paired differences of returns to Q-SFT; `wall_s` is None where an earlier call was continued.
    """
    begun, is_continued = time.monotonic(), work.exists()
    warnings.filterwarnings("ignore", category=UserWarning, module="torch")
    logs, share = work / "logs", scale.steps[task]
    episodes = max(20, round(scale.episodes * recipe.episodes))
    statistics = record_dialogue(logs, DialogueRecordingSettings(task, episodes, seed), workers=usable_cores())
    reached: dict[str, Any] = {}
    played: dict[str, list[GameResult]] = {}
    for name in methods:
        policy = train(name, logs, recipe, share, work, seed=seed)
        tried = (recipe.policy,) if name == "Q-SFT" and not is_tuned else tried_by(name, task)
        reached[name], played[name] = evaluated(task, policy, tried, scale, work / "games" / name.replace(" ", "-"))
    return {
        "published": PUBLISHED[task],
        "logs": asdict(statistics) | {"episodes": episodes},
        "model": recipe.model.to_json(),
        "observed_weight": recipe.observed_weight,
        "augmented_copies": recipe.augmented_copies,
        "behavior": shortened(recipe.behavior, share, seed).to_json(),
        "q": shortened(recipe.q, share, seed).to_json(),
        "methods": reached,
        "q_sft_minus": {
            name: asdict(return_difference(played["Q-SFT"], games))
            for name, games in played.items()
            if name != "Q-SFT" and "Q-SFT" in played
        },
        "wall_s": None if is_continued else time.monotonic() - begun,
    }


def shortened(settings: TrainSettings, share: float, seed: int) -> TrainSettings:
    """Return the settings of a phase with a share of its steps."""
    steps = max(1, round(share * settings.steps))
    every = max(10, steps // 10)
    return replace(settings, steps=steps, eval_every=every, save_every=every, seed=seed)


def train(method: str, logs: Path, recipe: TextRecipe, share: float, work: Path, *, seed: int) -> Path:
    """Return the checkpoint of a method; those with a Q phase build on one behavior policy."""
    progress = NamedProgress()
    of_behavior, of_q = shortened(recipe.behavior, share, seed), shortened(recipe.q, share, seed)
    others: dict[str, Any] = {
        "observed_weight": recipe.observed_weight,
        "augmented_copies": recipe.augmented_copies,
        "progress": progress,
    }
    if method in SFT_WEIGHTS and (method != "SFT" or of_behavior.steps < of_q.steps):
        out = work / ("sft" if method == "SFT" else "sft-successes")
        as_long = shortened(replace(recipe.behavior, steps=max(recipe.behavior.steps, recipe.q.steps)), share, seed)
        return train_text_behavior(logs, recipe.model, as_long, out, weights=SFT_WEIGHTS[method], **others)
    behavior = train_text_behavior(logs, recipe.model, of_behavior, work / "behavior", **others)
    if method == "SFT":
        return behavior
    if method in CRITIC_OF:
        of_q = replace(of_q, method=CRITIC_OF[method])
    return train_text_q(
        logs,
        behavior,
        of_q,
        work / of_q.method,
        augmented_copies=recipe.augmented_copies,
        cache=work / "cache",
        progress=progress,
    )


def label(settings: PolicySettings) -> str:
    """Return a setting as part of a file name."""
    numbers = (settings.temperature, settings.inverse_temperature, settings.support, settings.candidates)
    named = ["once"] * (not settings.repeats) + ["all-sides"] * settings.symmetries
    return "-".join([settings.extraction, *(f"{number:g}" for number in numbers), *named])


def tried_by(method: str, task: str) -> tuple[PolicySettings, ...]:
    """Return the extractions among which a method's is chosen."""
    if task in OF_MOVES:
        return SFT_MOVES if method in SFT_WEIGHTS else Q_MOVES
    if method in SFT_WEIGHTS:
        return SFT_SETTINGS
    return Q_SETTINGS + SINGLE_SETTINGS if method == "Q-SFT" else Q_SETTINGS


def evaluated(
    task: str, policy: Path, tried: Sequence[PolicySettings], scale: Scale, out: Path
) -> tuple[dict[str, Any], list[GameResult]]:
    """Return how the best extraction on the tuning games does on the evaluation games, and these games."""
    checkpoint = load_text_checkpoint(policy, "cpu")
    n_games = max(8, round(scale.games * GAMES[task]))
    n_tuning = max(1, round(n_games * TUNING_SHARE[task]))
    summaries: list[ReturnSummary] = []
    for settings in tried:
        file = out / f"tuning-{n_tuning}-{label(settings)}.jsonl"
        games = evaluate_text(checkpoint, settings, episodes=n_tuning, purpose=TUNING, out=file)
        summaries.append(summarise_returns(task, games))
    best = tried[max(range(len(tried)), key=lambda number: summaries[number].mean_return)]
    file = out / f"evaluation-{label(best)}.jsonl"
    results = evaluate_text(checkpoint, best, episodes=n_games, purpose=EVALUATION, out=file)
    tuning = [
        {"policy": settings.to_json(), "mean_return": summary.mean_return}
        for settings, summary in zip(tried, summaries, strict=True)
    ]
    found = {"policy": best.to_json(), "tuning_games": n_tuning, "tuning": tuning}
    return asdict(summarise_returns(task, results)) | found, results


if __name__ == "__main__":
    sys.exit(main())
