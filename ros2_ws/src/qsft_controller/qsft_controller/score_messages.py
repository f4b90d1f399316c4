"""Decisions as messages: Q-values of every bin, and the same drawn over the camera's picture."""

from __future__ import annotations

import array
import math

import numpy as np

from qsft_controller.stamps import stamp_at
from vlm_qsft import images
from vlm_qsft.errors import ShapeMismatch
from vlm_qsft.types import Decision

BAR_HEIGHT = 10
CHOSEN_RGB = (255, 255, 255)


def fill_scores(
    message,
    decision: Decision,
    *,
    action_names: tuple[str, ...],
    instruction: str,
    stamp_s: float,
    observation_stamp_s: float,
    observation_age_s: float,
) -> None:
    """Fill a qsft_interfaces/ActionScores; times are ROS time, seconds."""
    message.header.stamp = stamp_at(stamp_s)
    message.observation_stamp = stamp_at(observation_stamp_s)
    message.instruction = instruction
    message.action_names = list(action_names)
    message.chunk, _, message.n_bins = decision.q_values.shape
    message.action = _floats(decision.action)
    message.action_bins = decision.action_bins.ravel().tolist()
    message.q_values = _floats(decision.q_values)
    message.probabilities = _floats(decision.probabilities)
    message.value, message.entropy = decision.value, decision.entropy
    message.latency_s, message.observation_age_s = decision.latency_s, observation_age_s


def decision_from(message) -> Decision:
    """Return the decision that a qsft_interfaces/ActionScores tells of.

    Raises:
        ShapeMismatch: its arrays have not the sizes that it names.
    """
    shape = (message.chunk, len(message.action_names))
    sizes = {"action": shape, "action_bins": shape, "q_values": (*shape, message.n_bins)}
    for name, expected in {**sizes, "probabilities": sizes["q_values"]}.items():
        if len(getattr(message, name)) != math.prod(expected):
            raise ShapeMismatch(
                f"'{name}' of the action scores has {len(getattr(message, name))} numbers for {expected}."
            )
    return Decision(
        action=np.array(message.action, np.float32).reshape(shape),
        action_bins=np.array(message.action_bins, np.int64).reshape(shape),
        q_values=np.array(message.q_values, np.float32).reshape(sizes["q_values"]),
        probabilities=np.array(message.probabilities, np.float32).reshape(sizes["q_values"]),
        value=message.value,
        entropy=message.entropy,
        latency_s=message.latency_s,
    )


def _floats(values: np.ndarray) -> array.array:
    numbers = array.array("f")
    numbers.frombytes(np.ascontiguousarray(values, dtype=np.float32).data.cast("B"))
    return numbers


def annotated(picture: np.ndarray, decision: Decision, action_names: tuple[str, ...], instruction: str) -> np.ndarray:
    """Return a copy of the picture with instruction, value, and one bar of Q-values per action dimension.

    A bar shows the bins of the first step of the chunk from left to right, dark for the smallest Q-value and yellow for
    the largest; the chosen bin is white. Without Q-values it shows the probabilities.

    Args:
        picture: RGB, of any size; small ones are enlarged.
        decision: made from it.
        action_names: of its dimensions.
        instruction: that it follows.
    """
    factor = max(1, math.ceil(320 / picture.shape[1]))
    drawn = images.resize(picture, (picture.shape[0] * factor, picture.shape[1] * factor)).copy()
    height, width = drawn.shape[:2]
    value = "no value" if math.isnan(decision.value) else f"value {decision.value:.2f}"
    images.write_text(drawn, f"{instruction}: {value}", row=18, column=6, scale=0.45)
    scores = decision.q_values[0] if np.isfinite(decision.q_values[0]).all() else decision.probabilities[0]
    for index, (name, row) in enumerate(zip(action_names, scores, strict=True)):
        top = height - (len(action_names) - index) * (BAR_HEIGHT + 2)
        if top < 24:
            continue
        span = float(row.max() - row.min())
        share = (row - row.min()) / span if span > 0 else np.zeros_like(row)
        bins = np.minimum(np.arange(width) * len(row) // width, len(row) - 1)
        colours = np.stack([255 * share, 220 * share, 60 * (1 - share)], axis=-1).astype(np.uint8)
        drawn[top : top + BAR_HEIGHT] = colours[bins]
        drawn[top : top + BAR_HEIGHT, bins == decision.action_bins[0, index]] = CHOSEN_RGB
        images.write_text(drawn, name, row=top + BAR_HEIGHT - 1, column=4, scale=0.35)
    return drawn
