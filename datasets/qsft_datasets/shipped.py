"""The mappings that ship with the library, found by the name and the format of a data set."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from fnmatch import fnmatchcase
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from qsft_datasets.coverage import is_format
from qsft_datasets.dataset_conversion import ResampledSource
from qsft_datasets.mapping import Mapping
from qsft_datasets.mapping_file import parse_mapping
from qsft_datasets.source import Source
from qsft_datasets.yaml_entries import parse_entries

UNDECIDED_FOLDER = "undecided"
"""Mappings of well-known sets in which something is left to a person: copied for review, never used as they are."""


def shipped_files(folder_name: str = "") -> dict[str, Traversable]:
    """Return stem -> mapping file, by name.

    Args:
        folder_name: of a folder below that of the mappings.
    """
    folder = resources.files("qsft_datasets") / "mappings"
    folder = folder / folder_name if folder_name else folder
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


def find_shipped(source: Source) -> Mapping | None:
    """Return the shipped mapping of a data set; None where there is none, or where decisions are left in it."""
    stem = _best(shipped_files(), source)
    return None if stem is None else shipped_mapping(stem)


def find_undecided(source: Source) -> str | None:
    """Return the text of a shipped mapping in which a person has to decide something; None where there is none."""
    files = shipped_files(UNDECIDED_FOLDER)
    stem = _best(files, source)
    return None if stem is None else files[stem].read_text(encoding="utf-8")


def matches(pattern: str, name: str) -> bool:
    """Tell whether a data set has this name, or one of this pattern, in any case."""
    return fnmatchcase(name.lower(), pattern.lower())


def names_of(source: Source) -> list[str]:
    """Return what a data set is called: by itself, and where it is a folder of files, by its first file."""
    names = [source.description.name]
    if not isinstance(source, ResampledSource):
        names += [PurePosixPath(reference.file).stem for reference in source.references()[:1]]
    return names


def _best(files: MappingType[str, Traversable], source: Source) -> str | None:
    """Return the stem of the file whose name is, or whose pattern fits, that of the data set.

    A name may be a pattern ("libero_*") where sets of one family have the same layout; the data set's own name comes
    before a pattern, and a longer pattern before a shorter one.
    """
    found = {}
    for stem, file in files.items():
        fields = parse_entries(file.read_text(encoding="utf-8"), f"mappings/{file.name}").value
        if isinstance(fields, dict):
            pattern, format_name = (str(fields[key].value) for key in ("name", "format"))
            if is_format(format_name, source.description.format):
                found[stem] = pattern
    for name in names_of(source) if found else ():
        fitting = [stem for stem, pattern in found.items() if matches(pattern, name)]
        if fitting:
            return min(fitting, key=lambda stem: (found[stem].lower() != name.lower(), -len(found[stem])))
    return None
