"""The list of files of a checkpoint folder, with sizes and hashes: what makes a partial or altered folder visible."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from vlm_qsft.data.storage import storage_errors, write_durably
from vlm_qsft.errors import CheckpointError

FORMAT = "vlm-qsft checkpoint"
FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True)
class FileRecord:
    """Size in bytes and SHA-256 of one file."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Every file of a checkpoint, by its path inside the folder."""

    files: dict[str, FileRecord]

    @property
    def identity(self) -> str:
        """Return one hash over all files: equal for equal checkpoints, whatever their folder is called."""
        lines = [f"{name} {record.size} {record.sha256}\n" for name, record in sorted(self.files.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def write_manifest(folder: Path) -> None:
    """List the files of a folder; written last, so a folder without it is partial.

    Raises:
        StorageError: disk full or no permission.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): _measure(path) for path in paths}
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "files": {name: {"size": record.size, "sha256": record.sha256} for name, record in files.items()},
    }
    write_durably(folder / MANIFEST_NAME, json.dumps(document, indent=2).encode())


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest and compare every file with it. Files it does not list are left alone and never read.

    Raises:
        CheckpointError: no checkpoint, of another version, or a file is missing, cut off or altered.
    """
    path = folder / MANIFEST_NAME
    if not folder.is_dir():
        raise CheckpointError(f"No checkpoint folder at {folder}.")
    if not path.is_file():
        raise CheckpointError(
            f"{folder} has no {MANIFEST_NAME}: it is no vlm-qsft checkpoint, or writing it never ended. "
            "A checkpoint is a folder that training wrote; models of other libraries are named by the model's source."
        )
    try:
        document = json.loads(path.read_bytes())
        found_format, version = document["format"], document["format_version"]
        files = {name: FileRecord(record["size"], record["sha256"]) for name, record in document["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is not the manifest of a vlm-qsft checkpoint: {error!r}.") from error
    if found_format != FORMAT:
        raise CheckpointError(f"{path} is of format '{found_format}'; expected '{FORMAT}'.")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{folder} is a checkpoint of format version {version}; this library reads version {FORMAT_VERSION}. "
            "Use the library version that wrote it, or train again."
        )
    for name, expected in files.items():
        _check_file(folder, name, expected)
    return Manifest(files)


def _check_file(folder: Path, name: str, expected: FileRecord) -> None:
    path = folder / name
    if folder.resolve() not in path.resolve().parents:
        raise CheckpointError(f"{folder / MANIFEST_NAME} lists '{name}', which lies outside of the checkpoint.")
    if not path.is_file():
        raise CheckpointError(f"{folder} is partial: '{name}' is missing. Copy the whole folder again.")
    size = path.stat().st_size
    if size != expected.size:
        raise CheckpointError(f"'{name}' in {folder} has {size} bytes; expected {expected.size}. Copy it again.")
    if _measure(path).sha256 != expected.sha256:
        raise CheckpointError(f"'{name}' in {folder} was altered: its SHA-256 is not the one in {MANIFEST_NAME}.")


def _measure(path: Path) -> FileRecord:
    with storage_errors(path), open(path, "rb") as file:
        return FileRecord(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
