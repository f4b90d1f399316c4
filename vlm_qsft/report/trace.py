"""The recorded episode that a player shows."""

from __future__ import annotations

from pathlib import Path

from qsft_sim.trace import Trace
from vlm_qsft.errors import DatasetError
from vlm_qsft.report.missing import Missing


def load_trace(path: Path, *, run_folder: Path) -> Trace | Missing:
    """Return the trace in a file, or why it cannot be shown."""
    if not path.exists():
        return Missing("No trace recorded.")
    folder = path.parent.relative_to(run_folder)
    try:
        trace = Trace.load(path)
    except DatasetError as problem:
        return Missing(f"{folder}/{problem}")
    if trace.n_bins == 0:
        return Missing(f"{folder}/{path.name} has no bins, as that of a scripted demonstrator.")
    return trace
