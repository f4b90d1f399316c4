"""Decisions on the wire, and what a client checks before it believes one."""

from __future__ import annotations

import math

import numpy as np

from vlm_qsft.errors import MessageError
from vlm_qsft.remote.description import PolicyDescription
from vlm_qsft.remote.message import Message
from vlm_qsft.remote.protocol import DECISION
from vlm_qsft.types import Decision

ROUNDING = 1e-3
"""Probabilities are sums of float32 numbers."""


def pack_decision(decision: Decision, *, sequence: int) -> Message:
    """Return the answer to question `sequence`."""
    arrays = {
        "action": decision.action,
        "action_bins": decision.action_bins,
        "q_values": decision.q_values,
        "probabilities": decision.probabilities,
        "value_entropy": np.array([decision.value, decision.entropy], np.float64),
    }
    return Message(DECISION, {"sequence": str(sequence)}, arrays)


def read_decision(message: Message, description: PolicyDescription, *, latency_s: float) -> Decision:
    """Return the decision in a message.

    Args:
        message: the answer.
        description: of the policy that was asked.
        latency_s: how long the answer took, with the network; the server's own time is part of it.

    Raises:
        MessageError: another shape than the policy's, a bin that is none, an action that is not what its bins mean, or
            numbers that no decision has.
    """
    centers = description.bin_centers
    dims, n_bins = centers.shape
    rows, scores = (description.chunk, dims), (description.chunk, dims, n_bins)
    action = message.array("action", np.float32, rows)
    action_bins = message.array("action_bins", np.int64, rows)
    q_values = message.array("q_values", np.float32, scores)
    probabilities = message.array("probabilities", np.float32, scores)
    value, entropy = message.array("value_entropy", np.float64, (2,)).tolist()
    if (action_bins < 0).any() or (action_bins >= n_bins).any():
        raise MessageError(f"The server chose an action bin that does not exist: {action_bins.tolist()}.")
    if not np.array_equal(action, centers[np.arange(dims), action_bins].astype(np.float32)):
        raise MessageError(f"The server's action is not what its bins mean: {action.tolist()}.")
    sums = probabilities.sum(-1)
    if not ((probabilities >= 0).all() and (np.abs(sums - 1) <= ROUNDING).all()):
        raise MessageError("The server's probabilities are none.")
    if not (np.isnan(q_values) | ((q_values >= 0) & (q_values <= 1))).all():
        raise MessageError("The server's Q-values leave [0, 1].")
    if not (math.isnan(value) or -ROUNDING <= value <= 1 + ROUNDING) or not (math.isfinite(entropy) and entropy >= 0):
        raise MessageError(f"The server's value is {value}, its entropy {entropy}.")
    return Decision(action, action_bins, q_values, probabilities, value, entropy, latency_s)
