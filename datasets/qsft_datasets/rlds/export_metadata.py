"""metadata.json of our own exports: what the other files of TFDS have no place for. TFDS shows it as `info.metadata`.

{"vlm_qsft": {"fps": "25/2", "robot_type": "...", "names": {"steps/action": ["dx", ...]}, "optional": [...], ...}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from qsft_datasets.rlds.json_values import Json, mapping, sequence, text
from vlm_qsft.data.source_files import read_json
from vlm_qsft.errors import DatasetError

FILE = "metadata.json"
KEY = "vlm_qsft"


@dataclass(frozen=True)
class ExportMetadata:
    """What an export says beyond TFDS.

    Attributes:
        fps: control steps per second, exact: "25/2".
        robot_type: free text.
        names: feature in the records -> one name per number.
        optional: features of the episode that some episodes lack; in the records they are sequences of none or one.
        labels: content of meta/labels.json, as it stands there; empty where the data set has no labels of ours.
        fingerprint: of the data set that was exported.
    """

    fps: str = ""
    robot_type: str = ""
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    labels: Mapping[str, object] = field(default_factory=dict)
    fingerprint: str = ""

    def to_json(self) -> Json:
        """Return the content of metadata.json."""
        return {
            KEY: {
                "fps": self.fps,
                "robot_type": self.robot_type,
                "names": {name: list(parts) for name, parts in self.names.items()},
                "optional": list(self.optional),
                "labels": dict(self.labels),
                "fingerprint": self.fingerprint,
            }
        }


def read_export_metadata(folder: Path) -> ExportMetadata | None:
    """Return what our export stored in a folder; None where it is no export of ours.

    Raises:
        DatasetError: the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    content = read_json(path)
    if KEY not in content:
        return None
    try:
        record = mapping(content[KEY], KEY)
        names = mapping(record.get("names", {}), "its names")
        metadata = ExportMetadata(
            fps=text(record.get("fps", ""), "its fps"),
            robot_type=text(record.get("robot_type", ""), "its robot_type"),
            names={
                name: tuple(text(part, f"a name of {name}") for part in sequence(parts, f"the names of {name}"))
                for name, parts in names.items()
            },
            optional=tuple(
                text(name, "an optional feature") for name in sequence(record.get("optional", []), "optional")
            ),
            labels=mapping(record.get("labels", {}), "its labels"),
            fingerprint=text(record.get("fingerprint", ""), "its fingerprint"),
        )
        if metadata.fps and not is_rate(metadata.fps):
            raise DatasetError(f"its fps is '{metadata.fps[:80]}'; expected a rational number above 0")
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}.") from error
    return metadata


def is_rate(value: str) -> bool:
    """Tell whether a text is a rational number above 0."""
    try:
        return len(value) < 80 and "e" not in value.lower() and Fraction(value) > 0
    except (ValueError, ZeroDivisionError):
        return False
