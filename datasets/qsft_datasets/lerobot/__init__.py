"""LeRobot data sets of the formats v2.0, v2.1 and v3.0, read directly and offline, without lerobot."""

from __future__ import annotations

from pathlib import Path

from qsft_datasets.source import Source

LOOKED_AT_BYTES = 1 << 20
"""An info.json is a few kilobytes; a foreign file of this name is not read further than this."""


def recognise(root: Path) -> bool:
    """Tell whether a folder looks like a LeRobot data set of any version; never raises."""
    try:
        with (root / "meta/info.json").open("rb") as file:
            return b'"codebase_version"' in file.read(LOOKED_AT_BYTES)
    except (OSError, ValueError):
        return False


def open_source(root: Path) -> Source:
    """Return the data set as a source; files are looked at when something is asked of it."""
    from qsft_datasets.lerobot.lerobot_source import LeRobotSource

    return LeRobotSource(root)
