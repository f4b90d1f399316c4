"""A training step on text: rows of few tokens, attention by plain products, bfloat16; ratios of CPU times in one run.

    python benchmarks/bench_text.py --out runs/bench/text.json

Each way of computing the same step of a recipe's behavior phase is timed in turn, round after round, with one thread
and in process CPU time. The ratio says how many times as long the first takes: rows of 128 tokens, torch's fused
attention, float32. What a CPU gains by bfloat16 depends on whether it multiplies it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from vlm_qsft.cli.arguments import one_of
from vlm_qsft.cli.provenance import provenance
from vlm_qsft.cli.table import table
from vlm_qsft.dialogue import text_dataset
from vlm_qsft.dialogue.logs import read_conversations
from vlm_qsft.dialogue.phases import read_text_table
from vlm_qsft.dialogue.recipes import RECIPES
from vlm_qsft.dialogue.recording import DialogueRecordingSettings, record_dialogue
from vlm_qsft.dialogue.text_dataset import TextDataset, TextSource
from vlm_qsft.dialogue.text_format import TextFormat
from vlm_qsft.model.text_build import build_text_scorer
from vlm_qsft.model.text_scorer import TextScorer
from vlm_qsft.training.device import autocast
from vlm_qsft.training.sampler import BatchRequest

TASKS = ("endgames", "wordle")
GAMES = 400
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Way:
    """A way of computing a step.

    Attributes:
        row_length: places of a packed row.
        attention: of transformers.
        precision: "float32" or "bfloat16".
    """

    row_length: int
    attention: str
    precision: str


WAYS = (
    Way(128, "sdpa", "float32"),
    Way(text_dataset.ROW_LENGTH, "sdpa", "float32"),
    Way(text_dataset.ROW_LENGTH, "eager", "float32"),
    Way(128, "sdpa", "bfloat16"),
    Way(text_dataset.ROW_LENGTH, "eager", "bfloat16"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, print a table per task and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/bench/text.json"), help="JSON file to write")
    parser.add_argument("--task", type=one_of("task", TASKS), action="append", help="instead of all; may be repeated")
    parser.add_argument("--rounds", type=int, default=8, help="timed steps of each way")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    tasks = {task: measured(task, rounds=chosen.rounds) for task in chosen.task or TASKS}
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps({"rounds": chosen.rounds, "tasks": tasks} | provenance(), indent=2) + "\n")
    for task, ways in tasks.items():
        print(f"\n{task}")
        rows = [[way["row_length"], way["attention"], way["precision"], way["step_ms"], way["ratio"]] for way in ways]
        print(table(["row", "attention", "precision", "CPU ms", "times as fast"], rows))
    print(chosen.out)
    return 0


def measured(task: str, *, rounds: int) -> list[dict[str, Any]]:
    """Return the median CPU time of a step in every way, and its ratio to the first."""
    recipe = RECIPES[task]
    with tempfile.TemporaryDirectory() as folder:
        record_dialogue(Path(folder) / "logs", DialogueRecordingSettings(task, GAMES, 0))
        games = list(read_conversations(Path(folder) / "logs"))
    text_format = TextFormat.fit(task, games)
    source = TextSource(read_text_table(games, text_format, horizon=None))
    torch.manual_seed(0)
    scorer = build_text_scorer(recipe.model, n_words=text_format.n_words, parts=text_format.parts).train()
    generator = np.random.default_rng(0)
    n_contexts = len(source.table.content)
    seconds: dict[Way, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds + 1):
        chosen = generator.choice(n_contexts, min(recipe.behavior.batch_size, n_contexts), replace=False)
        for way in WAYS:
            took = _step(scorer, source, chosen, way)
            if number:  # the first of each warms up
                seconds[way].append(took)
    base = statistics.median(seconds[WAYS[0]])
    medians = {way: statistics.median(taken) for way, taken in seconds.items()}
    return [
        asdict(way) | {"step_ms": round(1e3 * median, 1), "ratio": round(base / median, 2)}
        for way, median in medians.items()
    ]


def _step(scorer: TextScorer, source: TextSource, contexts: np.ndarray, way: Way) -> float:
    """Return the CPU seconds of one batch, forwards and backwards."""
    scorer.model.set_attn_implementation(way.attention)
    begun = time.process_time()
    with mock.patch.object(text_dataset, "ROW_LENGTH", way.row_length):
        batch = TextDataset(source, contexts).__getitems__(BatchRequest(contexts))
    with autocast(CPU, way.precision):
        logits = scorer(batch.inputs, batch.action_bins)
    loss = torch.nn.functional.cross_entropy(logits[:, 0], batch.action_bins[:, 0])
    loss.backward()
    took = time.process_time() - begun
    scorer.zero_grad()
    return took


if __name__ == "__main__":
    sys.exit(main())
