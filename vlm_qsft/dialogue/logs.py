"""Logged conversations on disk: a folder of JSON Lines parts, or one such file, in the layout of `lmrl_gym`.

conversations/part-00000.jsonl ...   up to `PART` conversations each; a part exists whole or not at all
recording.json                       what was recorded and how; written last
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vlm_qsft.data.storage import write_durably
from vlm_qsft.dialogue.conversation import Conversation
from vlm_qsft.dialogue.lmrl_gym import from_line, to_line
from vlm_qsft.errors import DatasetError

PART = 1000
FOLDER = "conversations"
RECORDING_NAME = "recording.json"


def part_path(root: Path, part: int) -> Path:
    """Return where a part lies."""
    return root / FOLDER / f"part-{part:05d}.jsonl"


def write_part(root: Path, part: int, conversations: Sequence[Conversation]) -> None:
    """Write one part durably.

    Raises:
        StorageError: disk full or no permission.
    """
    lines = "".join(f"{to_line(conversation)}\n" for conversation in conversations)
    write_durably(part_path(root, part), lines.encode())


def write_conversations(path: Path, conversations: Sequence[Conversation]) -> None:
    """Write one JSON Lines file durably.

    Raises:
        StorageError: disk full or no permission.
    """
    write_durably(path, "".join(f"{to_line(conversation)}\n" for conversation in conversations).encode())


def conversation_files(path: Path) -> list[Path]:
    """Return the JSON Lines files of a folder of logs, or the file itself.

    Raises:
        DatasetError: there are none, or the recording is not complete.
    """
    if path.is_file():
        return [path]
    files = sorted((path / FOLDER).glob("part-*.jsonl"))
    if not files:
        raise DatasetError(f"{path} holds no logged conversations (no {FOLDER}/part-*.jsonl, and no JSON Lines file).")
    if not (path / RECORDING_NAME).is_file():
        raise DatasetError(f"The recording in {path} is not complete. Run the same `qsft record` again: it continues.")
    return files


def is_log(path: Path) -> bool:
    """Tell whether a path is, or was begun as, logged conversations and no data set of a robot."""
    return (path.is_file() and path.suffix == ".jsonl") or (path / FOLDER).is_dir()


def read_conversations(path: Path) -> Iterator[Conversation]:
    """Yield the conversations of a folder of logs or of a JSON Lines file; empty lines are passed over.

    Raises:
        DatasetError: nothing there, not complete, or a line that is no conversation; names file and line.
    """
    for file in conversation_files(path):
        with open(file, encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    yield from_line(line)
                except DatasetError as error:
                    raise DatasetError(f"{file}, line {number}: {error}") from error


def read_recording(path: Path) -> Mapping[str, Any]:
    """Return what a folder of logs says about itself; empty for a file of another origin.

    Raises:
        DatasetError: the record cannot be read.
    """
    record = path / RECORDING_NAME
    if not record.is_file():
        return {}
    try:
        return json.loads(record.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DatasetError(f"{record} cannot be read: {error}.") from error


def fingerprint(path: Path) -> str:
    """Return a hash of every byte of the logs, the key of what is computed from them."""
    digest = hashlib.sha256()
    for file in conversation_files(path):
        digest.update(file.read_bytes())
    return digest.hexdigest()
