"""What a policy server says of its policy: all that a client checks a robot and every answer against."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from vlm_qsft.errors import MessageError
from vlm_qsft.policy.interface import PolicyInterface
from vlm_qsft.remote.message import Message
from vlm_qsft.remote.protocol import WELCOME

if TYPE_CHECKING:
    from vlm_qsft.policy.decider import Decider

LONGEST_NAMES = 20_000
LONGEST_NAME = 200
MOST_NAMES = 500
LARGEST_PICTURE = 8192
"""Pixels along one side."""
LARGEST_DECISION = 16 * 1024**2
"""Numbers: chunk x action dimensions x bins."""


@dataclass(frozen=True, eq=False)
class PolicyDescription:
    """A policy as its clients see it.

    Attributes:
        identity: hash over the checkpoint's files: equal for equal checkpoints.
        settings: of the extraction, JSON values.
        interface: cameras, names and time step.
        fps: control steps per second, exact.
        recorded_sizes: (height, width) in pixels at which each camera of the interface was recorded.
        picture_size: (height, width) at which the model looks at every picture.
        chunk: control steps per decision.
        bin_centers: what every action bin decodes to, physical units.
        largest_message: that the server reads, bytes.
    """

    identity: str
    settings: Mapping[str, object]
    interface: PolicyInterface
    fps: Fraction
    recorded_sizes: tuple[tuple[int, int], ...]
    picture_size: tuple[int, int]
    chunk: int
    bin_centers: Float64[np.ndarray, "action_dim n_bins"]
    largest_message: int

    def __post_init__(self) -> None:
        """Raises MessageError: parts that do not fit together, or that no robot has."""
        interface = self.interface
        for kind, names in (
            ("camera", interface.cameras),
            ("state", interface.state_names),
            ("action", interface.action_names),
        ):
            if len(set(names)) != len(names) or len(names) > MOST_NAMES:
                raise MessageError(f"The policy's {len(names)} {kind} names repeat, or are too many.")
            if not all(name and len(name) <= LONGEST_NAME and name.isprintable() for name in names):
                raise MessageError(f"A {kind} name of the policy is empty, too long or not printable.")
        sizes = (self.picture_size, *self.recorded_sizes)
        if len(self.recorded_sizes) != len(interface.cameras) or not all(
            1 <= side <= LARGEST_PICTURE for size in sizes for side in size
        ):
            raise MessageError(f"The policy's pictures have the sizes {list(sizes)}; they fit no cameras.")
        if self.bin_centers.ndim != 2 or self.bin_centers.shape[0] != len(interface.action_names):
            raise MessageError(
                f"The bins of the policy have the shape {self.bin_centers.shape}: not one row per action."
            )
        if not 1 <= self.chunk * max(self.bin_centers.size, 1) <= LARGEST_DECISION or self.bin_centers.shape[1] < 2:
            raise MessageError(f"A decision of {self.chunk} steps over {self.bin_centers.shape} bins is none.")
        if not np.isfinite(self.bin_centers).all():
            raise MessageError("The policy's bins hold NaN or infinity.")
        if not (math.isfinite(interface.step_s) and interface.step_s > 0):
            raise MessageError(f"The policy's time step is {interface.step_s} s.")

    def is_same_policy(self, other: PolicyDescription) -> bool:
        """Tell whether a robot that was checked against one may be driven by the other."""
        return (
            (self.identity, self.settings, self.interface, self.chunk, self.picture_size)
            == (other.identity, other.settings, other.interface, other.chunk, other.picture_size)
        ) and np.array_equal(self.bin_centers, other.bin_centers)


def describe(decider: Decider, *, largest_message: int) -> PolicyDescription:
    """Return the description of what a server decides with."""
    checkpoint = decider.checkpoint
    schema, spec, tokenizer = checkpoint.schema, checkpoint.spec, checkpoint.action_tokenizer
    return PolicyDescription(
        identity=checkpoint.identity,
        settings=decider.settings.to_json(),
        interface=decider.interface,
        fps=schema.fps,
        recorded_sizes=tuple(schema.camera(camera) for camera in spec.cameras),
        picture_size=spec.image_size,
        chunk=tokenizer.chunk,
        bin_centers=tokenizer.centers,
        largest_message=largest_message,
    )


def welcome(description: PolicyDescription) -> Message:
    """Return the description as the first message of a server."""
    interface = description.interface
    fields = {
        "identity": description.identity,
        "settings": json.dumps(dict(description.settings)),
        "cameras": json.dumps(interface.cameras),
        "state_names": json.dumps(interface.state_names),
        "action_names": json.dumps(interface.action_names),
        "fps": str(description.fps),
        "chunk": str(description.chunk),
        "largest_message": str(description.largest_message),
    }
    sizes = np.array([description.picture_size, *description.recorded_sizes], dtype=np.int64)
    return Message(WELCOME, fields, {"picture_sizes": sizes, "bin_centers": description.bin_centers})


def read_welcome(message: Message) -> PolicyDescription:
    """Return the description in a server's first message.

    Raises:
        MessageError: it says something else, or something impossible.
    """
    rate = message.text("fps", longest=LONGEST_NAME)
    try:
        fps = Fraction(rate)
        step_s = float(1 / fps)
    except (ValueError, ArithmeticError) as error:
        raise MessageError(f"The policy's control rate is '{rate}'.") from error
    first, *others = message.array("picture_sizes", np.int64, (None, 2)).tolist() or [(0, 0)]
    interface = PolicyInterface(
        cameras=message.names("cameras", longest=LONGEST_NAMES),
        state_names=message.names("state_names", longest=LONGEST_NAMES),
        action_names=message.names("action_names", longest=LONGEST_NAMES),
        step_s=step_s,
    )
    return PolicyDescription(
        identity=message.text("identity", longest=LONGEST_NAME),
        settings=message.record("settings", longest=LONGEST_NAMES),
        interface=interface,
        fps=fps,
        recorded_sizes=tuple((height, width) for height, width in others),
        picture_size=(first[0], first[1]),
        chunk=message.integer("chunk"),
        bin_centers=message.array("bin_centers", np.float64, (None, None)),
        largest_message=message.integer("largest_message"),
    )
