"""Our reader against LeRobotDataset on the same files: CPU time of (s, s', 16 actions) with two 128 x 128 cameras.

    python benchmarks/bench_data.py --out runs/bench/data.json

Image mode: PNG inside the parquet file. Video mode: mp4 as LeRobot's own writer encodes it. Both readers get the same
random frames, in turns, in one process with one thread; each round reports process CPU time, so that other work on the
machine counts little. Pixels are compared before anything is timed: a reader that returns something else measures
nothing. LeRobot returns uint8 where it can (`return_uint8`).
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vlm_qsft.cli.provenance import provenance
from vlm_qsft.data import DatasetReader, DatasetSchema, Episode, LabelSettings, write_episodes

SIZE = (128, 128)
CAMERAS = ("front", "wrist")
FPS = 10
ACTION_CHUNK = 16
STATE_NAMES = tuple(f"joint_{number}" for number in range(7))
ACTION_NAMES = ("dx", "dy", "dz", "roll", "pitch", "yaw", "gripper")
SCHEMA = DatasetSchema(dict.fromkeys(CAMERAS, SIZE), STATE_NAMES, ACTION_NAMES, Fraction(FPS), robot_type="benchmark")
Sample = Callable[[int], object]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/bench/data.json"), help="JSON file to write")
    parser.add_argument("--episodes", type=int, default=16)
    parser.add_argument("--frames", type=int, default=50, help="frames per episode")
    parser.add_argument("--samples", type=int, default=100, help="samples per round")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args(arguments)
    result = run(episodes=chosen.episodes, frames=chosen.frames, samples=chosen.samples, rounds=chosen.rounds)
    result |= provenance()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=2) + "\n")
    for mode in ("image", "video"):
        row = result[mode]
        print(
            f"{mode}: ours {row['ours_cpu_ms']['median']:.2f} cpu-ms per sample, "
            f"LeRobotDataset {row['lerobot_cpu_ms']['median']:.2f}, ratio {row['ratio']:.1f}"
        )
    print(chosen.out)
    return 0


def run(*, episodes: int = 16, frames: int = 50, samples: int = 100, rounds: int = 5, seed: int = 0) -> dict[str, Any]:
    """Return CPU milliseconds per sample of both readers in image and video mode.

    Args:
        samples: random frames per round and reader.
        rounds: the median over these is reported, with the extremes.
    """
    logging.disable(logging.WARNING)
    settings = {"episodes": episodes, "frames": frames, "samples": samples, "rounds": rounds, "seed": seed}
    result: dict[str, Any] = {"settings": settings}
    with tempfile.TemporaryDirectory() as folder:
        for mode, write in (("image", write_images), ("video", write_video)):
            root = Path(folder) / mode
            write(root, episodes, frames)
            result[mode] = compare(root, samples=samples, rounds=rounds, seed=seed)
    logging.disable(logging.NOTSET)
    return result


def compare(root: Path, *, samples: int, rounds: int, seed: int) -> dict[str, Any]:
    """Return CPU milliseconds per sample of both readers on one data set.

    Raises:
        RuntimeError: the readers return different pixels, states or actions.
    """
    reader = DatasetReader(root)
    cold = DatasetReader(root, picture_cache_bytes=0)
    theirs = open_lerobot(root)
    refuse_differences(reader, theirs, reader.n_frames)
    readers: dict[str, Sample] = {
        "ours": lambda row: reader.window(row, action_chunk=ACTION_CHUNK),
        "ours_without_memory": lambda row: cold.window(row, action_chunk=ACTION_CHUNK),
        "lerobot": lambda row: theirs[row],
    }
    generator = np.random.default_rng(seed)
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds + 1):
        rows = generator.integers(0, reader.n_frames, samples).tolist()
        for name, sample in readers.items():
            before = time.process_time()
            for row in rows:
                sample(row)
            times[name].append((time.process_time() - before) / samples * 1e3)
    # The first round opens files and fills memories.
    summary = {f"{name}_cpu_ms": spread(values[1:]) for name, values in times.items()}
    return {**summary, "ratio": summary["lerobot_cpu_ms"]["median"] / summary["ours_cpu_ms"]["median"]}


def open_lerobot(root: Path) -> Any:
    """Open the data set with LeRobot, windows for s, s' and the action chunk."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    pair, chunk = [0.0, 1 / FPS], [step / FPS for step in range(ACTION_CHUNK)]
    windows = {f"observation.images.{camera}": pair for camera in CAMERAS}
    windows |= {"observation.state": pair, "action": chunk}
    return LeRobotDataset(f"local/{root.name}", root=root, delta_timestamps=windows, return_uint8=True)


