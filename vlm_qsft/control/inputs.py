"""What has arrived at the controller: every watched input, and the measured position among them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from vlm_qsft.control import safety
from vlm_qsft.control.faults import Fault
from vlm_qsft.control.limits import RobotLimits
from vlm_qsft.control.watchdog import CameraInput, VectorInput, Watchdog
from vlm_qsft.errors import InvalidSetting

MEASUREMENT = "measurement"
"""Name of the input that holds the measured position of every axis."""


class Inputs:
    """The watchdog over all inputs and the last measured position.

    `receive_*` return the fault of this very message, `check` what is wrong now.
    """

    def __init__(self, inputs: tuple[VectorInput | CameraInput, ...], limits: RobotLimits) -> None:
        """Watch these inputs.

        Raises:
            InvalidSetting: two of the same name, or no measurement input with one number per axis.
        """
        self._watchdog = Watchdog(inputs)
        sizes = {watched.name: watched.size for watched in inputs if isinstance(watched, VectorInput)}
        if sizes.get(MEASUREMENT) != limits.n_axes:
            raise InvalidSetting(
                f"The controller needs a VectorInput named '{MEASUREMENT}' of size {limits.n_axes}, one per axis; "
                f"got {sizes.get(MEASUREMENT, 'none')}."
            )
        self._limits = limits
        self._measured: Float64[np.ndarray, " axis"] | None = None
        self._measured_s = 0.0

    @property
    def measured(self) -> Float64[np.ndarray, " axis"] | None:
        """The last measured position that can be believed, or None."""
        return self._measured

    def age_s(self, name: str, now_s: float) -> float:
        """Return how old an input is, seconds, infinity when it never arrived. Raises UnknownName."""
        return self._watchdog.age_s(name, now_s)

    def check(self, now_s: float) -> Fault | None:
        """Return the first fault among the inputs at this time, or None."""
        return self._watchdog.check(now_s, position=self._measured)

    def forget(self) -> None:
        """Treat every input as never seen: after the clock went backwards no arrival time means anything."""
        self._watchdog.forget()
        self._measured = None

    def receive_vector(
        self, name: str, values: np.ndarray, now_s: float, *, stamp_s: float | None, age_s: float
    ) -> Fault | None:
        """Take the measurement or any other vector; see `Watchdog.receive_vector`. Raises UnknownName."""
        if name != MEASUREMENT:
            return self._watchdog.receive_vector(name, values, now_s, stamp_s=stamp_s, age_s=age_s)
        position = np.array(values, dtype=np.float64)
        fault = self._watchdog.receive_vector(MEASUREMENT, position, now_s, stamp_s=stamp_s, age_s=age_s)
        if fault is not None:
            # What comes next has nothing to be compared with: a gap that is a fault already is not a jump as well.
            self._measured = None
            return fault
        if self._measured is not None:
            elapsed_s = now_s - self._measured_s
            fault = safety.check_measurement_jump(position, self._measured, self._limits, elapsed_s=elapsed_s)
        self._measured, self._measured_s = position, now_s
        return fault

    def receive_picture(
        self,
        name: str,
        picture: np.ndarray,
        now_s: float,
        *,
        stamp_s: float | None,
        age_s: float,
        fingerprint: int | None,
    ) -> Fault | None:
        """Take a camera's picture; see `Watchdog.receive_picture`. Raises UnknownName."""
        return self._watchdog.receive_picture(
            name, picture, now_s, stamp_s=stamp_s, age_s=age_s, position=self._measured, fingerprint=fingerprint
        )
