"""One Q-SFT decision against one SFT decision, batch size one, as a robot makes them.

    python benchmarks/bench_policy.py --out runs/bench/policy.json

The model is that of the demo: the small model, two 64 x 64 cameras, five 256-bin tokens; its weights are random, which
changes no time. Every round lets all policies decide once in turn. On a CPU the times that count are CPU time of the
deciding thread, with one thread, so that other work on the machine counts little; wall time is given as well.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlm_qsft.cli.provenance import provenance
from vlm_qsft.data.schema import DatasetSchema
from vlm_qsft.model import Checkpoint, ModelSettings, StateStatistics, build_scorer
from vlm_qsft.policy import PolicySettings, QPolicy
from vlm_qsft.policy.decoding import PairDecoding
from vlm_qsft.tokens import ActionTokenizer
from vlm_qsft.types import Observation

INSTRUCTION = "pick up the red cube"
SCHEMA = DatasetSchema(
    {"front": (64, 64), "wrist": (64, 64)},
    tuple(f"state_{number}" for number in range(12)),
    ("dx", "dy", "dz", "dyaw", "gripper"),
    Fraction(5),
    robot_type="benchmark",
)
SFT, RATIO, UNFUSED = "sft", "ratio", "ratio, networks one after the other"
SETTINGS = {
    SFT: PolicySettings("sft"),
    "single": PolicySettings("single"),
    RATIO: PolicySettings("ratio"),
    "likelihood": PolicySettings("likelihood"),
    UNFUSED: PolicySettings("ratio"),
}
LARGEST_RATIO = 1.5
WARM_UP_ROUNDS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/bench/policy.json"), help="JSON file to write")
    parser.add_argument("--rounds", type=int, default=400, help="timed decisions of each policy")
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args(arguments)
    result = run(rounds=chosen.rounds, device_name=chosen.device) | provenance()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=2) + "\n")
    for name, policy in result["policies"].items():
        low, high = policy["ratio_interval"]
        print(
            f"{name:<36} {policy['decision_ms']:7.2f} ms  {policy['ratio_to_sft']:.2f} x SFT [{low:.2f}, {high:.2f}]"
            f"   wall {policy['wall_ms']:.2f} ms"
        )
    print(chosen.out)
    return 0


def run(*, rounds: int = 400, device_name: str = "cpu", seed: int = 0) -> dict[str, Any]:
    """Return milliseconds per decision of SFT and of every extraction, and their ratio to SFT.

    Args:
        rounds: timed decisions of each policy.
        device_name: "cpu", or "cuda", where only wall time means anything.
        seed: of weights, observations and draws.
    """
    device = torch.device(device_name)
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    policies = build_policies(device, seed=seed)
    generator = np.random.default_rng(seed)
    cpu_s: dict[str, list[float]] = {name: [] for name in policies}
    wall_s: dict[str, list[float]] = {name: [] for name in policies}
    for number in range(rounds + WARM_UP_ROUNDS):
        observation = random_observation(generator)
        for name, policy in policies.items():
            begin_cpu_s, begin_s = time.thread_time(), time.perf_counter()
            policy.act(observation)
            if number >= WARM_UP_ROUNDS:
                cpu_s[name].append(time.thread_time() - begin_cpu_s)
                wall_s[name].append(time.perf_counter() - begin_s)
    torch.set_num_threads(threads)
    counted = cpu_s if device.type == "cpu" else wall_s
    summaries = {name: summary(counted[name], counted[SFT], wall_s[name]) for name in policies}
    scorer = policies[SFT].checkpoint.behavior
    assert scorer is not None
    return {
        "policies": summaries,
        "ratio_to_sft": summaries[RATIO]["ratio_to_sft"],
        "largest_ratio": LARGEST_RATIO,
        "is_within": summaries[RATIO]["ratio_to_sft"] <= LARGEST_RATIO,
        "clock": "CPU time of the deciding thread, one thread" if device.type == "cpu" else "wall time",
        "settings": {"rounds": rounds, "seed": seed},
        "parameters": sum(weight.numel() for weight in scorer.parameters()),
        "device": str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
    }


def build_policies(device: torch.device, *, seed: int) -> dict[str, QPolicy]:
    """Return one policy per entry of SETTINGS, reset to one instruction, all of one checkpoint."""
    torch.manual_seed(seed)
    actions = np.random.default_rng(seed).uniform(-1.0, 1.0, (1000, len(SCHEMA.action_names)))
    tokenizer = ActionTokenizer.fit(actions, action_names=SCHEMA.action_names)
    n_states = len(SCHEMA.state_names)
    statistics = StateStatistics((0.0,) * n_states, (1.0,) * n_states)
    behavior, q_model = (
        build_scorer(ModelSettings(), SCHEMA, tokenizer, [INSTRUCTION], statistics).to(device).eval() for _ in range(2)
    )
    q_model.reset_dummy(0.5)
    checkpoint = Checkpoint(Path("benchmark"), behavior, q_model, tokenizer, SCHEMA, {}, "benchmark")
    policies = {name: QPolicy(checkpoint, settings, device) for name, settings in SETTINGS.items()}
    policies[UNFUSED].decider.decoding = PairDecoding(behavior, q_model)
    for policy in policies.values():
        policy.reset(INSTRUCTION, seed=seed)
    return policies


def random_observation(generator: np.random.Generator) -> Observation:
    """Return pictures and a state that no policy has seen."""
    images = {name: generator.integers(0, 256, (*size, 3), dtype=np.uint8) for name, size in SCHEMA.cameras.items()}
    return Observation(images, generator.normal(size=len(SCHEMA.state_names)).astype(np.float32))


def summary(times_s: list[float], sft_s: list[float], wall_s: list[float]) -> dict[str, Any]:
    """Return the median decision, and the ratio of the medians with a 95 % bootstrap interval over rounds."""
    ours, theirs = np.array(times_s), np.array(sft_s)
    drawn = np.random.default_rng(0).integers(0, len(ours), (500, len(ours)))
    ratios = np.median(ours[drawn], axis=1) / np.median(theirs[drawn], axis=1)
    return {
        "decision_ms": float(np.median(ours)) * 1e3,
        "decision_p95_ms": float(np.quantile(ours, 0.95)) * 1e3,
        "wall_ms": float(np.median(wall_s)) * 1e3,
        "ratio_to_sft": float(np.median(ours) / np.median(theirs)),
        "ratio_interval": [float(bound) for bound in np.quantile(ratios, [0.025, 0.975])],
    }


if __name__ == "__main__":
    sys.exit(main())
