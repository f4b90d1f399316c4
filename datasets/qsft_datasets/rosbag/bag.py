"""One open bag: its topics and its messages, and whatever goes wrong in them as one error that names the bag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rosbags.interfaces import Connection, MessageDefinition
from rosbags.rosbag2 import Reader
from ruamel.yaml import YAML

from qsft_datasets.rosbag.finding import METADATA
from vlm_qsft.errors import DatasetError, QsftError


@dataclass(frozen=True)
class Topic:
    """One topic of a bag.

    Attributes:
        name: "/joint_states".
        msgtype: "sensor_msgs/msg/JointState".
        definitions: of its type, as far as the bag holds them.
        n_messages: as the bag states.
        serialization: "cdr", or something that cannot be read.
    """

    name: str
    msgtype: str
    definitions: tuple[MessageDefinition, ...]
    n_messages: int
    serialization: str


class Bag:
    """An open bag."""

    def __init__(self, path: Path, reader: Reader) -> None:
        """Take an open reader of `rosbags`.

        Raises:
            DatasetError: a topic has messages of two types.
        """
        self.path, self._reader = path, reader
        storage = reader.storage
        parts = getattr(storage, "storages", [storage])
        # The connections of the files themselves: those of the metadata can state other QoS settings, and `rosbags`
        # then gives no message at all, without a word.
        self._connections: list[Connection] = [connection for part in parts for connection in part.connections]
        stated, held = _counts(reader.connections), _counts(self._connections)
        names = sorted({*stated, *held})
        self.topics = {name: self._topic(name, max(stated[name], held[name])) for name in names}
        self.duration_s = reader.duration / 1e9
        metadata = storage.metadata
        self.ros_distro = metadata.ros_distro
        self.custom = {str(key): str(value) for key, value in (metadata.custom or {}).items()}

    def messages(
        self, names: Collection[str], start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[tuple[str, int, bytes]]:
        """Yield (topic, receive time in ns, serialised message), every topic in the order of its receive times.

        Args:
            names: topics.
            start_ns, end_ns: only what was received at or after the one and before the other.
        Raises:
            DatasetError: a message is damaged, or there are fewer than the bag states; names the bag.
        """
        wanted = [connection for connection in self._connections if connection.topic in names]
        found: Counter[str] = Counter()
        if wanted:
            with our_errors(self.path):
                for connection, time_ns, content in self._reader.messages(wanted, start_ns, end_ns):
                    found[connection.topic] += 1
                    yield connection.topic, time_ns, bytes(content)
        if start_ns is None and end_ns is None:
            for name in names:
                if name in self.topics and found[name] < self.topics[name].n_messages:
                    raise DatasetError(
                        f"{self.path} states {self.topics[name].n_messages} messages of {name} and holds "
                        f"{found[name]}: a file of it is incomplete. Copy it again."
                    )

    def _topic(self, name: str, n_messages: int) -> Topic:
        of_files = [connection for connection in self._connections if connection.topic == name]
        connections = of_files or [connection for connection in self._reader.connections if connection.topic == name]
        msgtypes = sorted({connection.msgtype for connection in connections})
        if len(msgtypes) != 1:
            raise DatasetError(f"{self.path} holds messages of several types on {name}: {', '.join(msgtypes)}.")
        formats = {getattr(connection.ext, "serialization_format", "") for connection in connections}
        definitions = tuple(dict.fromkeys(connection.msgdef for connection in connections if connection.msgdef.data))
        return Topic(name, msgtypes[0], definitions, n_messages, ", ".join(sorted(formats)))


def _counts(connections: Iterable[Connection]) -> Counter[str]:
    """Return topic -> messages."""
    counts: Counter[str] = Counter()
    for connection in connections:
        counts[connection.topic] += connection.msgcount
    return counts


@contextmanager
def our_errors(place: Path | str) -> Iterator[None]:
    """Turn whatever `rosbags` finds wrong into one error that names the bag.

    Raises:
        DatasetError: the bag is truncated, damaged or of another kind.
    """
    try:
        yield
    except (QsftError, GeneratorExit):
        raise
    except Exception as error:
        # Damaged bytes surface as whatever they meet first: struct.error, TypeError, KeyError, zstd and sqlite errors.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"{place} is truncated, damaged or no ROS 2 bag ({reason}).") from error


@contextmanager
def opened_bag(path: Path) -> Iterator[Bag]:
    """Open a bag: a folder or a file, plain or compressed.

    Raises:
        DatasetError: a file is missing, truncated or damaged; names the bag.
    """
    with our_errors(path):
        if path.is_dir():
            read_metadata(path)
        for file in sorted(path.glob("*.db3")) if path.is_dir() else [path]:
            check_whole_pages(file)
        reader = Reader(path)
        reader.open()
    try:
        with our_errors(path):
            bag = Bag(path, reader)
        yield bag
    finally:
        with our_errors(path):
            reader.close()


def check_whole_pages(path: Path) -> None:
    """Refuse a db3 file that is shorter than it says: SQLite reads what is missing as zeros.

    Its header holds the size of a page at byte 16 (1 means 65536) and, where bytes 24 and 92 agree, their number at 28.

    Raises:
        DatasetError: truncated.
    """
    with path.open("rb") as file:
        head = file.read(100)
    if path.suffix != ".db3" or len(head) < 100 or head[24:28] != head[92:96]:
        return
    page_size = int.from_bytes(head[16:18], "big")
    n_bytes = (65536 if page_size == 1 else page_size) * int.from_bytes(head[28:32], "big")
    if path.stat().st_size < n_bytes:
        raise DatasetError(f"{path} is truncated: it states {n_bytes} bytes and has {path.stat().st_size}.")


def read_metadata(path: Path) -> dict[str, object]:
    """Return what the metadata of a bag folder states, without opening its files.

    Raises:
        DatasetError: no metadata of rosbag2, or a file that it names is missing.
    """
    with our_errors(path / METADATA):
        content = YAML(typ="safe").load((path / METADATA).read_text(encoding="utf-8"))
        stated = content["rosbag2_bagfile_information"]
        names = [Path(str(name)).name for name in stated["relative_file_paths"]]
    missing = [name for name in names if not (path / name).is_file()]
    if missing:
        raise DatasetError(f"{path} lacks {', '.join(missing)}, which its {METADATA} names. Copy the bag again.")
    return stated
