"""The controller node under load: does it keep its control period?

    python benchmarks/bench_ros.py --out runs/bench/ros.json

Two cameras of 640 x 480 at 30 Hz in one process, joint states at 100 Hz and a listener to commands in another, the
controller with a control period of 100 ms in a third, all over DDS. What counts is when commands arrive at the arm:
jitter is by how much the time between two of them differs from the period. Once with a scripted policy, which decides
in no time, and once with the small model of the demo, whose weights are random, which changes no time; and both again
with real-time scheduling of the control loop (parameter thread_priority), where this user may have it.
Nothing else should run; `nice -n -20` before the command comes near to that on a machine that is not one's own. A loop
that only wakes up once a period, in a fourth process, says how punctual the machine itself was meanwhile.
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
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vlm_qsft.cli.provenance import installed_version, provenance
from vlm_qsft.errors import CommandRefused, MissingDependency

ROOT = Path(__file__).resolve().parents[1]
PERIOD_S, LARGEST_JITTER_P99_S = 0.1, 0.010
DOMAIN_ID = 41
WARM_UP_S = 5.0
MAX_AGE_S = 2.0
"""Of a picture: what is measured is the period, and a machine that other programs keep busy must not make it hold."""
REAL_TIME_PRIORITY = 50
SCRIPTED = {"policy": "ros_rig:ScriptedPolicy"}
JOINTS = tuple(f"joint_{number}" for number in range(1, 8))
CAMERAS: tuple[str, ...] = ("front", "wrist")
ROS_PACKAGES = ("ros-rclpy", "ros-rmw-fastrtps-cpp", "ros-fastdds")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/bench/ros.json"), help="JSON file to write")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each measurement")
    chosen = parser.parse_args(arguments)
    variables = node_environment(domain_id=DOMAIN_ID)
    with tempfile.TemporaryDirectory() as folder:
        save_small_model(Path(folder) / "policy")
        small = {"checkpoint": str(Path(folder) / "policy")}
        runs: dict[str, dict[str, Any]] = {
            "scripted": SCRIPTED,
            "small model": small,
        }
        if may_have_real_time():
            real_time = {"thread_priority": REAL_TIME_PRIORITY}
            runs |= {f"{name}, real-time": given | real_time for name, given in runs.items()}
        timing = {name: measure(variables, given, chosen.seconds) for name, given in runs.items()}
    result: dict[str, Any] = {"timing": timing, "period_ms": PERIOD_S * 1e3, "seed": 0} | provenance()
    result["largest_jitter_p99_ms"] = LARGEST_JITTER_P99_S * 1e3
    result["is_within"] = timing["scripted"]["jitter_p99_ms"] < LARGEST_JITTER_P99_S * 1e3
    result["versions"] |= {name: installed_version(name) for name in ROS_PACKAGES}
    result["niceness"] = os.nice(0)
    result["ros_distribution"] = os.environ.get("ROS_DISTRO", "kilted")
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=2) + "\n")
    for policy, numbers in timing.items():
        for name, value in numbers.items():
            print(f"{policy:<26}{name:<20}{value}")
    print(chosen.out)
    return 0


def node_environment(*, domain_id: int) -> dict[str, str]:
    """Return the variables of nodes that run from their sources and talk to this machine only.

    Raises:
        MissingDependency: no ROS 2.
    """
    if importlib.util.find_spec("rclpy") is None:
        raise MissingDependency("rclpy is not installed: pip install 'vlm-qsft[ros]', or source a ROS 2 installation.")
    spec = importlib.util.spec_from_file_location("ros2_ws_environment", ROOT / "ros2_ws" / "environment.py")
    assert spec is not None and spec.loader is not None  # it is a file that exists
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    variables = module.node_environment(domain_id=domain_id)
    variables["FASTDDS_DEFAULT_PROFILES_FILE"] = str(ROOT / "ros2_ws/src/qsft_bringup/config/fastdds.xml")
    variables["PYTHONPATH"] = os.pathsep.join([str(ROOT / "benchmarks"), variables["PYTHONPATH"]])
    return variables


def may_have_real_time() -> bool:
    """Tell whether a process of this user may have real-time scheduling."""
    ask = "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))"
    return subprocess.run([sys.executable, "-c", ask], capture_output=True).returncode == 0


def controller_words(chosen: dict[str, Any]) -> list[str]:
    """Return the command line of the controller.

    Args:
        chosen: parameters in which measurements differ.
    """
    given: dict[str, object] = {
        **chosen,
        "axes": JOINTS,
        "cameras": CAMERAS,
        "state_sources": [f"joint.{name}.position" for name in JOINTS],
        "control_period_s": PERIOD_S,
        "while_thinking": "wait",  # a machine that other programs keep busy makes no decision late
        "instruction": "swing",
        "seed": 0,
    }
    given |= {f"camera.{name}.max_age_s": MAX_AGE_S for name in CAMERAS} | {"measurement_max_age_s": MAX_AGE_S}
    for name in JOINTS:
        given |= {f"axis.{name}.lower": -1.0, f"axis.{name}.upper": 1.0, f"axis.{name}.velocity": 1.0}
        given |= {f"axis.{name}.action": name, f"axis.{name}.kind": "delta_from_goal"}
    words = [sys.executable, "-m", "qsft_controller.controller_node", "--ros-args"]
    return words + [word for name, value in given.items() for word in ("-p", f"{name}:={json.dumps(value)}")]


def save_small_model(folder: Path) -> None:
    """Write a checkpoint of the demo's size with random weights, for the robot of this benchmark."""
    import torch

    from vlm_qsft.data.schema import DatasetSchema
    from vlm_qsft.model import ModelSettings, StateStatistics, build_scorer, save_checkpoint
    from vlm_qsft.tokens import ActionTokenizer

    torch.manual_seed(0)
    cameras: dict[str, tuple[int, int]] = dict.fromkeys(CAMERAS, (480, 640))
    schema = DatasetSchema(cameras, JOINTS, JOINTS, Fraction(5), robot_type="benchmark")
    ends = np.array([[-0.01], [0.01]], dtype=np.float32) * np.ones(len(JOINTS), dtype=np.float32)
    tokenizer = ActionTokenizer.fit(ends, action_names=JOINTS, n_bins=256)
    statistics = StateStatistics((0.0,) * len(JOINTS), (1.0,) * len(JOINTS))
    scorers = [build_scorer(ModelSettings(), schema, tokenizer, ["swing"], statistics) for _ in range(2)]
    save_checkpoint(
        folder, behavior=scorers[0], q_model=scorers[1], action_tokenizer=tokenizer, schema=schema, metadata={}
    )


