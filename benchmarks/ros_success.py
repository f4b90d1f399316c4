"""A checkpoint's success over ROS against its success without, on the same scenes.

    python benchmarks/ros_success.py --checkpoint runs/demo/q/policy --episodes 200 --out runs/bench/ros_success.json

Over ROS: simulated robot, controller and the client of its action in three processes, over DDS. Without: policy and
simulator in one process, as `qsft evaluate` does it. The scenes are those of the evaluation, seen by no training.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench_ros import ROS_PACKAGES, node_environment

from vlm_qsft.cli.provenance import installed_version, provenance
from vlm_qsft.model.manifest import read_manifest

DOMAIN_ID = 42
TASK = "pick"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison, print it and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=Path("runs/demo/q/policy"), help="that drives")
    parser.add_argument("--episodes", type=int, default=200, help="scenes")
    parser.add_argument("--real-time-factor", type=float, default=2.0, help="of the simulated robot")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/ros_success.json"), help="JSON file to write")
    chosen = parser.parse_args(arguments)
    variables = node_environment(domain_id=DOMAIN_ID)
    driven = drive_episodes(variables, chosen.checkpoint, chosen.episodes, chosen.real_time_factor)
    result = compare_with_direct(chosen.checkpoint, driven) | provenance()
    result["versions"] |= {name: installed_version(name) for name in ROS_PACKAGES}
    result["real_time_factor"] = chosen.real_time_factor
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=2) + "\n")
    for name in ("over_ros", "without_ros", "is_within", "paired", "same_outcome", "held"):
        print(f"{name:<24}{result[name]}")
    print(chosen.out)
    return 0


def drive_episodes(
    variables: dict[str, str], checkpoint: Path, episodes: int, real_time_factor: float
) -> list[dict[str, Any]]:
    """Return the record of every episode that was driven over ROS, in the order of the scenes."""
    words = [f"checkpoint:={checkpoint}", f"real_time_factor:={real_time_factor}", "activate:=false"]
    robot = subprocess.Popen([sys.executable, "-m", "qsft_bringup.start", "simulator", *words], env=variables)
    try:
        driver = [sys.executable, "-m", "qsft_controller.episode_driver", TASK, "evaluation", "0", str(episodes)]
        told = subprocess.run(driver, env=variables, stdout=subprocess.PIPE, text=True, check=True)
    finally:
        robot.send_signal(signal.SIGTERM)
        robot.wait()
    return [json.loads(line) for line in told.stdout.splitlines()]


def compare_with_direct(checkpoint: Path, driven: list[dict[str, Any]]) -> dict[str, Any]:
    """Return both success rates with their intervals, and the paired difference."""
    from qsft_sim.environment import EnvironmentSettings
    from qsft_sim.evaluation import evaluate
    from qsft_sim.seeds import EVALUATION
    from qsft_sim.statistics import compare, summarise
    from vlm_qsft.policy.loading import chosen_settings, policy_maker

    settings, identity = chosen_settings(checkpoint), read_manifest(checkpoint).identity
    with tempfile.TemporaryDirectory() as folder:
        direct = evaluate(
            policy_maker(checkpoint, settings, device="cpu"),
            task=TASK,
            episodes=len(driven),
            base=EVALUATION,
            out=Path(folder) / "direct.jsonl",
            environment=EnvironmentSettings(),
            settings=settings.to_json(),
            identity=identity,
        )
    assert [each.instruction for each in direct] == [each["instruction"] for each in driven]
    over_ros = [replace(each, success=record["success"]) for each, record in zip(direct, driven, strict=True)]
    with_ros, without, paired = summarise(over_ros), summarise(direct), compare(over_ros, direct)
    return {
        "checkpoint": identity,
        "settings": asdict(settings),
        "task": TASK,
        "scenes": f"evaluation 0 to {len(driven) - 1}",
        "over_ros": with_ros.success_rate,
        "over_ros_interval": with_ros.interval,
        "without_ros": without.success_rate,
        "without_ros_interval": without.interval,
        "is_within": without.interval[0] <= with_ros.success_rate <= without.interval[1],
        "paired": asdict(paired),
        "same_outcome": 1 - (paired.only_first + paired.only_second) / paired.episodes,
        "held": sum(":" in each["reason"] and not each["success"] for each in driven),
        "load_average": round(os.getloadavg()[0], 2),
        "driven": driven,
        "direct": [{"episode": each.episode, "success": each.success, "steps": each.steps} for each in direct],
    }


if __name__ == "__main__":
    sys.exit(main())
