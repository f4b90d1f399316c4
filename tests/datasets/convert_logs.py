"""Converts logs: `convert_logs.py LOGS ROOT WORKERS [skip]`, scripted ones or a real set whose mapping ships.

Tests start it to kill it. Prints one line per complete episode, so that the parent knows where it is.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from scripted_source import MAPPING, open_source, recognise

from qsft_datasets.dataset_conversion import ConversionSettings, convert_dataset
from qsft_datasets.mapping import Mapping, OutcomeMapping
from qsft_datasets.mapping_file import parse_mapping
from qsft_datasets.registry import find_source
from qsft_datasets.shipped import find_shipped
from qsft_datasets.source import Source
from vlm_qsft.errors import QsftError


def opened(logs: Path) -> tuple[Source, Mapping]:
    """Return the logs and their mapping; whether a real set succeeded is assumed."""
    if recognise(logs):
        return open_source(logs), parse_mapping(MAPPING, "m.yaml")
    source = find_source(logs)
    mapping = find_shipped(source)
    assert mapping is not None
    return source, replace(mapping, outcome=OutcomeMapping("assume-success"))


def main() -> int:
    """Convert; 2 for an error that a user can mend."""
    logs, root, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    settings = ConversionSettings(skip_bad="skip" in sys.argv, workers=workers)

    def progress(complete: int, total: int) -> None:
        print(complete, total, flush=True)

    try:
        convert_dataset(*opened(logs), root, settings=settings, progress=progress)
    except QsftError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
