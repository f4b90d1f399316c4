"""A synthetic run folder of the shape that a demo leaves behind, from seeds, in a second."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from qsft_sim.results import EpisodeResult
from qsft_sim.trace import Trace
from vlm_qsft.data.episode import Episode
from vlm_qsft.data.labels import LabelSettings
from vlm_qsft.data.schema import DatasetSchema
from vlm_qsft.data.writer import DatasetWriter

N_BINS, STEPS, SIZE = 256, 28, 64
ACTION_NAMES = ("dx", "dy", "dz", "dyaw", "gripper")
LIMITS = (0.05, 0.05, 0.05, 0.25, 1.0)
SUCCESS_RATES = {"qsft": 0.7, "sft_success": 0.6, "sft": 0.42}
COLOURS = {"red": (208, 62, 55), "blue": (55, 98, 205), "green": (62, 160, 84)}


@pytest.fixture(scope="session")
def complete_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "demo")


def write_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    run = {
        "command": "qsft demo --preset demo --out runs/demo",
        "preset": "demo",
        "started": "2026-01-05T09:12:44+00:00",
        "settings": {
            "task": "pick", "episodes": 1200, "cameras": ["front", "wrist"], "image_size": [64, 64],
            "model": {"family": "small", "n_bins": N_BINS, "width": 192},
            "training": {"steps": 2400, "batch_size": 128, "learning_rate": 5e-4, "backup": "monte_carlo"},
        },
        "seeds": {"recording": 0, "training": 17, "evaluation": 2},
        "versions": {"python": "3.12.8", "torch": "2.11.0", "transformers": "5.5.0", "mujoco": "3.8.1"},
    }  # fmt: skip
    write_json(folder / "run.json", run)
    summary = {
        "wall_s": 1507.3, "peak_rss_gb": 3.42, "versions": run["versions"], "seeds": run["seeds"],
        "policies": {}, "stages": {"record": 74.2, "train": 905.1, "evaluate": 412.0},
    }  # fmt: skip
    write_json(folder / "summary.json", summary)
    write_logs(folder / "data", np.random.default_rng(1))
    for phase in ("behavior", "sft_success", "q"):
        write_metrics(folder / phase / "metrics.jsonl", phase, np.random.default_rng(2))
    write_q_diagnostics(folder / "q", np.random.default_rng(3))
    for number, (policy, rate) in enumerate(SUCCESS_RATES.items()):
        write_evaluation(folder / "evaluation" / policy, policy, rate, np.random.default_rng(10 + number))
    return folder


def write_logs(root: Path, rng: np.random.Generator) -> None:
    schema = DatasetSchema({"front": (SIZE, SIZE), "wrist": (SIZE, SIZE)}, ("x", "y", "z"), ACTION_NAMES, Fraction(5))
    with DatasetWriter(root, schema, labels=LabelSettings("binary01", 0.98, "synthetic")) as writer:
        for index in range(8):
            success, length = index % 8 < 3, 6
            frames = scene_frames(success, rng)[:length]
            writer.add_episode(
                Episode(
                    images={"front": frames[:, 0], "wrist": frames[:, 1]},
                    state=rng.normal(size=(length, 3)),
                    action=rng.normal(size=(length, len(ACTION_NAMES))),
                    reward=np.array([0.0] * (length - 1) + [float(success)]),
                    terminated=success,
                    truncated=not success,
                    success=success,
                    instruction="pick up the red cube",
                )
            )
        writer.finalize()


def write_metrics(path: Path, phase: str, rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True)
    lines = []
    for step in range(10, 2401, 10):
        progress = 1 - math.exp(-step / 500)
        noise = float(rng.normal(0, 0.05))
        if phase == "q":
            metrics = {"loss": 2.1 - 1.1 * progress + noise, "mean_target": 0.36 + noise / 8,
                       "share_saturated": 0.04 + 0.02 * abs(noise), "value": 0.05 + 0.32 * progress}  # fmt: skip
        else:
            metrics = {"loss": 5.5 - 2.4 * progress + noise, "nll": 5.5 - 2.4 * progress + noise,
                       "accuracy": 0.02 + 0.2 * progress, "learning_rate": 5e-4 * (1 - step / 2400)}  # fmt: skip
        lines.append({"step": step, "phase": "q" if phase == "q" else "behavior", "split": "train", **metrics})
        if step % 200 == 0:
            held_out = {name: number * 1.04 for name, number in metrics.items() if name in ("loss", "nll", "accuracy")}
            lines.append({"step": step, "phase": phase, "split": "validation", **held_out})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_q_diagnostics(folder: Path, rng: np.random.Generator) -> None:
    edges = np.linspace(0, 1, 26)
    targets = np.concatenate([np.zeros(9000), 0.98 ** rng.integers(0, 38, size=6500)])
    counts, _ = np.histogram(targets, edges)
    write_json(folder / "targets.json", {"edges": edges.tolist(), "counts": counts.tolist()})
    predicted = np.linspace(0.05, 0.95, 10)
    bins = [
        {"predicted": float(p), "realised": float(np.clip(p + rng.normal(0, 0.03), 0, 1)), "count": int(n)}
        for p, n in zip(predicted, rng.integers(150, 3000, size=10), strict=True)
    ]
    write_json(folder / "calibration.json", {"bins": bins, "ece": 0.021})


def write_evaluation(folder: Path, policy: str, rate: float, rng: np.random.Generator) -> None:
    settings = {"extraction": "ratio", "temperature": 0.5, "inverse_temperature": 16.0 if policy == "qsft" else 0.0}
    episodes = [episode_line(number, rate, settings, rng) for number in range(200)]
    write_lines(folder / "final.jsonl", episodes)
    for number, temperature in enumerate((1.0, 0.5, 0.3)):
        tried = {**settings, "temperature": temperature}
        shifted = rate - (0.15 if temperature == 1.0 else 0.03 * number)
        write_lines(folder / f"tune-{number}.jsonl", [episode_line(n, shifted, tried, rng, base=1) for n in range(40)])
    twins = [twin_line(number, colour, rate, settings, rng) for number in range(60) for colour in ("red", "blue")]
    write_lines(folder / "counterfactual.jsonl", twins)
    for success in (True, False):
        line = next(line for line in episodes if line["success"] == success) | {"steps": STEPS}
        make_trace(line, rng, has_values=policy == "qsft").save(
            folder / f"trace-{'success' if success else 'failure'}.npz"
        )


def episode_line(
    number: int, rate: float, settings: dict[str, object], rng: np.random.Generator, *, base: int = 2
) -> dict[str, object]:
    hardness = np.random.default_rng([base, number]).random()  # the same scene is hard for every policy
    success = bool(0.6 * hardness + 0.4 * rng.random() < rate)
    steps = int(rng.integers(16, 30)) if success else 40
    return {
        "task": "pick", "base": base, "episode": number, "seed": number * 7919, "instruction": "pick up the red cube",
        "success": success, "wrong_object": bool(not success and rng.random() < 0.25), "steps": steps,
        "handled": "red cube" if success else "", "simulator": {"mujoco": "3.8.1", "variant": "standard"},
        "episode_return": float(success), "mean_value": float(rng.random()), "first_value": float(rng.random()),
        "settings": settings,
    }  # fmt: skip


def twin_line(
    number: int, colour: str, rate: float, settings: dict[str, object], rng: np.random.Generator
) -> dict[str, object]:
    line = episode_line(number, rate, settings, rng)
    handled = colour if line["success"] else rng.choice(["red", "blue"])
    return {**line, "instruction": f"pick up the {colour} cube", "handled": f"{handled} cube"}


def make_trace(line: dict[str, object], rng: np.random.Generator, *, has_values: bool) -> Trace:
    """Return a trace whose values rise in a success and fall in a failure."""
    result = EpisodeResult.from_json(json.dumps(line))
    frames = scene_frames(result.success, rng)
    bins = np.arange(N_BINS)
    progress = np.linspace(0, 1, STEPS)
    value = 0.35 + 0.6 * progress**1.5 if result.success else 0.4 * np.exp(-3 * progress) + 0.05 * rng.random(STEPS)
    shape = (STEPS, len(ACTION_NAMES), N_BINS)
    q_values, probabilities = np.zeros(shape), np.zeros(shape)
    for step in range(STEPS):
        for dimension in range(len(ACTION_NAMES)):
            best = N_BINS / 2 + 90 * math.sin(0.28 * step + 1.7 * dimension)
            q_values[step, dimension] = value[step] * (0.3 + 0.7 * np.exp(-(((bins - best) / 34) ** 2)))
            logits = -(((bins - best - 9) / 22) ** 2) + 0.3 * rng.normal(size=N_BINS)
            probabilities[step, dimension] = np.exp(logits) / np.exp(logits).sum()
    q_values = np.clip(q_values + rng.normal(0, 0.03, shape), 0, 1)
    chosen = np.array([[rng.choice(N_BINS, p=row) for row in step] for step in probabilities])
    centers = np.stack([np.linspace(-limit, limit, N_BINS) for limit in LIMITS])
    return Trace(
        result, 0.2, ("front", "wrist"), frames, ACTION_NAMES, centers.astype(np.float32),
        q_values=(q_values if has_values else np.full(shape, np.nan)).astype(np.float32),
        probabilities=probabilities.astype(np.float32), action_bins=chosen,
        value=(value if has_values else np.full(STEPS, np.nan)).astype(np.float32),
    )  # fmt: skip


def scene_frames(success: bool, rng: np.random.Generator) -> np.ndarray:
    """Return two cameras on a table: a gripper comes down on a cube, or beside it."""
    places = {name: rng.uniform(0.2, 0.8, size=2) for name in COLOURS}
    rows, columns = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    table = np.stack([196 - 34 * rows, 178 - 30 * rows, 152 - 28 * rows], axis=-1)
    frames = np.zeros((STEPS, 2, SIZE, SIZE, 3), dtype=np.uint8)
    goal = places["red" if success else "blue"]
    for step in range(STEPS):
        hand = np.array([0.5, 0.1]) + (goal - [0.5, 0.1]) * min(step / (0.7 * STEPS), 1.0)
        for camera, zoom in enumerate((1.0, 2.2)):
            origin = np.zeros(2) if camera == 0 else hand - 0.5 / zoom
            picture = table.copy()
            for name, place in places.items():
                x, y = (place - origin) * zoom
                held = success and name == "red" and step > 0.7 * STEPS
                y -= 0.01 * (step - 0.7 * STEPS) if held else 0.0
                picture[(abs(columns - x) < 0.07 * zoom) & (abs(rows - y) < 0.07 * zoom)] = COLOURS[name]
            x, y = (hand - origin) * zoom
            finger = (abs(abs(columns - x) - 0.09 * zoom) < 0.02 * zoom) & (abs(rows - y) < 0.09 * zoom)
            picture[finger | ((abs(columns - x) < 0.02 * zoom) & (rows < y - 0.09 * zoom))] = (58, 62, 70)
            frames[step, camera] = np.clip(picture + rng.normal(0, 2.5, picture.shape), 0, 255)
    return frames


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_lines(path: Path, lines: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
