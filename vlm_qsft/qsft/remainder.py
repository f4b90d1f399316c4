"""The remainder of the label: who gets the part 1 - w, and where it leaves the value of the behavior policy."""

from __future__ import annotations

from typing import Literal, cast, get_args

from jaxtyping import Float
from torch import Tensor

from vlm_qsft.qsft.values import value_from_dummy, value_from_overlap

Remainder = Literal["dummy", "uniform"]
"""One token of its own, or all other bins alike."""

REMAINDERS: tuple[str, ...] = get_args(Remainder)


def behavior_value(
    log_p: Float[Tensor, "*axes bins_and_dummy"], log_pi: Float[Tensor, "*axes n_bins"] | None, remainder: Remainder
) -> Float[Tensor, "*axes"]:
    """Return the value of the behavior policy, read as the remainder allows (pi_phi is used by `uniform` only)."""
    return value_from_dummy(log_p) if remainder == "dummy" else value_from_overlap(log_p, cast(Tensor, log_pi))
