"""Small HDF5 files in the layouts of robomimic, LIBERO and ALOHA, as their recorders write them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from vlm_qsft.images import encode_jpeg

CAMERAS = ("cam_high", "cam_left_wrist", "cam_low")
RECORDER_ORDER = ("cam_low", "cam_high", "cam_left_wrist")
"""The order of `compress_len` is that of the recorder's configuration, not that of the names in the file."""
BOWL = "pick up the black bowl"


def group(file: h5py.File, name: str) -> h5py.Group:
    """Return a group of a file."""
    thing = file[name]
    assert isinstance(thing, h5py.Group)
    return thing


def array(file: h5py.File, name: str) -> h5py.Dataset:
    """Return an array of a file."""
    thing = file[name]
    assert isinstance(thing, h5py.Dataset)
    return thing


def pictures(generator: np.random.Generator, length: int, size: tuple[int, int]) -> np.ndarray:
    """Return smooth random pictures, whose JPEGs differ in length."""
    corners = generator.integers(0, 256, (length, 2, 2, 3)).astype(np.float64)
    rows, columns = np.linspace(0, 1, size[0])[:, None, None], np.linspace(0, 1, size[1])[None, :, None]
    mixed = [
        (a[0, 0] * (1 - rows) + a[1, 0] * rows) * (1 - columns) + (a[0, 1] * (1 - rows) + a[1, 1] * rows) * columns
        for a in corners
    ]
    return np.array(mixed).astype(np.uint8)


def write_robomimic(
    path: Path, lengths: Sequence[int] = (4, 6), *, seed: int = 0, image: bool = True, libero: bool = False
) -> Path:
    """Write demos of the given lengths, with masks and the environment's arguments (20 steps per second, a Panda)."""
    generator = np.random.default_rng(seed)
    camera = "agentview_rgb" if libero else "agentview_image"
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        arguments = {"env_name": "Lift", "type": 1, "env_kwargs": {"control_freq": 20, "robots": ["Panda"]}}
        data.attrs["env_args"] = json.dumps(arguments)
        data.attrs["total"] = sum(lengths)
        if libero:
            data.attrs["problem_info"] = json.dumps({"problem_name": "x", "language_instruction": list(f'"{BOWL}"')})
            data.attrs["bddl_file_name"] = "libero/bddl_files/libero_spatial/pick_up_the_black_bowl.bddl"
        for index, length in enumerate(lengths):
            demo = data.create_group(f"demo_{index}")
            demo.attrs["num_samples"] = length
            demo.attrs["model_file"] = "<mujoco/>"
            demo["actions"] = generator.normal(size=(length, 7))
            demo["states"] = generator.normal(size=(length, 32))
            demo["rewards"] = (np.arange(length) == length - 1).astype(np.uint8 if libero else np.float64)
            demo["dones"] = (np.arange(length) == length - 1).astype(np.uint8 if libero else np.int64)
            demo["obs/robot0_eef_pos"] = generator.normal(size=(length, 3))
            if image:
                demo[f"obs/{camera}"] = pictures(generator, length, (8, 10))
                if not libero:
                    demo[f"next_obs/{camera}"] = pictures(generator, length, (8, 10))
        if not libero:
            names = [f"demo_{index}".encode() for index in range(len(lengths))]
            file["mask/train"] = names[:-1]
            file["mask/valid"] = names[-1:]
            file["mask/better"] = [*names[1:], b"demo_999"]
    return path


def write_aloha(path: Path, length: int = 5, *, seed: int = 0, compress: bool = True) -> Path:
    """Write one episode as Mobile ALOHA's recorder does: float32 joints, pictures raw or as JPEG padded with zeros."""
    generator = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        file.attrs["sim"] = False
        file.attrs["compress"] = compress
        for name, width in (("observations/qpos", 14), ("observations/qvel", 14), ("action", 14), ("base_action", 2)):
            file[name] = generator.normal(size=(length, width)).astype(np.float32)
        raw = {camera: pictures(generator, length, (24, 32)) for camera in CAMERAS}
        if not compress:
            for camera in CAMERAS:
                file[f"observations/images/{camera}"] = raw[camera]
            return path
        encoded = {camera: [encode_jpeg(picture, quality=50) for picture in raw[camera]] for camera in CAMERAS}
        longest = max(len(jpeg) for jpegs in encoded.values() for jpeg in jpegs)
        for camera in CAMERAS:
            padded = [np.frombuffer(jpeg.ljust(longest, b"\x00"), dtype=np.uint8) for jpeg in encoded[camera]]
            file[f"observations/images/{camera}"] = np.array(padded)
        lengths = [[len(jpeg) for jpeg in encoded[camera]] for camera in RECORDER_ORDER]
        file.create_dataset("compress_len", data=np.array(lengths, dtype=np.float32))
    return path
