"""What a launch file consists of, as plain data: neither `launch` nor rclpy is imported here.

A value in braces is filled in from the launch arguments: `{checkpoint}`. A node whose `only_if` names an argument runs
where that argument is "true".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Value = str | bool | int | float

TRUE, FALSE = "true", "false"


@dataclass(frozen=True)
class Argument:
    """One launch argument.

    Attributes:
        name: as in NAME:=VALUE.
        default: its value when it is not given; None where it must be.
        description: one sentence, with the unit.
        choices: every valid value; empty for any.
    """

    name: str
    default: str | None
    description: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodeEntry:
    """One node.

    Attributes:
        package, executable: what `ros2 run` would be given; the module is PACKAGE.EXECUTABLE.
        name: of the node.
        files: parameter files in `config`; later ones win.
        parameters: name -> value, above those of the files.
        remappings: topic of the node -> topic of the robot.
        only_if: name of the argument that switches it on; None for always.
        is_lifecycle: it waits to be configured and activated.
    """

    package: str
    executable: str
    name: str
    files: tuple[str, ...] = ()
    parameters: Mapping[str, Value] = field(default_factory=dict)
    remappings: Mapping[str, str] = field(default_factory=dict)
    only_if: str | None = None
    is_lifecycle: bool = False


@dataclass(frozen=True)
class Robot:
    """Everything that one launch file brings up.

    Attributes:
        name: of the launch file and of the parameter file.
        description: one sentence.
        arguments: of the launch file.
        nodes: in the order of their start.
        either: names of arguments of which exactly one must be given; empty for no such rule.
    """

    name: str
    description: str
    arguments: tuple[Argument, ...]
    nodes: tuple[NodeEntry, ...]
    either: tuple[str, ...] = ()

    def argument_values(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the value of every argument.

        Raises:
            ValueError: an argument that does not exist, is missing, has a value that it cannot have, or of which
                another must be given instead.
        """
        known = [argument.name for argument in self.arguments]
        for name in given:
            if name not in known:
                raise ValueError(f"'{self.name}' has no launch argument '{name}'. Valid: {', '.join(known)}.")
        values: dict[str, str] = {}
        for argument in self.arguments:
            value = given.get(argument.name, argument.default)
            if value is None:
                raise ValueError(f"'{self.name}' needs {argument.name}:=... ({argument.description})")
            if argument.choices and value not in argument.choices:
                valid = ", ".join(argument.choices)
                raise ValueError(f"{argument.name}:={value} is not valid. Valid: {valid}.")
            values[argument.name] = value
        named = [name for name in self.either if values[name]]
        if self.either and len(named) != 1:
            got = " and ".join(named) or "none"
            raise ValueError(f"'{self.name}' needs exactly one of {':=, '.join(self.either)}:=; given: {got}.")
        return values


def filled(value: Value, values: Mapping[str, str]) -> Value:
    """Return a value with `{argument}` replaced; "true" and "false" become flags, and numbers numbers."""
    if not isinstance(value, str) or "{" not in value:
        return value
    text = value.format(**values)
    if text in (TRUE, FALSE):
        return text == TRUE
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
