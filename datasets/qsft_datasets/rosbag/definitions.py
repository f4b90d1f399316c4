"""Message definitions: those in the bag, else those of the ROS distribution that wrote it; checked before use.

`rosbags` turns definitions into Python code. Names are checked here first, and so are sizes: a hostile definition
must neither run nor grow.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat, Nodetype
from rosbags.interfaces.typing import Typesdict
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from qsft_datasets.rosbag.bag import Topic, our_errors
from vlm_qsft.errors import DatasetError

STORES = {store.name.removeprefix("ROS2_").lower(): store for store in Stores if store.name.startswith("ROS2_")}
BEFORE_DEFINITIONS = Stores.ROS2_HUMBLE
"""Bags that hold neither definitions nor the name of their distribution were written by Humble or before."""
TYPE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)+")
FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LONGEST_DEFINITION = 2**20
DEEPEST = 24
STANDARD = (
    "builtin_interfaces/msg/Time",
    "std_msgs/msg/Header",
    "std_msgs/msg/Bool",
    "std_msgs/msg/String",
    "sensor_msgs/msg/Image",
    "sensor_msgs/msg/CompressedImage",
)
"""Types that are read by the names of their fields; they are the same in every distribution."""
LONGEST_ARRAY = 4096
"""Of texts or messages: `rosbags` writes a line of code per element."""
IDL_SEPARATOR = "=" * 80 + "\n"
MOST_STORES = 64
"""Kept in memory: `rosbags` compiles code for every type of a store, and thousands of bags share the same types."""


class NoDefinition(DatasetError):
    """A type that neither the bag nor a distribution defines."""


@lru_cache(maxsize=MOST_STORES)
def typestore_of(msgtype: str, definitions: tuple[MessageDefinition, ...], ros_distro: str | None) -> Typestore:
    """Return a store that can read the messages of a type.

    Args:
        definitions: of the type, as far as the bag holds them.
    Raises:
        NoDefinition: neither the bag nor the distribution defines the type, or something that it consists of.
    """
    types: Typesdict = {}
    for definition in definitions:
        types |= parsed(msgtype, definition)
    distribution = get_typestore(STORES.get(ros_distro or "", BEFORE_DEFINITIONS))
    if msgtype not in types:
        _check(msgtype, distribution.fielddefs)
        return distribution
    store = get_typestore(Stores.EMPTY)
    types |= {name: distribution.fielddefs[name] for name in _missing(msgtype, types, distribution.fielddefs)}
    _check(msgtype, types)
    store.register(types)
    return store


def parsed(msgtype: str, definition: MessageDefinition) -> Typesdict:
    """Return the types that a definition of a bag consists of.

    Raises:
        NoDefinition: too long, or with names that are none.
    """
    if len(definition.data) > LONGEST_DEFINITION or not TYPE_NAME.fullmatch(msgtype):
        raise NoDefinition(f"The definition of {msgtype!r:.80} is not usable.")
    types: Typesdict = {}
    if definition.format == MessageDefinitionFormat.MSG:
        types |= get_types_from_msg(definition.data, msgtype)
    elif definition.format == MessageDefinitionFormat.IDL:
        parts = definition.data.split(IDL_SEPARATOR) if definition.data.startswith(IDL_SEPARATOR) else [definition.data]
        for part in parts:
            text = part.split("\n", 1)[1] if part.startswith("IDL: ") and "\n" in part else part
            if text.strip():
                types |= get_types_from_idl(text)
    for name, (constants, fields) in types.items():
        names = [*(field[0] for field in fields), *(constant[0] for constant in constants)]
        if not TYPE_NAME.fullmatch(name) or not all(FIELD_NAME.fullmatch(each) for each in names):
            raise NoDefinition(f"The definition of {msgtype} has names that are none.")
    return types


def _missing(msgtype: str, types: Typesdict, known: Typesdict) -> list[str]:
    """Return the types that a definition needs, does not hold, and that the distribution defines."""
    missing: list[str] = []
    waiting, seen = [msgtype], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in types and name in known:
            missing.append(name)
        waiting += _parts(name, types if name in types else known)
    return missing


def _parts(name: str, types: Typesdict) -> list[str]:
    parts = []
    for _, description in types[name][1] if name in types else []:
        element = description[1][0] if description[0] in (Nodetype.ARRAY, Nodetype.SEQUENCE) else description
        if element[0] == Nodetype.NAME:
            parts.append(str(element[1]))
    return parts


def _check(msgtype: str, types: Typesdict, holders: tuple[str, ...] = (), checked: set[str] | None = None) -> None:
    """Check that a type is defined to its last part, does not hold itself and has no endless array."""
    checked = set() if checked is None else checked
    if msgtype in checked:
        return
    if msgtype in holders or len(holders) > DEEPEST:
        raise NoDefinition(f"{msgtype} is defined by itself, or more than {DEEPEST} levels deep.")
    if msgtype not in types:
        where = f", a part of {holders[0]}," if holders else ""
        raise NoDefinition(
            f"The type {msgtype}{where} is defined neither in the bag nor by the distribution; "
            "'ros2 bag convert' to MCAP adds it."
        )
    if msgtype in STANDARD and types[msgtype][1] != _standard_types()[msgtype][1]:
        raise NoDefinition(f"The bag defines {msgtype} otherwise than ROS does.")
    for field, description in types[msgtype][1]:
        if description[0] == Nodetype.ARRAY:
            element, length = description[1]
            is_coded = element[0] == Nodetype.NAME or element[1][0] == "string"
            if is_coded and length > LONGEST_ARRAY:
                raise NoDefinition(f"{msgtype}.{field} declares {length} elements.")
    for part in dict.fromkeys(_parts(msgtype, types)):
        _check(part, types, (*holders, msgtype), checked)
    checked.add(msgtype)


@lru_cache(maxsize=1)
def _standard_types() -> Typesdict:
    return get_typestore(BEFORE_DEFINITIONS).fielddefs


def usable_typestore(topic: Topic, ros_distro: str | None) -> Typestore:
    """Return `typestore_of`, with whatever `rosbags` finds wrong in the definition as a reason to leave the topic out.

    Raises:
        NoDefinition: see `typestore_of`; or the definition cannot be parsed, as those of services.
    """
    try:
        with our_errors(f"The definition of {topic.msgtype}"):
            store = typestore_of(topic.msgtype, topic.definitions, ros_distro)
            store.get_msgdef(topic.msgtype)
            return store
    except NoDefinition:
        raise
    except DatasetError as error:
        raise NoDefinition(f"The definition of {topic.msgtype} in the bag cannot be used.") from error
