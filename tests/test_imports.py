"""The import rules: who may import whom, what loads lazily, and that the command line answers at once.

Rules are held by parsing every file, so an import inside a function counts too.
"""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vlm_qsft.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
CLI_CPU_LIMIT_S = 0.5

# Package of vlm_qsft -> packages of vlm_qsft that it may import (itself is always allowed).
_ROOT_MODULES = {"errors", "page_server", "picture_header", "processes", "settings_record", "types"}
_TO_MODEL = {*_ROOT_MODULES, "tokens", "images", "presets", "data"}
_TO_TRAINING = {*_TO_MODEL, "model", "qsft"}
ALLOWED: dict[str, set[str]] = {
    "types": set(),
    "errors": set(),
    "page_server": {"errors"},
    "picture_header": set(),
    "processes": {"errors"},
    "settings_record": {"errors"},
    "tokens": _ROOT_MODULES,
    "images": _ROOT_MODULES,
    "presets": _ROOT_MODULES,
    "qsft": {"errors"},
    "data": {*_ROOT_MODULES, "tokens", "images"},
    "model": _TO_MODEL,
    "training": _TO_TRAINING,
    "policy": {*_ROOT_MODULES, "images", "tokens", "model", "qsft"},
    "control": {*_ROOT_MODULES, "policy"},
    "remote": {*_ROOT_MODULES, "images", "policy"},
    # control: an operator talks about its states and faults
    "dialogue": {*_TO_TRAINING, "training", "policy", "control"},
}
ANYTHING = {"report", "cli"}
NODES = {*_ROOT_MODULES, "images", "policy", "control", "remote", "dialogue"}
SIMULATION = {*_ROOT_MODULES, "data", "policy", "control", "tokens", "images"}
DATASETS = {*_ROOT_MODULES, "data", "images"}

# Third-party package -> places (relative to the root, as path prefixes) where it may be imported.
CONFINED: dict[str, tuple[str, ...]] = {
    "mujoco": ("sim/qsft_sim", "tests/sim"),
    "cv2": ("vlm_qsft/images.py", "tests"),
    "transformers": (
        "vlm_qsft/model",
        "vlm_qsft/training",
        "vlm_qsft/policy/logits_processor.py",
        "tests",
        "benchmarks",
    ),
    "lerobot": ("plugins", "tests", "benchmarks"),  # the benchmark of our reader measures it
    "rclpy": ("ros2_ws", "tests/ros", "benchmarks"),
    # The benchmark of the converters measures it where it is installed.
    "tensorflow": ("tests", "benchmarks"),
    "tensorflow_datasets": ("tests", "benchmarks"),
    "ray": ("datasets/qsft_datasets/ray_cluster.py", "tests"),
}


