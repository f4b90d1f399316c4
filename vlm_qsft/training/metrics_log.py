"""`metrics.jsonl` and TensorBoard: one line per report, the same file whether or not the run was interrupted."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType

from torch.utils.tensorboard import SummaryWriter

from vlm_qsft.data.storage import write_durably
from vlm_qsft.training.settings import Phase


class MetricsLog:
    """Appends metrics of one phase to `folder/metrics.jsonl` and `folder/tensorboard`.

    Opened at step N it first drops every line after step N, and a line that a kill cut off: a resumed run writes them
    again.
    """

    def __init__(self, folder: Path, *, phase: Phase, step: int) -> None:
        """Open the log.

        Args:
            step: the optimiser step of the checkpoint from which the run goes on; 0 for a new run.
        """
        self._phase: Phase = phase
        path = folder / "metrics.jsonl"
        kept = _lines_until(path, step) if path.exists() else []
        write_durably(path, "".join(kept).encode())
        self._file = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    def write(self, step: int, split: str, metrics: dict[str, float]) -> None:
        """Append one line: `{"step": .., "phase": .., "split": .., "<metric>": ..}`.

        Args:
            split: "train" or "validation".
        """
        line = {"step": step, "phase": self._phase, "split": split, **metrics}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        for name, number in metrics.items():
            self._board.add_scalar(f"{self._phase}/{name}/{split}", number, step)

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        self._board.close()


def _lines_until(path: Path, step: int) -> list[str]:
    """Return the lines up to a step; what follows one that is no line of a log was never brought to the disk."""
    kept: list[str] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        try:
            record = json.loads(line)
        except ValueError:
            break
        if not line.endswith("\n") or not isinstance(record, dict) or not isinstance(record.get("step"), int):
            break
        if record["step"] <= step:
            kept.append(line)
    return kept
