"""Report: findings and facts as JSON and as Markdown, with a contact sheet of every camera."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qsft_datasets.validation.contact_sheet import contact_sheet
from qsft_datasets.validation.finding import Fact, Finding, Level
from qsft_datasets.validation.pictures import CameraSample
from qsft_datasets.validation.subject import Subject
from vlm_qsft.data.schema import IMAGE_PREFIX
from vlm_qsft.data.storage import storage_errors, write_durably
from vlm_qsft.errors import DatasetError
from vlm_qsft.images import encode_jpeg

JPEG_QUALITY = 80


@dataclass(frozen=True)
class Report:
    """What the checks found.

    Attributes:
        findings: check -> findings, also of checks that found nothing.
        facts: what was measured.
        skipped: checks that could not be done, because there are no frames.
    """

    subject: Subject
    findings: dict[str, list[Finding]]
    facts: list[Fact]
    skipped: tuple[str, ...] = ()

    def of_level(self, level: Level) -> list[tuple[str, Finding]]:
        """Return (check, finding) of one level."""
        return [
            (check, finding) for check, found in self.findings.items() for finding in found if finding.level == level
        ]

    @property
    def is_good(self) -> bool:
        """Whether there is no error."""
        return not self.of_level("error")

    def sheets(self) -> dict[str, bytes]:
        """Return camera -> contact sheet as JPEG, of every camera that shows something."""
        try:
            samples: list[CameraSample] = self.subject.samples if self.subject.data_files else []
        except DatasetError:
            return {}
        sheets = {sample.key.removeprefix(IMAGE_PREFIX): contact_sheet(sample) for sample in samples}
        return {
            camera: encode_jpeg(sheet, quality=JPEG_QUALITY) for camera, sheet in sheets.items() if sheet is not None
        }


def to_json(report: Report) -> dict[str, Any]:
    """Return the report for JSON; pictures are data URIs."""
    return {
        "data_set": str(report.subject.root),
        "good": report.is_good,
        "errors": len(report.of_level("error")),
        "warnings": len(report.of_level("warning")),
        "facts": {fact.name: fact.value for fact in report.facts},
        "checks": {
            check: [{**asdict(finding), "place": finding.place} for finding in found]
            for check, found in report.findings.items()
        },
        "skipped": list(report.skipped),
        "pictures": {
            camera: "data:image/jpeg;base64," + base64.b64encode(sheet).decode()
            for camera, sheet in report.sheets().items()
        },
    }


def write_json(report: Report, path: Path) -> None:
    """Write the report as JSON.

    Raises:
        StorageError: disk full or no permission.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, (json.dumps(to_json(report), indent=2) + "\n").encode())


def write_markdown(report: Report, path: Path) -> list[Path]:
    """Write the report as Markdown and its pictures beside it; return what was written.

    Raises:
        StorageError: disk full or no permission.
    """
    folder = path.with_name(f"{path.stem}_pictures")
    sheets = report.sheets()
    with storage_errors(path):
        (folder if sheets else path.parent).mkdir(parents=True, exist_ok=True)
    places = {}
    for camera, sheet in sheets.items():
        places[camera] = folder / f"{''.join(c if c.isalnum() or c in '-_' else '_' for c in camera)}.jpg"
        write_durably(places[camera], sheet)
    links = {camera: f"{folder.name}/{place.name}" for camera, place in places.items()}
    write_durably(path, markdown(report, links).encode())
    return [path, *places.values()]


def markdown(report: Report, pictures: dict[str, str]) -> str:
    """Return the report as Markdown.

    Args:
        pictures: camera -> link to its contact sheet.
    """
    errors, warnings = report.of_level("error"), report.of_level("warning")
    verdict = "This data set has errors: mend them before training." if errors else "This data set can be trained on."
    lines = [f"# Validation of {report.subject.root.name}", "", f"`{report.subject.root}`", ""]
    lines += [f"**{counted(len(errors), 'error')}, {counted(len(warnings), 'warning')}.** {verdict}", ""]
    for title, found in (("Errors", errors), ("Warnings", warnings)):
        if found:
            lines += [f"## {title}", "", "| check | where | what | remedy |", "|---|---|---|---|"]
            lines += [
                f"| {check} | {places(finding)} | {cell(finding.message)} | {cell(finding.remedy)} |"
                for check, finding in found
            ]
            lines.append("")
    lines += ["## Measured", "", "| what | value |", "|---|---|"]
    lines += [f"| {cell(fact.name)} | {cell(fact.value)} |" for fact in report.facts]
    quiet = [check for check, found in report.findings.items() if not found]
    lines += ["", f"Nothing found by: {', '.join(quiet) or 'no check'}.", ""]
    if report.skipped:
        lines += [f"Not done, for there are no frames: {', '.join(report.skipped)}.", ""]
    if pictures:
        lines += ["## Pictures", "", "One row per episode; from its first frame to its last.", ""]
        for camera, link in pictures.items():
            lines += [f"### {camera}", "", f"![{camera}]({link})", ""]
    return "\n".join(lines)


def places(finding: Finding) -> str:
    """Return where a finding is, with the other episodes."""
    others = [episode for episode in finding.episodes if episode != finding.episode]
    more = f"; also {', '.join(map(str, others))}" if others else ""
    return finding.place + more + (" ..." if finding.count > len(finding.episodes) and others else "")


def counted(number: int, noun: str) -> str:
    """Return `1 error` or `3 errors`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def cell(text: str) -> str:
    """Return text for a cell of a Markdown table; what comes from the data set must not end the cell or become HTML."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
