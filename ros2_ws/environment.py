"""The environment in which nodes of this workspace run straight from their sources, for tests and benchmarks."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INTERFACES = ROOT / "ros2_ws" / "install" / "qsft_interfaces"


def python_path() -> list[str]:
    """Return the folders from which nodes import, the built interfaces among them where they exist."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = [ROOT / "ros2_ws" / "src" / name for name in ("qsft_controller", "qsft_bringup")]
    sources = [ROOT, ROOT / "sim", ROOT / "datasets", *packages]
    built = [folder for folder in INTERFACES.glob(f"lib/{version}/*-packages") if folder.is_dir()]
    return [str(folder) for folder in (*sources, *built)]


def load_interfaces() -> None:
    """Load the libraries of the built interfaces into this process, whose LD_LIBRARY_PATH was read at its start."""
    for library in sorted((INTERFACES / "lib").glob("lib*.so")):
        ctypes.CDLL(str(library))


def node_environment(*, domain_id: int) -> dict[str, str]:
    """Return the variables of a node that talks to this machine only.

    Args:
        domain_id: 0 to 101; nodes of different domains do not hear each other.
    """
    variables = dict(os.environ)
    prefixes = [str(INTERFACES), *filter(None, variables.get("AMENT_PREFIX_PATH", sys.prefix).split(os.pathsep))]
    variables |= {
        "AMENT_PREFIX_PATH": os.pathsep.join(dict.fromkeys(prefixes)),
        "PYTHONPATH": os.pathsep.join(
            [*python_path(), *filter(None, variables.get("PYTHONPATH", "").split(os.pathsep))]
        ),
        # The type support libraries are looked for here; they find each other by themselves.
        "LD_LIBRARY_PATH": os.pathsep.join(
            filter(None, [str(INTERFACES / "lib"), variables.get("LD_LIBRARY_PATH", "")])
        ),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_DOMAIN_ID": str(domain_id),
    }
    return variables
