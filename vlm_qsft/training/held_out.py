"""Early stopping on the held-out NLL: the best step so far, and how long ago that was."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from vlm_qsft.data.storage import write_durably

FILE = "held_out.json"


@dataclass(frozen=True)
class HeldOut:
    """The record of a run's evaluations.

    Attributes:
        best_nll: lowest held-out NLL so far, nats per token; infinite before the first evaluation.
        best_step: the optimiser step it was reached at.
        worse: evaluations since then.
    """

    best_nll: float = float("inf")
    best_step: int = 0
    worse: int = 0

    def after(self, nll: float, step: int) -> HeldOut:
        """Return the record with one more evaluation."""
        if nll < self.best_nll:
            return HeldOut(nll, step, 0)
        return HeldOut(self.best_nll, self.best_step, self.worse + 1)

    def must_stop(self, patience: int) -> bool:
        """Return whether `patience` evaluations in a row were not better; 0 never stops."""
        return 0 < patience <= self.worse

    def save(self, folder: Path) -> None:
        """Write the record into a checkpoint folder."""
        write_durably(folder / FILE, json.dumps(asdict(self)).encode())

    @classmethod
    def load(cls, folder: Path) -> HeldOut:
        """Read what `save` wrote."""
        return cls(**json.loads((folder / FILE).read_text(encoding="utf-8")))


def best_weights_path(out: Path, step: int) -> Path:
    """Return where the weights of the best step lie until the phase is over."""
    return out / f"best-{step}.safetensors"
