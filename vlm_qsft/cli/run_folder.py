"""The folder of a run: where everything lies, what was asked for, and which stages are complete.

settings.json       what decides the result; a run with others is refused
run.json            command, preset, settings, seeds, versions, commit, machine, as it was begun
usage.json          wall time and memory so far
stages/<name>.json  a stage is complete; written last
data/               the recorded data set
behavior/ q/ sft_success/         phase folders; policy/ inside is the checkpoint
evaluation/<policy>/              tune-<k>.jsonl, final.jsonl, counterfactual.jsonl, traces, videos/
summary.json report.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm_qsft.data.source_files import read_json
from vlm_qsft.data.storage import remove_partials, storage_errors, write_durably
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.training.phase_record import agree_on_settings

FINAL_FILE = "final.jsonl"
COUNTERFACTUAL_FILE = "counterfactual.jsonl"


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run."""

    root: Path

    @property
    def record(self) -> Path:
        """What was asked for."""
        return self.root / "run.json"

    @property
    def usage(self) -> Path:
        """Wall time and memory so far."""
        return self.root / "usage.json"

    @property
    def data(self) -> Path:
        """The recorded data set."""
        return self.root / "data"

    @property
    def summary(self) -> Path:
        """The result."""
        return self.root / "summary.json"

    @property
    def report(self) -> Path:
        """The page that shows it."""
        return self.root / "report.html"

    def phase(self, name: str) -> Path:
        """Return the folder of a training phase."""
        return self.root / name

    def checkpoint(self, phase: str) -> Path:
        """Return the final checkpoint of a phase."""
        return self.phase(phase) / "policy"

    def evaluation(self, policy: str) -> Path:
        """Return the folder of a policy's evaluations."""
        return self.root / "evaluation" / policy

    def stage_marker(self, stage: str) -> Path:
        """Return the file that says a stage is complete."""
        return self.root / "stages" / f"{stage}.json"

    def stage_times_s(self) -> dict[str, float]:
        """Return the wall time of every complete stage, seconds; 0 where its marker lost it."""
        markers = sorted((self.root / "stages").glob("*.json"))
        return {path.stem: float(read_json(path).get("wall_s", 0.0)) for path in markers}


def open_run(root: Path, *, preset: str, settings: Mapping[str, Any], provenance: Mapping[str, Any]) -> RunFolder:
    """Return the folder of a run, new or to be continued.

    Args:
        root: the folder, held by a `FolderLock`.
        preset, settings: what decides the result: an existing run with others is refused.
        provenance: the rest of run.json, which stays as the first start of the run wrote it.

    Raises:
        InvalidSetting: the folder holds another run, or something that is no run.
        DatasetError: its record is damaged.
        StorageError: it cannot be written.
    """
    folder = RunFolder(root)
    remove_partials(root)
    if folder.record.is_file():
        # Two presets differ in nearly everything: their names say more than the list that would follow.
        begun = read_json(folder.record).get("preset")
        if begun != preset:
            raise InvalidSetting(f"{root} holds a run of preset '{begun}', not '{preset}'. Choose another --out.")
    agree_on_settings(root, dict(settings))
    with storage_errors(root):
        folder.stage_marker("any").parent.mkdir(exist_ok=True)
    if not folder.record.is_file():
        record = {**provenance, "preset": preset, "settings": dict(settings)}
        write_durably(folder.record, json.dumps(record, indent=2).encode())
    return folder