def measure(variables: dict[str, str], chosen: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Return how regularly commands arrive while pictures and joint states stream, and what that costs.

    Raises:
        CommandRefused: the controller cannot be configured and activated.
    """
    import psutil

    rig = [sys.executable, str(ROOT / "benchmarks" / "ros_rig.py")]
    with tempfile.TemporaryDirectory() as folder:
        arrivals, clock = Path(folder) / "arrivals.json", Path(folder) / "clock.json"
        alone = ([*rig, "clock", str(clock)], [*rig, "cameras"], [*rig, "arm", str(arrivals)])
        words = (*alone, controller_words(chosen))
        processes = [subprocess.Popen(each, env=variables) for each in words]
        try:
            activate = ["-m", "qsft_bringup.activate_controller", "--ros-args", "-p", "activate:=true"]
            if subprocess.run([sys.executable, *activate], env=variables).returncode != 0:
                raise CommandRefused("The controller was not activated; what it printed above says why.")
            time.sleep(WARM_UP_S)
            controller = psutil.Process(processes[-1].pid)
            begin_s, used_s = time.monotonic(), _processor_s(controller)
            time.sleep(seconds)
            end_s, used_s = time.monotonic(), _processor_s(controller) - used_s
        finally:
            for process in reversed(processes):
                process.send_signal(signal.SIGINT)
                process.wait()
        came = np.array(json.loads(arrivals.read_text()))
        woke = np.array(json.loads(clock.read_text()))
    machine = {f"machine_{name}": value for name, value in jitter_of(woke, begin_s, end_s).items()}
    cost = {"controller_cores": round(used_s / (end_s - begin_s), 3), "load_average": round(os.getloadavg()[0], 2)}
    return regularity(came, begin_s, end_s) | machine | cost


def regularity(came: np.ndarray, begin_s: float, end_s: float) -> dict[str, Any]:
    """Return by how much the time between two commands differs from the control period.

    Args:
        came: (command, 2): when it arrived, s, and its largest speed.
        begin_s: of what counts.
        end_s: of what counts.
    """
    times, speeds = came.T
    measured = (times >= begin_s) & (times < end_s)
    return {
        "commands": int(measured.sum()),
        "commands_expected": round((end_s - begin_s) / PERIOD_S),
        "period_mean_ms": round(float(np.diff(times[measured]).mean()) * 1e3, 3),
        **jitter_of(times, begin_s, end_s),
        "moving_share": round(float((speeds[measured] > 0).mean()), 3),
    }


def jitter_of(times: np.ndarray, begin_s: float, end_s: float) -> dict[str, float]:
    """Return the quantiles of |time between two events - control period| from `begin_s` to `end_s`, ms."""
    periods = np.diff(times[(times >= begin_s) & (times < end_s)])
    jitter_ms = np.abs(periods - PERIOD_S) * 1e3
    quantiles = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {f"jitter_{name}_ms": round(float(np.quantile(jitter_ms, share)), 3) for name, share in quantiles.items()}


def _processor_s(process: Any) -> float:
    used = process.cpu_times()
    return used.user + used.system


if __name__ == "__main__":
    sys.exit(main())
