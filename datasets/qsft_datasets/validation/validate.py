"""validate_dataset: every check on one data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qsft_datasets.validation.finding import Fact, Finding, error
from qsft_datasets.validation.registry import CHECKS, WITHOUT_FRAMES
from qsft_datasets.validation.report import Report
from qsft_datasets.validation.subject import Subject
from vlm_qsft.errors import QsftError

Progress = Callable[[int, int], None]
"""Called with (finished, total) checks."""


def validate_dataset(root: Path, *, progress: Progress | None = None) -> Report:
    """Return what all checks say. A check that cannot be done because of a damaged file is an error of the report.

    Raises:
        DatasetError: no finished data set of format v3.0, or its description cannot be read at all.
    """
    subject = Subject(Path(root))
    findings: dict[str, list[Finding]] = {}
    facts: list[Fact] = []
    said: set[str] = set()
    checks = {name: check for name, check in CHECKS.items() if subject.data_files or name in WITHOUT_FRAMES}
    for complete, (name, check) in enumerate(checks.items()):
        if progress is not None:
            progress(complete, len(checks))
        found = findings.setdefault(name, [])
        try:
            for result in check(subject):
                if isinstance(result, Fact):
                    facts.append(result)
                else:
                    found.append(result)
        except QsftError as problem:
            # The same damaged file stops several checks: one line is enough.
            if str(problem) not in said:
                said.add(str(problem))
                found.append(error(f"Not checked: {problem}", "Repair or copy this file again."))
    if progress is not None:
        progress(len(checks), len(checks))
    return Report(subject, findings, facts, skipped=tuple(name for name in CHECKS if name not in checks))
