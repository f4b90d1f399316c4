"""The fields of a message type: which are numbers or texts, where they stand in a message, and which are left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys.base import normalize_fieldname
from rosbags.typesys.store import Typestore

NUMBERS = {name: name for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")} | {
    "bool": "bool",
    "byte": "uint8",
    "char": "uint8",
    "float32": "float32",
    "float64": "float64",
}
BYTES = ("uint8", "int8")
HEADER = "std_msgs/msg/Header"
FIRST_POINT = {"points": "trajectory_msgs/msg/JointTrajectoryPoint"}
"""Of a trajectory the first point is taken: what the arm is told to reach next."""
JOINT_NAMES = ("joint_names", "name")
"""Fields that name the numbers of the message's sequences: JointTrajectory, JointState."""
MOST_FIELDS = 500

Values = np.ndarray | str


@dataclass(frozen=True)
class Field:
    """One number, vector or text of a message type.

    Attributes:
        path: "pose.position", "points[0].positions".
        kind: number or text.
        dtype: NumPy's name of the numbers.
        chain: attribute names and indices that lead to it.
        parts: of a vector whose numbers are fields of one message (x, y, z); empty for others.
        size: numbers: () of a scalar, (n,) of a vector, (None,) of a sequence whose length the messages say.
    """

    path: str
    kind: Literal["number", "text"]
    dtype: str
    chain: tuple[str | int, ...]
    parts: tuple[str, ...] = ()
    size: tuple[int | None, ...] = ()

    def of(self, message: object) -> Values | None:
        """Return the value in a message; None where it is not there: an empty sequence, a trajectory of no point."""
        thing = message
        for step in self.chain:
            if isinstance(step, int):
                if len(thing) <= step:  # type: ignore[arg-type]
                    return None
                thing = thing[step]  # type: ignore[index]
            else:
                thing = getattr(thing, step)
        if self.kind == "text":
            return str(thing)
        if self.parts:
            return np.array([getattr(thing, normalize_fieldname(part)) for part in self.parts], dtype=self.dtype)
        values = np.asarray(thing, dtype=self.dtype)
        return None if self.size == (None,) and values.size == 0 else values


@dataclass(frozen=True)
class LeftOut:
    """A field that does not become a feature.

    Attributes:
        path: of the field.
        reason: why, for people.
    """

    path: str
    reason: str


def fields_of(store: Typestore, msgtype: str) -> tuple[list[Field], list[LeftOut]]:
    """Return the fields of a type that become features, and those that do not; headers are neither."""
    fields: list[Field] = []
    left_out: list[LeftOut] = []

    def walk(typename: str, prefix: str, chain: tuple[str | int, ...]) -> None:
        for name, description in store.fielddefs[typename][1]:
            path, here = prefix + name, (*chain, normalize_fieldname(name))
            if len(fields) + len(left_out) >= MOST_FIELDS or name == "structure_needs_at_least_one_member":
                return
            if description[0] == Nodetype.BASE:
                _take(fields, left_out, Field(path, "number", str(description[1][0]), here))
            elif description[0] == Nodetype.NAME:
                typed = str(description[1])
                parts = _equal_numbers(store, typed)
                if typed == HEADER or (typename.startswith("std_msgs/") and name == "layout"):
                    continue
                if len(parts) > 1:
                    dtype = str(store.fielddefs[typed][1][0][1][1][0])
                    _take(fields, left_out, Field(path, "number", dtype, here, parts, (len(parts),)))
                else:
                    walk(typed, f"{path}.", here)
            else:
                element, length = description[1]
                size = (int(length),) if description[0] == Nodetype.ARRAY else (None,)
                if element[0] == Nodetype.BASE and not (size == (None,) and NUMBERS.get(element[1][0]) in BYTES):
                    if element[1][0] == "string":
                        if name not in JOINT_NAMES:
                            left_out.append(LeftOut(path, "a list of texts"))
                        continue
                    _take(fields, left_out, Field(path, "number", str(element[1][0]), here, (), size))
                elif FIRST_POINT.get(name) == element[1]:
                    walk(str(element[1]), f"{path}[0].", (*here, 0))
                else:
                    kind = "bytes" if element[0] == Nodetype.BASE else f"{element[1]} messages"
                    left_out.append(LeftOut(path, f"{kind} of varying number"))

    walk(msgtype, "", ())
    return fields, left_out


def names_of(message: object) -> tuple[str, ...]:
    """Return the joint names that a message gives for its sequences; none where it gives none."""
    for name in JOINT_NAMES:
        names = getattr(message, name, None)
        if isinstance(names, list) and names and all(isinstance(each, str) for each in names):
            return tuple(names)
    return ()


def has_header(store: Typestore, msgtype: str) -> str | None:
    """Return the name of the header field of a type; None where it has none."""
    for name, description in store.fielddefs[msgtype][1]:
        if description[0] == Nodetype.NAME and description[1] == HEADER:
            return normalize_fieldname(name)
    return None


def _equal_numbers(store: Typestore, typename: str) -> tuple[str, ...]:
    """Return the field names of a type that consists of numbers of one kind only: Vector3, Point, Quaternion."""
    fields = store.fielddefs[typename][1]
    kinds = {description[1][0] if description[0] == Nodetype.BASE else None for _, description in fields}
    return tuple(name for name, _ in fields) if len(kinds) == 1 and kinds <= NUMBERS.keys() else ()


def _take(fields: list[Field], left_out: list[LeftOut], field: Field) -> None:
    if field.dtype == "string":
        fields.append(Field(field.path, "text", "str", field.chain))
    elif field.dtype in NUMBERS:
        fields.append(Field(field.path, "number", NUMBERS[field.dtype], field.chain, field.parts, field.size))
    else:
        left_out.append(LeftOut(field.path, f"numbers of type {field.dtype}"))
