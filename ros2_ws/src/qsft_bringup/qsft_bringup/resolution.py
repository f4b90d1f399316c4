"""From a robot and its launch arguments to what is started: one record per node, nothing left to fill in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qsft_bringup.robots import TRUE, NodeEntry, Robot, Value, filled


@dataclass(frozen=True)
class ResolvedNode:
    """One node as it will run.

    Attributes:
        package, executable, name: see `NodeEntry`.
        files: parameter files that exist; later ones win.
        parameters: above those of the files.
        remappings: topic of the node -> topic of the robot.
    """

    package: str
    executable: str
    name: str
    files: tuple[Path, ...]
    parameters: Mapping[str, Value]
    remappings: Mapping[str, str]

    def arguments(self) -> list[str]:
        """Return the words behind `--ros-args` of a command line."""
        words = ["-r", f"__node:={self.name}"]
        for file in self.files:
            words += ["--params-file", str(file)]
        for name, value in self.parameters.items():
            words += ["-p", f"{name}:={_yaml(value)}"]
        for source, target in self.remappings.items():
            words += ["-r", f"{source}:={target}"]
        return words


def resolve(robot: Robot, given: Mapping[str, str], config: Path) -> list[ResolvedNode]:
    """Return the nodes to start.

    Args:
        robot: which.
        given: launch arguments.
        config: folder of the parameter files.

    Raises:
        ValueError: an argument is wrong or missing, or a parameter file does not exist.
    """
    values = robot.argument_values(given)
    return [
        _resolved(node, values, config) for node in robot.nodes if node.only_if is None or values[node.only_if] == TRUE
    ]


def _resolved(node: NodeEntry, values: Mapping[str, str], config: Path) -> ResolvedNode:
    files = []
    for name in node.files:
        text = name.format(**values)
        if not text:
            continue
        path = Path(text).expanduser() if "{" in name else config / text
        if not path.is_file():
            raise ValueError(f"The parameter file {path} of node '{node.name}' does not exist.")
        files.append(path)
    return ResolvedNode(
        node.package,
        node.executable,
        node.name,
        tuple(files),
        {name: filled(value, values) for name, value in node.parameters.items()},
        {name: str(topic).format(**values) for name, topic in node.remappings.items()},
    )


def _yaml(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # Quoted, so that a folder called 7 or true stays a text.
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)
