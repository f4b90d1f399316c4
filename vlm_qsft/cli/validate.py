"""`qsft validate`: every check of a data set before it is trained on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_qsft.cli.arguments import CommandParser, place
from vlm_qsft.cli.progress import ProgressLine

if TYPE_CHECKING:
    from qsft_datasets.validation import Finding, Report

HAS_ERRORS = 1


def build_parser() -> CommandParser:
    """Return the arguments of `qsft validate`."""
    parser = CommandParser(
        "validate",
        description="Check a data set: what is wrong, what is doubtful, and what to do about it. Exit status 1 where "
        "there are errors, 0 where there are warnings at most, 2 where it cannot be read.",
    )
    parser.add_argument("folder", type=place, help="data set: canonical, or any LeRobotDataset v3.0")
    parser.add_argument("--json", type=place, metavar="FILE", help="write the report as JSON, pictures included")
    parser.add_argument("--markdown", type=place, metavar="FILE", help="write the report, its pictures beside it")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Check the data set, print what was found and return the exit status.

    Raises:
        DatasetError: no finished data set of format v3.0.
        StorageError: a report could not be written.
    """
    from qsft_datasets.validation import validate_dataset, write_markdown
    from qsft_datasets.validation.report import write_json

    print(f"Validating {arguments.folder}", flush=True)
    report = validate_dataset(arguments.folder, progress=ProgressLine("checks"))
    written: list[Path] = []
    if arguments.json is not None:
        write_json(report, arguments.json)
        written.append(arguments.json)
    if arguments.markdown is not None:
        written += write_markdown(report, arguments.markdown)
    print(described(report))
    for path in written:
        print(f"Wrote {path}")
    return 0 if report.is_good else HAS_ERRORS


def described(report: Report) -> str:
    """Return facts and findings for the terminal."""
    from qsft_datasets.validation.report import counted

    lines = [f"  {fact.name}: {fact.value}" for fact in report.facts]
    for level in ("error", "warning"):
        lines += [line for check, finding in report.of_level(level) for line in said(level, check, finding)]
    errors, warnings = len(report.of_level("error")), len(report.of_level("warning"))
    return "\n".join([*lines, f"{counted(errors, 'error')}, {counted(warnings, 'warning')}"])


def said(level: str, check: str, finding: Finding) -> list[str]:
    """Return the two lines of a finding: what and where, and the remedy."""
    from qsft_datasets.validation.report import places

    return [f"{level.upper()} [{check}] {places(finding)}: {finding.message}", f"    {finding.remedy}"]
