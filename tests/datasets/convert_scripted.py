"""Converts scripted logs: `convert_scripted.py LOGS ROOT WORKERS [skip]`. Tests start it to kill it.

Prints one line per complete episode, so that the parent knows where it is.
"""

from __future__ import annotations

import sys
from pathlib import Path

from scripted_source import MAPPING, open_source

from qsft_datasets.dataset_conversion import ConversionSettings, convert_dataset
from qsft_datasets.mapping_file import parse_mapping
from vlm_qsft.errors import QsftError


def main() -> int:
    """Convert; 2 for an error that a user can mend."""
    logs, root, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    settings = ConversionSettings(skip_bad="skip" in sys.argv, workers=workers)

    def progress(complete: int, total: int) -> None:
        print(complete, total, flush=True)

    try:
        convert_dataset(open_source(logs), parse_mapping(MAPPING, "m.yaml"), root, settings=settings, progress=progress)
    except QsftError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
