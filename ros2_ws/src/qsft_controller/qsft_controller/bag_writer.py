"""Writes serialised messages as a rosbag2 bag, with the definition of every type, so that any reader understands it.

The package rosbags writes the files: rosbag2 itself comes with a ROS installation only, and its recorder cannot know
when an episode begins and how it ended.
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rosbags.interfaces import Connection, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from vlm_qsft.errors import DatasetError, StorageError, UnknownName

STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
BAG_VERSION = 9
"""Of the metadata; rosbag2 reads it since Iron."""


class BagWriter:
    """One bag; close it, or it has no metadata."""

    def __init__(self, folder: Path, *, storage: str) -> None:
        """Begin a bag.

        Args:
            folder: that does not exist yet.
            storage: "mcap" or "sqlite3".

        Raises:
            UnknownName: another storage.
            StorageError: the folder exists, or cannot be written.
        """
        if storage not in STORAGES:
            raise UnknownName("storage", storage, STORAGES)
        self.folder = folder
        self._types: Typestore = get_typestore(Stores.ROS2_JAZZY)
        self._connections: dict[str, Connection] = {}
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._writer = Writer(folder, version=BAG_VERSION, storage_plugin=STORAGES[storage])
            self._writer.open()
        except (WriterError, OSError) as error:
            raise StorageError(f"The bag {folder} cannot be begun: {error}") from error

    def add_topic(self, topic: str, type_name: str, *, latched: bool = False) -> None:
        """Declare a topic, once.

        Args:
            topic: its name.
            type_name: "package/msg/Type".
            latched: its publisher gives what it said last to whoever comes later (transient local).

        Raises:
            DatasetError: the type is not defined in any installed package.
        """
        self._define(type_name)
        profile = Qos(
            history=QosHistory.KEEP_LAST,
            depth=1,
            reliability=QosReliability.RELIABLE,
            durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
            deadline=QosTime(0, 0),
            lifespan=QosTime(0, 0),
            liveliness=QosLiveliness.AUTOMATIC,
            liveliness_lease_duration=QosTime(0, 0),
            avoid_ros_namespace_conventions=False,
        )
        self._connections[topic] = self._writer.add_connection(
            topic, type_name, typestore=self._types, offered_qos_profiles=[profile]
        )

    def write(self, topic: str, received_ns: int, content: bytes) -> None:
        """Append a serialised message of a declared topic. Raises StorageError: disk full."""
        try:
            self._writer.write(self._connections[topic], received_ns, content)
        except OSError as error:
            raise StorageError(f"The bag {self.folder} cannot be continued: {error.strerror}.") from error

    def close(self) -> None:
        """Write the metadata; nothing can be appended afterwards. Raises StorageError: disk full."""
        try:
            self._writer.close()
        except OSError as error:
            raise StorageError(f"The bag {self.folder} cannot be completed: {error.strerror}.") from error

    def _define(self, type_name: str) -> None:
        """Learn a type, and the types it consists of, from the installed package it belongs to."""
        if type_name in self._types.fielddefs:
            return
        package, _, short = type_name.split("/")
        try:
            path = Path(get_package_share_directory(package)) / "msg" / f"{short}.msg"
            definition = path.read_text(encoding="utf-8")
        except (PackageNotFoundError, OSError) as error:
            raise DatasetError(f"The type {type_name} is not defined in any installed package ({error}).") from error
        learned = get_types_from_msg(definition, type_name)
        self._types.register({name: fields for name, fields in learned.items() if name not in self._types.fielddefs})
