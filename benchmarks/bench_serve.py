"""What a policy server costs and what batching brings: decisions over the network against decisions here, in one run.

    python benchmarks/bench_serve.py --out runs/bench/serve.json

The model is that of `bench_policy.py`: the demo's, with random weights. Server and robots are threads of one process on
the loopback, so that every number is a lower bound of what a real network takes and an upper bound of what the robots'
own work, which a real server does not do, costs the server. Rounds take the variants in turn.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlm_qsft.cli.bench import load_benchmark
from vlm_qsft.cli.provenance import provenance
from vlm_qsft.policy import QPolicy
from vlm_qsft.remote import RemotePolicy, RemoteSettings, ServerAddress, read_credentials
from vlm_qsft.remote.description import describe
from vlm_qsft.remote.server import PolicyServer
from vlm_qsft.remote.server_settings import ServerSettings

bench_policy = load_benchmark("policy")
LOCAL, RAW, JPEG = "local", "remote, raw pictures", "remote, JPEG pictures"
ROBOTS = (1, 4, 16)
WARM_UP_ROUNDS = 10
BATCH = 16
WINDOW_S = 0.002
PATIENT_S = 600.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, print the tables and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/bench/serve.json"), help="JSON file to write")
    parser.add_argument("--rounds", type=int, default=200, help="timed decisions of each variant and each robot")
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args(arguments)
    result = run(rounds=chosen.rounds, device_name=chosen.device) | provenance()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=2) + "\n")
    for name, timed in result["latency"].items():
        low, high = timed["ratio_interval"]
        print(
            f"{name:<24} {timed['decision_ms']:7.2f} ms  {timed['ratio_to_local']:.2f} x local [{low:.2f}, {high:.2f}]"
        )
    for robots, rates in result["throughput"].items():
        print(
            f"{robots:>3} robots: {rates['batched_per_s']:7.1f} decisions/s in batches, "
            f"{rates['one_by_one_per_s']:7.1f} one by one, ratio {rates['ratio']:.2f}"
        )
    print(chosen.out)
    return 0


def run(*, rounds: int = 200, device_name: str = "cpu", seed: int = 0) -> dict[str, Any]:
    """Return the time of a decision here and over the network, and decisions per second of several robots.

    Args:
        rounds: timed decisions of each variant, and of each robot.
        device_name: "cpu" or "cuda".
        seed: of weights, observations and draws.
    """
    device = torch.device(device_name)
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    policy = bench_policy.build_policies(device, seed=seed)[bench_policy.RATIO]
    with tempfile.TemporaryDirectory() as folder:
        token_file = Path(folder) / "token"
        token_file.touch(mode=0o600)
        token_file.write_text(secrets.token_hex(32))
        result = {
            "latency": latency(policy, token_file, rounds=rounds, seed=seed),
            "throughput": {
                str(robots): throughput(policy, token_file, robots=robots, rounds=max(rounds // robots, 5), seed=seed)
                for robots in ROBOTS
            },
        }
    torch.set_num_threads(threads)
    return result | {
        "clock": "wall time",
        "settings": {"rounds": rounds, "seed": seed, "max_batch": BATCH, "batch_window_s": WINDOW_S},
        "device": str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
    }


@contextmanager
def serving(policy: QPolicy, token_file: Path, *, max_batch: int) -> Iterator[PolicyServer]:
    """Serve a policy on a free port of the loopback."""
    settings = ServerSettings(max_connections=max(ROBOTS) + 2, max_batch=max_batch, batch_window_s=WINDOW_S)
    with PolicyServer(
        policy.decider,
        describe(policy.decider, largest_message=settings.largest_message),
        address=ServerAddress("127.0.0.1", 0),
        credentials=read_credentials(token_file),
        settings=settings,
    ) as server:
        yield server


def ask(server: PolicyServer, token_file: Path, **settings: Any) -> RemotePolicy:
    """Return a client with an instruction."""
    chosen = RemoteSettings(server.address, token_file, timeout_s=PATIENT_S, connect_timeout_s=PATIENT_S, **settings)
    policy = RemotePolicy(chosen)
    policy.reset(bench_policy.INSTRUCTION, seed=0)
    return policy


def latency(policy: QPolicy, token_file: Path, *, rounds: int, seed: int) -> dict[str, Any]:
    """Return the time of a decision of every variant, and its ratio to the local one with a 95 % interval."""
    generator = np.random.default_rng(seed)
    with (
        serving(policy, token_file, max_batch=1) as server,
        ask(server, token_file) as raw,
        ask(server, token_file, pictures="jpeg") as jpeg,
    ):
        variants: dict[str, Callable] = {LOCAL: policy.act, RAW: raw.act, JPEG: jpeg.act}
        times_s: dict[str, list[float]] = {name: [] for name in variants}
        for number in range(rounds + WARM_UP_ROUNDS):
            observation = bench_policy.random_observation(generator)
            for name, act in variants.items():
                begin_s = time.perf_counter()
                act(observation)
                if number >= WARM_UP_ROUNDS:
                    times_s[name].append(time.perf_counter() - begin_s)
    measured = {}
    for name, taken_s in times_s.items():
        timed = bench_policy.summary(taken_s, times_s[LOCAL], taken_s)
        measured[name] = {
            "decision_ms": timed["decision_ms"],
            "decision_p95_ms": timed["decision_p95_ms"],
            "ratio_to_local": timed["ratio_to_sft"],
            "ratio_interval": timed["ratio_interval"],
        }
    return measured


def throughput(policy: QPolicy, token_file: Path, *, robots: int, rounds: int, seed: int) -> dict[str, Any]:
    """Return decisions per second of robots that ask as fast as they are answered, in batches and one by one."""
    generator = np.random.default_rng(seed)
    observations = [bench_policy.random_observation(generator) for _ in range(robots)]
    rates: dict[str, list[float]] = {"one_by_one": [], "batched": []}
    sizes: list[float] = []
    for _ in range(3):
        for name, max_batch in (("one_by_one", 1), ("batched", BATCH)):
            with serving(policy, token_file, max_batch=max_batch) as server:
                rates[name].append(_rate(server, token_file, observations, rounds=rounds))
                if max_batch > 1:
                    sizes.append(server.health.decisions / server.health.batches)
    medians = {name: float(np.median(rate)) for name, rate in rates.items()}
    return {
        "one_by_one_per_s": medians["one_by_one"],
        "batched_per_s": medians["batched"],
        "ratio": medians["batched"] / medians["one_by_one"],
        "runs_per_s": rates,
        "robots_per_batch": float(np.median(sizes)),
    }


def _rate(server: PolicyServer, token_file: Path, observations: Sequence, *, rounds: int) -> float:
    policies = [ask(server, token_file) for _ in observations]
    ready = threading.Barrier(len(policies) + 1)

    def drive(policy: RemotePolicy, observation: Any) -> None:
        policy.act(observation)
        ready.wait()
        for _ in range(rounds):
            policy.act(observation)

    robots = [
        threading.Thread(target=drive, args=(policy, seen)) for policy, seen in zip(policies, observations, strict=True)
    ]
    for robot in robots:
        robot.start()
    ready.wait()
    begin_s = time.perf_counter()
    for robot in robots:
        robot.join()
    taken_s = time.perf_counter() - begin_s
    for policy in policies:
        policy.close()
    return len(policies) * rounds / taken_s


if __name__ == "__main__":
    sys.exit(main())
