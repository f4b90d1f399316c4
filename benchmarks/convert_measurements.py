"""One measurement of the converters, in this process alone: `convert_measurements.py NAME WORDS...` prints it as JSON.

bench_convert.py starts each in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

GIB = 1024**3
STEPS_PER_EPISODE = 100
"""Of the synthetic stream: with one JPEG picture of about 100 kB per step every episode has 10 MB."""


def timed(work: Callable[[], int]) -> dict[str, float]:
    """Return steps per second of wall and of processor time, and the peak memory of this process."""
    before_mib = peak_mib()
    wall, cpu = time.perf_counter(), time.process_time()
    steps = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "steps": steps,
        "steps_per_s": steps / wall,
        "steps_per_cpu_s": steps / cpu,
        "peak_mib": peak_mib(),
        "grown_mib": peak_mib() - before_mib,
    }


def peak_mib() -> float:
    """Return the largest resident memory that this process has had; a child does not inherit it, unlike ru_maxrss."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def read_ours(bridge: str) -> dict[str, float]:
    """Read every episode and decode every picture to the pixels that TensorFlow gives."""
    from qsft_datasets.registry import find_source
    from qsft_datasets.rlds.picture_decoders import decode_like_tensorflow

    source = find_source(Path(bridge))
    cameras = [feature.path for feature in source.description.features if feature.kind == "image"]

    def work() -> int:
        steps = 0
        for reference in source.references():
            episode = source.read(reference)
            for camera in cameras:
                for content in episode.steps[camera]:  # type: ignore[union-attr]  # encoded bytes per step
                    decode_like_tensorflow(content)  # type: ignore[arg-type]
            steps += episode.length
        return steps

    return timed(work)


def read_tfds(bridge: str) -> dict[str, float]:
    """Read the same files with TFDS, step by step, as its documentation does."""
    import tensorflow_datasets as tfds  # type: ignore[import-not-found]

    folder = next(path.parent for path in sorted(Path(bridge).rglob("features.json")))
    builder = tfds.builder_from_directory(str(folder))

    def work() -> int:
        steps = 0
        for split in builder.info.splits:
            for episode in builder.as_dataset(split=split):
                for _step in episode["steps"].as_numpy_iterator():
                    steps += 1
        return steps

    return timed(work)


def bridge_mapping(source: Any) -> Any:
    """Return the mapping of Bridge with its three cameras, or the proposed one of a generated set.

    The outcome is assumed: nothing in the sample says it, and it does not matter for the figures.
    """
    from qsft_datasets.mapping import CameraMapping, OutcomeMapping
    from qsft_datasets.mapping_file import parse_mapping
    from qsft_datasets.proposal import propose
    from qsft_datasets.sampling import sample_episodes
    from qsft_datasets.shipped import find_shipped

    mapping = find_shipped(source)
    paths = {feature.path for feature in source.description.features}
    if mapping is None or "observation/image_0" not in paths or "kept/discount" in paths or source.description.fps:
        text = propose(source.description, sample_episodes(source)).replace("meaning: decide", "meaning: delta")
        mapping = parse_mapping(text, "proposal")
    else:
        cameras = tuple(CameraMapping(f"image_{number}", f"observation/image_{number}") for number in range(3))
        used = {camera.path for camera in cameras}
        ignore = {path: reason for path, reason in mapping.ignore.items() if path not in used}
        mapping = replace(mapping, cameras=cameras, ignore=ignore)
    return replace(mapping, outcome=OutcomeMapping("assume-success"))


def write_ours(bridge: str, target: str) -> dict[str, float]:
    """Convert with one process."""
    # pyarrow loads it on first use, which takes a second; LeRobot has loaded it before it is timed.
    import pandas  # noqa: F401

    from qsft_datasets.dataset_conversion import ConversionSettings, convert_dataset
    from qsft_datasets.registry import find_source

    source = find_source(Path(bridge))
    mapping = bridge_mapping(source)
    return timed(lambda: convert_dataset(source, mapping, Path(target), settings=ConversionSettings()).frames)


