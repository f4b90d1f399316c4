"""Where the data set lies: the folder of a version, or one above it."""

from __future__ import annotations

from pathlib import Path

from qsft_datasets.rlds.features import FILE
from vlm_qsft.errors import DatasetError

RECORD_NAMES = (".tfrecord", ".array_record")


def dataset_folder(root: Path) -> Path:
    """Return the folder that holds features.json: `root` itself, root/version or root/config/version.

    Raises:
        DatasetError: none, or several: names them.
    """
    folders = _folders(root)
    if not folders:
        raise DatasetError(
            f"{root} is no RLDS data set: {FILE} stands neither in it nor in a version folder (1.0.0/) below it."
        )
    if len(folders) > 1:
        names = ", ".join(str(folder.relative_to(root)) for folder in folders)
        raise DatasetError(f"{root} holds several versions or data sets: {names}. Name one of these folders.")
    return folders[0]


def recognise(root: Path) -> bool:
    """Tell whether a folder looks like RLDS: features.json of TFDS, and files of records beside it."""
    try:
        return any(
            FILE_MARK in _beginning(folder / FILE) and any(_is_record_file(path) for path in folder.iterdir())
            for folder in _folders(Path(root))
        )
    except (OSError, ValueError):
        return False


FILE_MARK = b"tensorflow_datasets"


def _folders(root: Path) -> list[Path]:
    try:
        for depth in ("", "*/", "*/*/"):
            found = sorted(path.parent for path in root.glob(depth + FILE) if path.is_file())
            # What begins with a dot is not finished (ours) or not meant to be seen.
            found = [path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts)]
            if found:
                return found
    except OSError:
        return []
    return []


def _beginning(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(4096)


def _is_record_file(path: Path) -> bool:
    return any(name in path.name for name in RECORD_NAMES)