def refuse_differences(reader: DatasetReader, theirs: Any, n_frames: int) -> None:
    """Compare both readers on a few transitions, the last of the data set among them.

    Raises:
        RuntimeError: they differ.
    """
    for row in (0, n_frames // 3, n_frames - 1):
        ours, item = reader.window(row, action_chunk=ACTION_CHUNK), theirs[row]
        equal = np.array_equal(ours.actions, item["action"].numpy())
        equal &= np.array_equal(np.stack([ours.state, ours.next_state]), item["observation.state"].numpy())
        for camera in CAMERAS:
            pixels = item[f"observation.images.{camera}"].numpy().transpose(0, 2, 3, 1)
            if pixels.dtype != np.uint8:
                pixels = (pixels * 255).round().astype(np.uint8)
            equal &= np.array_equal(np.stack([ours.images[camera], ours.next_images[camera]]), pixels)
        if not equal:
            raise RuntimeError(f"The readers disagree on frame {row}: there is nothing to compare.")


def spread(values: list[float]) -> dict[str, float]:
    """Return the median and the extremes."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def made_episode(frames: int, seed: int) -> Episode:
    """Return an episode that looks like a camera: gradients, moving objects, a little noise."""
    generator = np.random.default_rng(seed)
    height, width = SIZE
    yy, xx = np.mgrid[:height, :width]
    images = {}
    for number, camera in enumerate(CAMERAS):
        table = np.stack([90 + 60 * xx / width, 80 + 40 * yy / height, np.full(SIZE, 70.0)], axis=-1)
        pictures = np.empty((frames, height, width, 3), np.uint8)
        center = generator.uniform(30, 98, 2)
        for frame in range(frames):
            picture = table + generator.normal(0, 2, table.shape)
            center += generator.normal(0, 2, 2)
            inside = (yy - center[0]) ** 2 + (xx - center[1]) ** 2 < (12 + 6 * number) ** 2
            picture[inside] += (90, -40, -30)
            pictures[frame] = np.clip(picture, 0, 255)
        images[camera] = pictures
    reward = np.zeros(frames, np.float32)
    reward[-1] = 1.0
    return Episode(
        images=images,
        state=generator.normal(size=(frames, len(STATE_NAMES))).astype(np.float32),
        action=generator.normal(size=(frames, len(ACTION_NAMES))).astype(np.float32),
        reward=reward,
        terminated=True,
        truncated=False,
        success=True,
        instruction=f"pick up object {seed % 4}",
    )


def write_images(root: Path, episodes: int, frames: int) -> None:
    """Write the data set in image mode."""
    labels = LabelSettings("binary01", 0.99, "script")
    write_episodes(root, SCHEMA, list(range(episodes)), lambda seed: made_episode(frames, seed), labels=labels)


def write_video(root: Path, episodes: int, frames: int) -> None:
    """Write the same episodes with LeRobot's writer in video mode, its default codec."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    features: dict[str, dict] = {
        f"observation.images.{camera}": {
            "dtype": "video",
            "shape": (*SIZE, 3),
            "names": ["height", "width", "channels"],
        }
        for camera in CAMERAS
    }
    features["observation.state"] = {"dtype": "float32", "shape": (7,), "names": list(STATE_NAMES)}
    features["action"] = {"dtype": "float32", "shape": (7,), "names": list(ACTION_NAMES)}
    theirs = LeRobotDataset.create(f"local/{root.name}", FPS, features, root=root, streaming_encoding=True)
    for seed in range(episodes):
        episode = made_episode(frames, seed)
        for frame in range(frames):
            theirs.add_frame(
                {
                    **{f"observation.images.{camera}": np.asarray(episode.images[camera])[frame] for camera in CAMERAS},
                    "observation.state": episode.state[frame],
                    "action": episode.action[frame],
                    "task": episode.instruction,
                }
            )
        theirs.save_episode()
    theirs.finalize()


if __name__ == "__main__":
    sys.exit(main())
