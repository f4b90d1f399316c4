"""Parameters of nodes: declared with description, range and unit, and read as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

UNBOUNDED = 1e12
"""Stands for no bound: a parameter's range must have two ends, and tools print it."""

Value = bool | int | float | str | list[str] | list[float]


@dataclass(frozen=True)
class ParameterDeclaration:
    """One parameter.

    Attributes:
        name: dots make groups.
        default: its type is the type of the parameter; an empty list of strings must hold "" (ROS cannot tell the type
            of an empty list), which `strings` leaves out.
        description: one sentence; names the unit.
        lower: smallest value of a number; None for no range.
        upper: largest value of a number.
        read_only: cannot be changed while the node runs; the others may be, and take effect at once.
    """

    name: str
    default: Value
    description: str
    lower: float | None = None
    upper: float | None = None
    read_only: bool = True


def declare(node: Node, declarations: Sequence[ParameterDeclaration]) -> None:
    """Declare parameters; those that a file or the command line sets keep those values."""
    for declaration in declarations:
        descriptor = ParameterDescriptor(description=declaration.description, read_only=declaration.read_only)
        lower, upper = declaration.lower, declaration.upper
        if lower is not None or upper is not None:
            if isinstance(declaration.default, float):
                low, high = -UNBOUNDED if lower is None else lower, UNBOUNDED if upper is None else upper
                descriptor.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
            else:
                low, high = -(2**62) if lower is None else int(lower), 2**62 if upper is None else int(upper)
                descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
        if not node.has_parameter(declaration.name):
            node.declare_parameter(declaration.name, declaration.default, descriptor)


def number(node: Node, name: str) -> float:
    """Return a floating-point parameter."""
    return float(node.get_parameter(name).value)


def integer(node: Node, name: str) -> int:
    """Return an integer parameter."""
    return int(node.get_parameter(name).value)


def text(node: Node, name: str) -> str:
    """Return a string parameter."""
    return str(node.get_parameter(name).value)


def flag(node: Node, name: str) -> bool:
    """Return a boolean parameter."""
    return bool(node.get_parameter(name).value)


def strings(node: Node, name: str) -> tuple[str, ...]:
    """Return a list of strings without the empty ones."""
    return tuple(str(value) for value in node.get_parameter(name).value if str(value))


def numbers(node: Node, name: str) -> tuple[float, ...]:
    """Return a list of numbers."""
    return tuple(float(value) for value in node.get_parameter(name).value)
