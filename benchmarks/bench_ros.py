"""The controller node under load, and a checkpoint's success rate over ROS against the one without.

    python benchmarks/bench_ros.py --out runs/bench/ros.json --checkpoint runs/demo/q/policy --episodes 100

Timing: two cameras of 640 x 480 at 30 Hz and joint states at 100 Hz from one process, a scripted policy in the
controller in another, a control period of 100 ms; what counts is when commands arrive at the arm. Success: the same
scenes through the simulated robot, the controller and the action, and through the environment in one process.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vlm_qsft.cli.provenance import provenance
from vlm_qsft.errors import MissingDependency

ROOT = Path(__file__).resolve().parents[1]
PERIOD_S, LARGEST_JITTER_P99_S = 0.1, 0.010
DOMAIN_ID = 41
WARM_UP_S = 5.0
START_S = 25.0
"""Until the nodes have found each other and the controller is active."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/bench/ros.json"), help="JSON file to write")
    parser.add_argument("--seconds", type=float, default=60.0, help="of timing under load")
    parser.add_argument("--checkpoint", type=Path, default=Path("runs/demo/q/policy"), help="whose success is compared")
    parser.add_argument("--episodes", type=int, default=20, help="scenes of the comparison; 0 leaves it out")
    parser.add_argument("--real-time-factor", type=float, default=4.0, help="of the simulated robot")
    chosen = parser.parse_args(arguments)
    if importlib.util.find_spec("rclpy") is None:
        raise MissingDependency("rclpy is not installed: pip install 'vlm-qsft[ros]', or source a ROS 2 installation.")
    variables = node_environment()
    result: dict[str, Any] = {"timing": timing(variables, chosen.seconds)} | provenance()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    if chosen.episodes and chosen.checkpoint.is_dir():
        result["success"] = success(variables, chosen.checkpoint, chosen.episodes, chosen.real_time_factor)
    chosen.out.write_text(json.dumps(result, indent=2) + "\n")
    for name, value in result["timing"].items():
        print(f"{name:<32} {value}")
    for name, value in result.get("success", {}).items():
        print(f"{name:<32} {value}")
    print(chosen.out)
    return 0


def node_environment() -> dict[str, str]:
    """Return the variables of nodes that run from their sources and talk to this machine only."""
    spec = importlib.util.spec_from_file_location("ros2_ws_environment", ROOT / "ros2_ws" / "environment.py")
    assert spec is not None and spec.loader is not None  # it is a file that exists
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    variables = module.node_environment(domain_id=DOMAIN_ID)
    variables["PYTHONPATH"] = os.pathsep.join([str(ROOT / "benchmarks"), variables["PYTHONPATH"]])
    return variables


def controller_words() -> list[str]:
    """Return the command line of the controller with the scripted policy."""
    names = [f"joint_{number}" for number in range(1, 8)]
    given: dict[str, object] = {
        "policy": "ros_rig:ScriptedPolicy",
        "axes": names,
        "cameras": ["front", "wrist"],
        "state_sources": [f"joint.{name}.position" for name in names],
        "control_period_s": PERIOD_S,
        "while_thinking": "continue",
        "instruction": "swing",
    }
    for name in names:
        given |= {f"axis.{name}.lower": -1.0, f"axis.{name}.upper": 1.0, f"axis.{name}.velocity": 1.0}
        given |= {f"axis.{name}.action": name, f"axis.{name}.kind": "delta_from_goal"}
    words = [sys.executable, "-m", "qsft_controller.controller_node", "--ros-args"]
    return words + [word for name, value in given.items() for word in ("-p", f"{name}:={json.dumps(value)}")]