def source_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imported_names(path: Path) -> Iterator[str]:
    """Yield the full dotted name of everything a file imports, wherever the import stands.

    A relative import begins with a dot; only tests have them, to reach what stands beside them.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ("." * node.level + f"{node.module or ''}.{alias.name}" for alias in node.names)


def library_part(name: str) -> str | None:
    """Return "tokens" for "vlm_qsft.tokens.bins"; None for what is not of the library."""
    words = name.split(".")
    return words[1] if words[0] == "vlm_qsft" and len(words) > 1 else None


def part_of(path: Path) -> str:
    return path.relative_to(ROOT / "vlm_qsft").parts[0].removesuffix(".py")


def test_every_package_of_the_library_imports_only_what_the_design_allows() -> None:
    problems = []
    for path in source_files("vlm_qsft"):
        part = part_of(path)
        if part in ANYTHING:
            continue
        allowed = {*ALLOWED.get(part, set()), part, "__version__"}
        for name in imported_names(path):
            if name.split(".")[0] in ("qsft_sim", "qsft_datasets", "benchmarks"):
                problems.append(f"{path.relative_to(ROOT)} imports {name}")
            other = library_part(name)
            if other is not None and other not in allowed:
                problems.append(f"{path.relative_to(ROOT)} imports {name}; {part} may import {sorted(allowed)}")
    assert problems == []


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [("sim/qsft_sim", SIMULATION), ("datasets/qsft_datasets", DATASETS), ("ros2_ws/src", NODES)],
)
def test_simulator_converters_and_nodes_see_only_their_part_of_the_library(folder: str, allowed: set[str]) -> None:
    problems = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in source_files(folder)
        for name in imported_names(path)
        if (part := library_part(name)) is not None and part not in allowed
    ]
    assert problems == []


def test_nodes_talk_with_an_operator_and_see_nothing_else_of_the_dialogue() -> None:
    names = {
        name
        for path in source_files("ros2_ws/src")
        for name in imported_names(path)
        if library_part(name) == "dialogue"
    }
    assert names and all(name.startswith("vlm_qsft.dialogue.operator.") for name in names)


def test_the_pure_tensor_functions_import_torch_and_no_other_library() -> None:
    allowed = {"torch", "jaxtyping", "vlm_qsft", *sys.stdlib_module_names}
    problems = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in source_files("vlm_qsft/qsft")
        for name in imported_names(path)
        if name.split(".")[0] not in allowed
    ]
    assert problems == []


def test_confined_packages_are_imported_only_where_they_belong() -> None:
    problems = []
    for path in source_files("vlm_qsft", "sim", "datasets", "ros2_ws/src", "benchmarks", "tests"):
        place = path.relative_to(ROOT).as_posix()
        for name in imported_names(path):
            places = CONFINED.get(name.split(".")[0])
            if places is not None and not any(place == p or place.startswith(f"{p}/") for p in places):
                problems.append(f"{place} imports {name}; only {', '.join(places)} may")
    assert problems == []


def test_imports_outside_of_the_tests_are_absolute() -> None:
    problems = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in source_files("vlm_qsft", "sim", "datasets", "ros2_ws/src", "benchmarks")
        for name in imported_names(path)
        if name.startswith(".")
    ]
    assert problems == []


def test_every_part_of_the_library_has_an_import_rule() -> None:
    parts = {part_of(path) for path in source_files("vlm_qsft")} - {"__init__"}
    assert parts - ALLOWED.keys() - ANYTHING == set()


def test_no_folder_of_the_root_shadows_a_library() -> None:
    """`datasets/__init__.py` would hide the package of that name that lerobot imports."""
    assert [name for name in ("datasets", "sim", "benchmarks") if (ROOT / name / "__init__.py").exists()] == []


def loaded_by(statement: str) -> set[str]:
    script = f"{statement}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import vlm_qsft",
        "import vlm_qsft.types, vlm_qsft.errors, vlm_qsft.page_server, vlm_qsft.processes, vlm_qsft.settings_record",
        "import vlm_qsft.presets, vlm_qsft.tokens, vlm_qsft.images",
        "import vlm_qsft.control, vlm_qsft.dialogue.operator",
        "import vlm_qsft.remote",
        "import vlm_qsft.cli.main",
    ],
)
def test_the_light_parts_load_no_heavy_library(statement: str) -> None:
    heavy = {"torch", "transformers", "lerobot", "rclpy", "mujoco", "accelerate", "pyarrow"}
    assert loaded_by(statement) & heavy == set()


def test_games_are_recorded_without_torch() -> None:
    """Every worker process would hold it."""
    loaded = loaded_by("import vlm_qsft.dialogue.recording, vlm_qsft.dialogue.recipes")
    assert loaded & {"torch", "transformers", "accelerate"} == set()


@pytest.mark.parametrize(
    "command",
    ["", *COMMANDS],
    ids=lambda name: name or "qsft",
)
def test_help_answers_within_half_a_second_of_processor_time(command: str) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, "-m", "vlm_qsft.cli.main", *command.split(), "--help"]
    result = subprocess.run(words, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "usage: qsft" in result.stdout
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < CLI_CPU_LIMIT_S


def test_the_flags_of_a_policy_are_known_without_numpy() -> None:
    assert not {"numpy", "torch"} & loaded_by("import vlm_qsft.cli.evaluate; vlm_qsft.cli.evaluate.build_parser()")