def compare(ours: str, theirs: str) -> dict[str, float]:
    """Hold the numbers and the pictures of both results against each other.

    Raises:
        RuntimeError: they differ: there is nothing to compare.
    """
    from vlm_qsft.data import DatasetReader

    one, other = DatasetReader(ours), DatasetReader(theirs)
    for key in ("action", "observation.state"):
        if not np.array_equal(one.stored_column(key), other.stored_column(key)):
            raise RuntimeError(f"The results differ in '{key}'.")
    for row in (0, one.n_frames // 2, one.n_frames - 1):
        pictures, others = one.images(row), other.images(row)
        if any(not np.array_equal(pictures[camera], others[camera]) for camera in pictures):
            raise RuntimeError(f"The results differ in the pictures of frame {row}.")
    return {"frames": one.n_frames}


def write_lerobot(bridge: str, target: str) -> dict[str, float]:
    """Write the same frames with LeRobot's own writer, pictures as image columns."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    from qsft_datasets.conversion import EpisodeConversion, schema_of
    from qsft_datasets.registry import find_source
    from vlm_qsft.data.schema import ACTION_KEY, STATE_KEY, image_key
    from vlm_qsft.images import decode

    logging.disable(logging.WARNING)
    source = find_source(Path(bridge))
    mapping = bridge_mapping(source)
    references = source.references()
    schema = schema_of(mapping, source.description, source.read(references[0]), storage="image")
    convert = EpisodeConversion(mapping, source.description, schema, "binary01")
    features: dict[str, dict] = {
        image_key(camera): {"dtype": "image", "shape": (*size, 3), "names": ["height", "width", "channels"]}
        for camera, size in schema.cameras.items()
    }
    features[STATE_KEY] = {"dtype": schema.state_dtype, "shape": (len(schema.state_names),), "names": None}
    features[ACTION_KEY] = {"dtype": schema.action_dtype, "shape": (len(schema.action_names),), "names": None}
    fps = max(1, round(schema.fps))

    def work() -> int:
        theirs = LeRobotDataset.create("local/bridge", fps, features, root=target, use_videos=False)
        steps = 0
        for reference in references:
            episode = convert(source.read(reference), reference)
            for step in range(episode.length):
                told = episode.instruction if isinstance(episode.instruction, str) else episode.instruction[step]
                frame = {STATE_KEY: episode.state[step], ACTION_KEY: episode.action[step], "task": told or "none"}
                for camera, pictures in episode.images.items():
                    picture = pictures[step]  # type: ignore[index]  # no clips in image storage
                    frame[image_key(camera)] = decode(picture) if isinstance(picture, bytes) else picture
                theirs.add_frame(frame)
            theirs.save_episode()
            steps += episode.length
        theirs.finalize()
        return steps

    return timed(work)


@dataclass(frozen=True)
class StreamSource:
    """A synthetic data set of any length, made as it is read; every episode is as large as any other."""

    root: Path
    episodes: int

    @property
    def description(self) -> Any:
        """One camera, state, action, instruction."""
        from qsft_datasets.source import SourceDescription, SourceFeature

        features = (
            SourceFeature("image", "image", "uint8", (480, 640, 3)),
            SourceFeature("state", "number", "float32", (8,)),
            SourceFeature("action", "number", "float32", (7,)),
            SourceFeature("task", "text", "str", ()),
        )
        return SourceDescription("rlds", "stream", features, fps=Fraction(10))

    def references(self) -> list[Any]:
        """Return the numbers of the episodes."""
        from qsft_datasets.source import EpisodeReference

        return [EpisodeReference(f"episode-{number}", "stream", (number,)) for number in range(self.episodes)]

    def read(self, reference: Any) -> Any:
        """Return an episode that depends on its number alone."""
        from qsft_datasets.source import SourceEpisode

        number = int(reference.position[0])
        generator = np.random.default_rng(number)
        pictures = noisy_pictures()
        steps = {
            "image": [pictures[(number + step) % len(pictures)] for step in range(STEPS_PER_EPISODE)],
            "state": generator.normal(size=(STEPS_PER_EPISODE, 8)).astype(np.float32),
            "action": generator.normal(size=(STEPS_PER_EPISODE, 7)).astype(np.float32),
            "task": ["move"] * STEPS_PER_EPISODE,
        }
        return SourceEpisode(reference.key, STEPS_PER_EPISODE, steps)


_PICTURES: list[bytes] = []


def noisy_pictures() -> list[bytes]:
    """Return a few JPEG pictures of about 100 kB, made once."""
    from vlm_qsft.images import encode_jpeg

    if not _PICTURES:
        generator = np.random.default_rng(0)
        ramp = np.linspace(0, 200, 640)[None, :, None] + np.zeros((480, 1, 3))
        for _ in range(4):
            picture = np.clip(ramp + generator.normal(0, 12, ramp.shape), 0, 255).astype(np.uint8)
            _PICTURES.append(encode_jpeg(picture, quality=85))
    return _PICTURES


def stream(gigabytes: str, target: str) -> dict[str, float]:
    """Convert a synthetic stream with one process."""
    from qsft_datasets.dataset_conversion import ConversionSettings, convert_dataset
    from qsft_datasets.mapping import CameraMapping, Mapping, OutcomeMapping, VectorPart

    episode_bytes = STEPS_PER_EPISODE * sum(map(len, noisy_pictures())) / len(noisy_pictures())
    episodes = max(1, round(float(gigabytes) * GIB / episode_bytes))
    mapping = Mapping(
        name="stream",
        format="rlds",
        fps=Fraction(10),
        robot_type="synthetic",
        cameras=(CameraMapping("front", "image"),),
        state=(VectorPart("state", tuple(f"s{number}" for number in range(8))),),
        action=(VectorPart("action", tuple(f"a{number}" for number in range(7)), meaning="delta"),),
        outcome=OutcomeMapping("assume-success"),
        instruction="task",
    )
    source = StreamSource(Path(target).parent / "nowhere", episodes)
    figures = timed(lambda: convert_dataset(source, mapping, Path(target), settings=ConversionSettings()).frames)
    return figures | {"episodes": episodes, "megabytes_of_pictures": episodes * episode_bytes / 1e6}


def generate(folder: str) -> dict[str, str]:
    """Write an RLDS folder with Bridge's cameras and numbers by our own exporter, and say where it is."""
    from qsft_datasets.rlds.writer import write_rlds
    from vlm_qsft.data import DatasetSchema, Episode, LabelSettings, write_episodes

    work = Path(folder)
    cameras = {f"image_{number}": (256, 256) for number in range(3)}
    names = tuple("xyzrpwg")
    schema = DatasetSchema(cameras, names, tuple(f"d{name}" for name in names), Fraction(5), robot_type="widowx")
    write_episodes(
        work / "bridge_frames",
        schema,
        list(range(20)),
        lambda seed: made_episode(seed, Episode, list(cameras)),
        labels=LabelSettings("binary01", 0.97, "script"),
        image_format="jpeg",
    )
    out = work / "bridge_dataset"
    write_rlds(work / "bridge_frames", out, workers=1)
    return {"folder": str(out)}


def made_episode(seed: int, episode_class: Any, cameras: Sequence[str]) -> Any:
    """Return an episode of 40 steps that looks like a camera: gradients, a moving block, a little noise."""
    generator = np.random.default_rng(seed)
    steps, size = 40, 256
    ramp = np.linspace(30, 200, size)
    frames = np.empty((steps, size, size, 3), np.uint8)
    for step in range(steps):
        picture = np.stack(
            [ramp[None, :] + 0 * ramp[:, None], ramp[:, None] + 0 * ramp, np.full((size, size), 90.0)], -1
        )
        picture[60 + step : 100 + step, 60 + 2 * step : 110 + 2 * step] = (200, 40, 40)
        frames[step] = np.clip(picture + generator.normal(0, 3, picture.shape), 0, 255)
    reward = np.zeros(steps, np.float32)
    reward[-1] = 1.0
    return episode_class(
        images=dict.fromkeys(cameras, frames),
        state=generator.normal(size=(steps, 7)).astype(np.float32),
        action=generator.normal(size=(steps, 7)).astype(np.float32),
        reward=reward,
        terminated=True,
        truncated=False,
        success=True,
        instruction=f"put the block on plate {seed % 3}",
    )


MEASUREMENTS: dict[str, Callable[..., dict[str, Any]]] = {
    "generate": generate,
    "read_ours": read_ours,
    "read_tfds": read_tfds,
    "write_ours": write_ours,
    "write_lerobot": write_lerobot,
    "compare": compare,
    "stream": stream,
}


if __name__ == "__main__":
    print(json.dumps(MEASUREMENTS[sys.argv[1]](*sys.argv[2:])))
