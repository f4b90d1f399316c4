"""SmolLM2 as `qsft chat` uses it: loading, reading and saying, in processor time of one thread.

    python benchmarks/bench_chat.py --out benchmarks/results/chat.json

transformers' own reader of GGUF files is timed in the same run. Processor time, because other work shares the cores;
each figure is the best of its repetitions.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from vlm_qsft.cli.provenance import provenance
from vlm_qsft.model.language_model import load_language_model, packaged_model_path
from vlm_qsft.model.language_model_tokens import LanguageModelTokens

READ, SAID = 240, 24
"""Tokens of the prompt, and of the answer."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, print what was measured and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/bench/chat.json"), help="JSON file to write")
    parser.add_argument("--repetitions", type=int, default=3)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    result = measure(chosen.repetitions) | provenance()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name in ("load_s", "load_by_transformers_s", "read_tokens_per_s", "said_tokens_per_s"):
        print(f"{name:<24}{result[name]}")
    print(chosen.out)
    return 0


def measure(repetitions: int) -> dict[str, Any]:
    """Return the seconds of processor time to load, and the tokens per second by precision."""
    path = packaged_model_path()
    load_s = best(1, lambda: load_language_model(None))
    theirs_s = best(
        1, lambda: AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    )
    read: dict[str, float] = {}
    said: dict[str, float] = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        model = load_language_model(None, dtype=dtype).model
        prompt = list(range(1000, 1000 + READ))

        def first_token(model: Any = model, prompt: list[int] = prompt) -> LanguageModelTokens:
            source = LanguageModelTokens(model, temperature=0.0, seed=0)
            source.begin(prompt)
            source.next()
            return source

        read[name] = round(READ / best(repetitions, first_token), 1)
        source = first_token()
        said[name] = round(SAID / best(repetitions, lambda: [source.next() for _ in range(SAID)]), 1)  # noqa: B023
    return {
        "load_s": round(load_s, 2),
        "load_by_transformers_s": round(theirs_s, 2),
        "read_tokens_per_s": read,
        "said_tokens_per_s": said,
        "settings": {"read": READ, "said": SAID, "repetitions": repetitions, "threads": 1},
    }


def best(repetitions: int, work: Callable[[], object]) -> float:
    """Return the least processor time of the repetitions, seconds."""
    times_s = []
    for _ in range(repetitions):
        begin_s = time.process_time()
        work()
        times_s.append(time.process_time() - begin_s)
    return min(times_s)


if __name__ == "__main__":
    sys.exit(main())
