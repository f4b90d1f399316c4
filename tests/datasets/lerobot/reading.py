"""Reading of sets as the tests ask for it."""

from __future__ import annotations

from pathlib import Path

from qsft_datasets.lerobot import open_source
from qsft_datasets.source import SourceEpisode


def first_episode(root: Path) -> SourceEpisode:
    """Return the first episode of a set."""
    source = open_source(root)
    return source.read(source.references()[0])
