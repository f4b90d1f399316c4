"""Build `ros2_ws` with colcon: against a ROS 2 installation that is sourced, else against the wheels of this Python.

    python ros2_ws/build.py            build what has changed since the last time
    python ros2_ws/build.py --force    build everything

`--where-possible` ends well, with a sentence, on a machine that has no ROS 2 or no C++ compiler.

Afterwards `source ros2_ws/install/setup.bash` as with every workspace.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

WORKSPACE = Path(__file__).resolve().parent
STAMP = WORKSPACE / "install" / "build.sha256"
BAKED_PYTHON = "/opt/python/cp312-cp312/include/python3.12"
BAKED_NUMPY = "/opt/python/cp312-cp312/lib/python3.12/site-packages/numpy/_core/include"


def sources() -> list[Path]:
    """Return every file whose change asks for a new build, this script included."""
    files = [path for path in (WORKSPACE / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return [Path(__file__).resolve(), *sorted(files)]


def state() -> str:
    """Return a hash over the sources, the interpreter and the place, which colcon writes into its scripts."""
    digest = hashlib.sha256(f"{sys.version} {sys.prefix} {WORKSPACE} {os.environ.get('ROS_DISTRO', '')}".encode())
    for path in sources():
        digest.update(path.relative_to(WORKSPACE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def repair_include_paths(prefix: Path) -> int:
    """Put this interpreter's include folders where the wheels name those of the machine they were built on.

    Returns how many files were changed; files that name no such folder are left alone.
    """
    import numpy

    places = {BAKED_PYTHON: sysconfig.get_path("include"), BAKED_NUMPY: numpy.get_include()}
    changed = 0
    for path in sorted((prefix / "share").rglob("*.cmake")):
        text = repaired = path.read_text(encoding="utf-8")
        for baked, here in places.items():
            repaired = repaired.replace(baked, here)
        if repaired != text:
            # The wheel's file may be a hard link into a cache that other environments share: replace, never edit it.
            partial = path.with_suffix(".partial")
            partial.write_text(repaired, encoding="utf-8")
            os.replace(partial, path)
            changed += 1
    return changed


def environment() -> dict[str, str]:
    """Return the variables under which colcon finds the packages it builds against."""
    variables = dict(os.environ)
    if not uses_installation():
        programs = str(Path(sys.executable).parent)
        variables |= {"AMENT_PREFIX_PATH": sys.prefix, "CMAKE_PREFIX_PATH": sys.prefix}
        variables["PATH"] = programs + os.pathsep + variables.get("PATH", "")
    return variables


def uses_installation() -> bool:
    """Tell whether a ROS 2 installation is sourced."""
    return "ROS_DISTRO" in os.environ and "AMENT_PREFIX_PATH" in os.environ


def missing() -> str:
    """Return what this machine lacks, as a sentence, or ""."""
    if importlib.util.find_spec("rclpy") is None:
        return "There is no ROS 2: source an installation, or pip install 'vlm-qsft[ros,ros-build]' on x86-64 Linux."
    if importlib.util.find_spec("colcon_core") is None:
        return "There is no colcon: pip install 'vlm-qsft[ros-build]', or apt-get install python3-colcon-ros."
    if shutil.which(os.environ.get("CXX", "c++")) is None:
        return "There is no C++ compiler, which the interfaces need: apt-get install g++."
    return ""


def build() -> int:
    """Run colcon; return its exit status."""
    if not uses_installation():
        repair_include_paths(Path(sys.prefix))
    STAMP.unlink(missing_ok=True)
    command = [sys.executable, "-m", "colcon", "--log-base", "log", "build", "--base-paths", "src"]
    command += ["--event-handlers", "console_direct-", "console_cohesion-"]
    command += ["--cmake-args", f"-DPython3_EXECUTABLE={sys.executable}", "-DBUILD_TESTING=OFF"]
    status = subprocess.run(command, cwd=WORKSPACE, env=environment()).returncode
    if status == 0:
        STAMP.write_text(state() + "\n")
    return status


def main() -> int:
    """Build where something has changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--force", action="store_true", help="build although nothing has changed")
    parser.add_argument("--where-possible", action="store_true", help="a machine that cannot build is no failure")
    arguments = parser.parse_args()
    lack = missing()
    if lack:
        print(f"ros2_ws is not built. {lack}", file=sys.stderr)
        return 0 if arguments.where_possible else 2
    if not arguments.force and STAMP.is_file() and STAMP.read_text().strip() == state():
        return 0
    return build()


if __name__ == "__main__":
    sys.exit(main())
