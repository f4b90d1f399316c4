"""The mappings that ship with the library, found by the name and the format of a data set."""

from __future__ import annotations

from fnmatch import fnmatchcase
from importlib import resources
from importlib.resources.abc import Traversable

from qsft_datasets.coverage import is_format
from qsft_datasets.mapping import Mapping
from qsft_datasets.mapping_file import parse_mapping
from qsft_datasets.source import SourceDescription


def shipped_files() -> dict[str, Traversable]:
    """Return stem -> mapping file, by name."""
    folder = resources.files("qsft_datasets") / "mappings"
    if not folder.is_dir():
        return {}
    files = {file.name.removesuffix(".yaml"): file for file in folder.iterdir() if file.name.endswith(".yaml")}
    return dict(sorted(files.items()))


def shipped_mapping(stem: str) -> Mapping:
    """Return a shipped mapping by the stem of its file.

    Raises:
        UnknownName, InvalidSetting: the file is not a mapping: a defect that a test finds.
    """
    file = shipped_files()[stem]
    return parse_mapping(file.read_text(encoding="utf-8"), f"mappings/{file.name}")


def find_shipped(description: SourceDescription) -> Mapping | None:
    """Return the shipped mapping of a data set; None where there is none.

    The name of a mapping may be a pattern ("libero_*") where sets of one family have the same layout; a mapping with
    the data set's own name comes before one with a pattern.
    """
    fitting = []
    for stem in shipped_files():
        mapping = shipped_mapping(stem)
        if is_format(mapping.format, description.format) and matches(mapping.name, description.name):
            fitting.append(mapping)
    fitting.sort(key=lambda mapping: (mapping.name.lower() != description.name.lower(), -len(mapping.name)))
    return fitting[0] if fitting else None


def matches(pattern: str, name: str) -> bool:
    """Tell whether a data set has this name, or one of this pattern, in any case."""
    return fnmatchcase(name.lower(), pattern.lower())