def timing(variables: dict[str, str], seconds: float) -> dict[str, Any]:
    """Return how regularly commands arrive while pictures and joint states stream, and what that costs."""
    import psutil

    with tempfile.TemporaryDirectory() as folder:
        arrivals = Path(folder) / "arrivals.json"
        total_s = str(START_S + WARM_UP_S + seconds)
        rig = subprocess.Popen(
            [sys.executable, str(ROOT / "benchmarks/ros_rig.py"), total_s, str(arrivals)], env=variables
        )
        controller = subprocess.Popen(controller_words(), env=variables)
        activator = subprocess.run(
            [sys.executable, "-m", "qsft_bringup.activate_controller", "--ros-args", "-p", "activate:=true"],
            env=variables,
        )
        begin = time.monotonic()
        used_s = _processor_s(psutil.Process(controller.pid))
        rig.wait()
        used_s = (_processor_s(psutil.Process(controller.pid)) - used_s) / (time.monotonic() - begin)
        controller.send_signal(signal.SIGINT)
        controller.wait()
        times = np.array(json.loads(arrivals.read_text()))
    periods = np.diff(times[times > times[0] + WARM_UP_S])
    late = np.abs(periods - PERIOD_S)
    return {
        "activated": activator.returncode == 0,
        "commands": len(periods),
        "period_mean_ms": round(float(periods.mean()) * 1e3, 3),
        "jitter_p50_ms": round(float(np.quantile(late, 0.5)) * 1e3, 3),
        "jitter_p99_ms": round(float(np.quantile(late, 0.99)) * 1e3, 3),
        "jitter_max_ms": round(float(late.max()) * 1e3, 3),
        "largest_jitter_p99_ms": LARGEST_JITTER_P99_S * 1e3,
        "is_within": bool(np.quantile(late, 0.99) <= LARGEST_JITTER_P99_S),
        "controller_cores": round(used_s, 3),
        "load_average": os.getloadavg()[0],
    }


def _processor_s(process: Any) -> float:
    used = process.cpu_times()
    return used.user + used.system


def success(variables: dict[str, str], checkpoint: Path, episodes: int, real_time_factor: float) -> dict[str, Any]:
    """Return both success rates on the same scenes, with their intervals."""
    from qsft_sim.environment import EnvironmentSettings
    from qsft_sim.evaluation import evaluate
    from qsft_sim.seeds import EVALUATION
    from qsft_sim.statistics import wilson_interval
    from vlm_qsft.policy.loading import chosen_settings, policy_maker

    over_ros = drive_episodes(variables, checkpoint, episodes, real_time_factor)
    with tempfile.TemporaryDirectory() as folder:
        direct = evaluate(
            policy_maker(checkpoint, chosen_settings(checkpoint), device="cpu"),
            task="pick",
            episodes=episodes,
            base=EVALUATION,
            out=Path(folder) / "direct.jsonl",
            environment=EnvironmentSettings(),
        )
    n_ros, n_direct = sum(each["success"] for each in over_ros), sum(each.success for each in direct)
    low, high = wilson_interval(n_direct, episodes)
    agree = sum(each["success"] == other.success for each, other in zip(over_ros, direct, strict=True))
    return {
        "checkpoint": str(checkpoint),
        "episodes": episodes,
        "rate_over_ros": n_ros / episodes,
        "interval_over_ros": wilson_interval(n_ros, episodes),
        "rate_without_ros": n_direct / episodes,
        "interval_without_ros": (low, high),
        "is_within": low <= n_ros / episodes <= high,
        "same_outcome": agree / episodes,
        "held_for_a_fault": sum(":" in each["reason"] and not each["success"] for each in over_ros),
        "driven": over_ros,
    }


def drive_episodes(
    variables: dict[str, str], checkpoint: Path, episodes: int, real_time_factor: float
) -> list[dict[str, Any]]:
    """Return the record of every episode that was driven over ROS, by a process with the variables of a node."""
    words = [f"checkpoint:={checkpoint}", f"real_time_factor:={real_time_factor}", "activate:=false"]
    robot = subprocess.Popen([sys.executable, "-m", "qsft_bringup.start", "simulator", *words], env=variables)
    try:
        driver = [sys.executable, "-m", "qsft_controller.episode_driver", "pick", "evaluation", "0", str(episodes)]
        told = subprocess.run(driver, env=variables, capture_output=True, text=True)
    finally:
        robot.send_signal(signal.SIGTERM)
        robot.wait()
    if told.returncode != 0:
        raise RuntimeError(told.stderr)
    return [json.loads(line) for line in told.stdout.splitlines()]


if __name__ == "__main__":
    sys.exit(main())
