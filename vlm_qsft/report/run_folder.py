"""Everything that a run folder holds for its report, loaded once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vlm_qsft.errors import DatasetError
from vlm_qsft.report.logged_data import LoggedData, load_logged_data
from vlm_qsft.report.missing import Missing, read_json_object
from vlm_qsft.report.phase_metrics import PhaseMetrics, load_phase_metrics
from vlm_qsft.report.policy_results import PolicyResults, load_policies
from vlm_qsft.report.q_diagnostics import Calibration, TargetDistribution, load_calibration, load_targets

PHASE_FOLDERS = ("behavior", "q", "sft_success")


@dataclass(frozen=True)
class RunFolder:
    """What a run left behind; every part may be missing with a reason.

    Attributes:
        path: the folder.
        run: content of run.json: command, preset, settings, seeds, versions.
        summary: content of summary.json: wall time, memory.
        logs: the data set that the policies learned from.
        phases: folder name -> its learning curves.
        targets, calibration: of the Q phase.
        policies: evaluation results in the order of the tables.
    """

    path: Path
    run: Mapping[str, object] | Missing
    summary: Mapping[str, object] | Missing
    logs: LoggedData | Missing
    phases: Mapping[str, PhaseMetrics | Missing]
    targets: TargetDistribution | Missing
    calibration: Calibration | Missing
    policies: tuple[PolicyResults, ...]


def load_run_folder(path: Path) -> RunFolder:
    """Return everything in a run folder.

    Raises:
        DatasetError: there is no such folder.
    """
    if not path.is_dir():
        raise DatasetError(f"There is no run folder at {path}. A report is made of what `qsft demo --out` wrote.")
    return RunFolder(
        path,
        run=read_json_object(path / "run.json", run_folder=path),
        summary=read_json_object(path / "summary.json", run_folder=path),
        logs=load_logged_data(path),
        phases={folder: load_phase_metrics(path, folder) for folder in PHASE_FOLDERS},
        targets=load_targets(path),
        calibration=load_calibration(path),
        policies=load_policies(path),
    )
