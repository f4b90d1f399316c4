"""JSON Lines files: one object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from vlm_qsft.errors import DatasetError


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield (number of the line from 1, object); empty lines are skipped.

    Raises:
        DatasetError: missing, or a line that is no JSON object; names the line.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise DatasetError(f"{path}, line {number}, is no valid JSON: {error}.") from error
                if not isinstance(record, dict):
                    raise DatasetError(f"{path}, line {number}, holds no JSON object.")
                yield number, record
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}.") from error
