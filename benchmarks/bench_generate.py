"""Tokens of the Q-SFT policy through `generate` of transformers against plain generation, in one run.

    python benchmarks/bench_generate.py --out runs/bench/generate.json

The model is a small one of `--width` and `--layers` with random weights, which changes no time. Every round lets plain
generation and every extraction make the same number of tokens in turn. On a CPU the times that count are CPU time of
the generating thread, with one thread, so that other work on the machine counts little.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlm_qsft.cli.provenance import provenance
from vlm_qsft.model.text_build import build_text_scorer
from vlm_qsft.model.text_scorer import TextScorer
from vlm_qsft.model.text_settings import TextModelSettings
from vlm_qsft.policy import PolicySettings
from vlm_qsft.policy.logits_processor import QLogitsProcessor

PLAIN = "plain generation"
LARGEST_RATIO = {"ratio": 2.1, "likelihood": 2.1, "single": 1.2}
"""What an extraction may cost: two networks, or p_theta alone."""

WARM_UP_ROUNDS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/bench/generate.json"), help="JSON file to write")
    parser.add_argument("--rounds", type=int, default=15, help="timed generations of each policy")
    parser.add_argument("--tokens", type=int, default=64, help="new tokens of a generation")
    parser.add_argument("--prompt", type=int, default=64, help="tokens of the prompt")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--words", type=int, default=2000, help="size of the vocabulary")
    chosen = parser.parse_args(arguments)
    settings = {name: getattr(chosen, name) for name in ("rounds", "tokens", "prompt", "width", "layers", "words")}
    result = run(**settings) | {"settings": settings} | provenance()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=2) + "\n")
    for name, policy in result["policies"].items():
        low, high = policy["ratio_interval"]
        print(
            f"{name:<18} {policy['token_ms']:7.2f} ms per token  {policy['ratio']:.2f} x plain [{low:.2f}, {high:.2f}]"
        )
    print(chosen.out)
    return 0


def run(*, rounds: int, tokens: int, prompt: int, width: int, layers: int, words: int, seed: int = 0) -> dict[str, Any]:
    """Return milliseconds per token of plain generation and of every extraction, and their ratio to plain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = TextModelSettings(width=width, layers=layers)
    behavior, q_model = (build_text_scorer(model, n_words=words).eval() for _ in range(2))
    q_model.reset_dummy(0.5)
    makers = generators(behavior, q_model, tokens=tokens)
    times: dict[str, list[float]] = {name: [] for name in makers}
    for number in range(rounds + WARM_UP_ROUNDS):
        prompt_ids = torch.randint(0, words, (1, prompt))
        for name, make in makers.items():
            begin_s = time.thread_time()
            made = make(prompt_ids)
            elapsed_s = time.thread_time() - begin_s
            if made.shape[1] != prompt + tokens:
                raise RuntimeError(f"{name} made {made.shape[1] - prompt} tokens instead of {tokens}.")
            if number >= WARM_UP_ROUNDS:
                times[name].append(elapsed_s)
    torch.set_num_threads(threads)
    policies = {name: summary(times[name], times[PLAIN], tokens) for name in makers}
    return {
        "policies": policies,
        "largest_ratio": LARGEST_RATIO,
        "is_within": all(policies[name]["ratio"] <= largest for name, largest in LARGEST_RATIO.items()),
        "parameters": sum(weight.numel() for weight in behavior.parameters()),
        "clock": "CPU time of the generating thread, one thread",
    }


def generators(
    behavior: TextScorer, q_model: TextScorer, *, tokens: int
) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """Return plain generation and one generation per extraction."""

    def plain(prompt_ids: torch.Tensor) -> torch.Tensor:
        return behavior.model.generate(prompt_ids, max_new_tokens=tokens, do_sample=True, top_k=0, pad_token_id=0)

    def of(extraction: str) -> Callable[[torch.Tensor], torch.Tensor]:
        def make(prompt_ids: torch.Tensor) -> torch.Tensor:
            policy = PolicySettings(extraction)  # type: ignore[arg-type] (checked by PolicySettings)
            processor = QLogitsProcessor(behavior, q_model, policy)
            return processor.model.generate(
                prompt_ids, max_new_tokens=tokens, pad_token_id=0, **processor.generation_settings
            )

        return make

    return {PLAIN: plain, **{name: of(name) for name in LARGEST_RATIO}}


def summary(times_s: list[float], plain_s: list[float], tokens: int) -> dict[str, Any]:
    """Return the median time of a token, and the ratio of the medians with a 95 % bootstrap interval over rounds."""
    ours, theirs = np.array(times_s), np.array(plain_s)
    drawn = np.random.default_rng(0).integers(0, len(ours), (500, len(ours)))
    ratios = np.median(ours[drawn], axis=1) / np.median(theirs[drawn], axis=1)
    return {
        "token_ms": float(np.median(ours)) * 1e3 / tokens,
        "ratio": float(np.median(ours) / np.median(theirs)),
        "ratio_interval": [float(bound) for bound in np.quantile(ratios, [0.025, 0.975])],
    }


if __name__ == "__main__":
    sys.exit(main())
