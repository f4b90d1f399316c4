"""Every source format, found by looking at a folder; a format's own packages are imported when it is used."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from qsft_datasets.source import Source
from vlm_qsft.errors import DatasetError, MissingDependency

SOURCES = {
    "RLDS (a TFDS folder with features.json)": "qsft_datasets.rlds",
    "LeRobot (a folder with meta/info.json)": "qsft_datasets.lerobot",
    "HDF5 (files of robomimic, ALOHA or LIBERO)": "qsft_datasets.hdf5",
    "ROS 2 bags (MCAP or db3)": "qsft_datasets.rosbag",
}
"""What people call a format -> the module with its `recognise(root)` and `open_source(root)`."""
EXTRAS = {"google_crc32c": "rlds", "simplejpeg": "rlds", "h5py": "hdf5", "rosbags": "rosbag"}
"""Optional package -> the extra that installs it."""


def find_source(root: Path) -> Source:
    """Open a data set of whatever format it has.

    Raises:
        DatasetError: no such folder, no known format, or more than one.
        MissingDependency: the format needs a package that is not installed.
    """
    root = Path(root)
    if not root.exists():
        raise DatasetError(f"{root} does not exist.")
    found: dict[str, ModuleType] = {}
    for format_name, module_name in SOURCES.items():
        module = importlib.import_module(module_name)
        if module.recognise(root):
            found[format_name] = module
    if len(found) != 1:
        known, seen = "; ".join(SOURCES), " and ".join(found)
        what = f"looks like {seen}; convert a folder that holds one of them" if found else f"is none of: {known}"
        raise DatasetError(f"{root} {what}.")
    try:
        return next(iter(found.values())).open_source(root)
    except ModuleNotFoundError as error:
        raise missing_package(error) from error


def missing_package(error: ModuleNotFoundError) -> MissingDependency:
    """Return the error with the remedy for an optional package that is not installed.

    Raises:
        ModuleNotFoundError: it is none of the optional ones: a defect.
    """
    name = (error.name or "").split(".")[0]
    if name not in EXTRAS:
        raise error
    return MissingDependency(f"This format needs the package {name}: pip install 'vlm-qsft[{EXTRAS[name]}]'.")
