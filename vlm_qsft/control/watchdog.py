"""When did each input last arrive, and is it alive: stale, frozen and blank inputs are found here.

The watchdog counts from arrival on a steady clock: a dead publisher goes unnoticed by the middleware for many seconds.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from vlm_qsft.control.faults import Fault, FaultKind
from vlm_qsft.control.safety import check_vector
from vlm_qsft.errors import InvalidSetting, UnknownName


@dataclass(frozen=True)
class VectorInput:
    """An input of numbers: joint positions, a tool pose.

    Attributes:
        name: how messages call it.
        size: how many numbers it has.
        max_age_s: older than this it is stale, seconds since arrival plus its age on arrival.
    """

    name: str
    size: int
    max_age_s: float

    def __post_init__(self) -> None:
        """Raises InvalidSetting: a size or an age that is not positive."""
        if self.size < 1:
            raise InvalidSetting(f"Input '{self.name}': size must be 1 or more, got {self.size}.")
        _check_positive(self.name, "max_age_s", self.max_age_s)


@dataclass(frozen=True)
class CameraInput:
    """A camera.

    Attributes:
        name: how messages call it.
        max_age_s: older than this the picture is stale, seconds since arrival plus its age on arrival.
        frozen_after_s: pictures that keep arriving but have not changed in one byte for this long are frozen; a real
            sensor has noise. None where pictures may repeat for good.
        frozen_motion: unchanged pictures count as frozen only when some axis has moved by more than this since the
            picture changed, axis units. A simulator renders a resting scene without noise: 0.02. None: always count.
        min_contrast: a picture whose brightest and darkest bytes differ by less is blank (lens cap, dead sensor).
    """

    name: str
    max_age_s: float
    frozen_after_s: float | None = 1.0
    frozen_motion: float | None = None
    min_contrast: int = 4

    def __post_init__(self) -> None:
        """Raises InvalidSetting: a time or a motion that is not positive, a contrast no picture can have."""
        _check_positive(self.name, "max_age_s", self.max_age_s)
        if self.frozen_after_s is not None:
            _check_positive(self.name, "frozen_after_s", self.frozen_after_s)
        if self.frozen_motion is not None:
            _check_positive(self.name, "frozen_motion", self.frozen_motion)
        if not 0 <= self.min_contrast <= 255:
            raise InvalidSetting(f"Input '{self.name}': min_contrast must lie in 0..255, got {self.min_contrast}.")


def _check_positive(name: str, field: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InvalidSetting(f"Input '{name}': {field} must be a positive number, got {value}.")


@dataclass
class _Record:
    arrived_s: float | None = None
    age_on_arrival_s: float = 0.0
    stamp_s: float | None = None
    fingerprint: int | None = None
    changed_s: float = 0.0
    position_at_change: Float64[np.ndarray, " axis"] | None = None
    rejected: Fault | None = None


class Watchdog:
    """The arrival times of all inputs.

    `receive_*` return the fault of this very message (also to be acted on when a good one follows before the next
    tick); `check` returns what is wrong now. A rejected message does not count as an arrival.
    """

    def __init__(self, inputs: tuple[VectorInput | CameraInput, ...]) -> None:
        """Watch these inputs. Raises InvalidSetting: two of the same name."""
        self._inputs = {watched.name: watched for watched in inputs}
        if len(self._inputs) != len(inputs):
            raise InvalidSetting(f"Every input needs a name of its own: {', '.join(i.name for i in inputs)}.")
        self._records = {name: _Record() for name in self._inputs}

    def _watched(self, name: str) -> VectorInput | CameraInput:
        if name not in self._inputs:
            raise UnknownName("input", name, self._inputs, where="the controller's inputs")
        return self._inputs[name]

    def forget(self) -> None:
        """Treat every input as never seen: after the clock went backwards no arrival time means anything."""
        self._records = {name: _Record() for name in self._inputs}

    def age_s(self, name: str, now_s: float) -> float:
        """Return how old an input is, seconds; infinity when it never arrived."""
        self._watched(name)
        record = self._records[name]
        return math.inf if record.arrived_s is None else now_s - record.arrived_s + record.age_on_arrival_s

    def receive_vector(
        self, name: str, values: np.ndarray, now_s: float, *, stamp_s: float | None = None, age_s: float = 0.0
    ) -> Fault | None:
        """Note the arrival of numbers.

        Args:
            name: of a VectorInput.
            values: the numbers.
            now_s: arrival, seconds on the control clock.
            stamp_s: the sender's stamp on any clock; only its order is judged.
            age_s: how old the values were on arrival, for senders whose clock is comparable.

        Raises:
            UnknownName: no vector input of this name is watched.
        """
        watched = self._watched(name)
        if not isinstance(watched, VectorInput):
            raise UnknownName("vector input", name, [n for n, i in self._inputs.items() if isinstance(i, VectorInput)])
        return self._receive(name, check_vector(name, values, watched.size), now_s, stamp_s, age_s)

    def receive_picture(
        self,
        name: str,
        picture: np.ndarray,
        now_s: float,
        *,
        stamp_s: float | None = None,
        age_s: float = 0.0,
        position: Float64[np.ndarray, " axis"] | None = None,
        fingerprint: int | None = None,
    ) -> Fault | None:
        """Note the arrival of a picture, uint8; see `receive_vector`.

        Args:
            name: of a CameraInput.
            picture: uint8, any layout.
            now_s: arrival, seconds on the control clock.
            stamp_s: the sender's stamp; only its order is judged.
            age_s: how old the picture was on arrival.
            position: measured axes now, to tell a frozen picture from a resting scene.
            fingerprint: differs when the picture differs, where the sender has it cheaper than from `picture`: of the
                compressed bytes. None: computed from `picture`.

        Raises:
            UnknownName: no camera of this name is watched.
        """
        watched = self._watched(name)
        if not isinstance(watched, CameraInput):
            raise UnknownName("camera", name, [n for n, i in self._inputs.items() if isinstance(i, CameraInput)])
        fault = _check_picture(watched, picture)
        fault = self._receive(name, fault, now_s, stamp_s, age_s)
        if fault is None:
            record = self._records[name]
            if fingerprint is None:
                fingerprint = zlib.crc32(np.ascontiguousarray(picture))
            # While no position is known yet, the resting place is not known either: take the first one that comes.
            if fingerprint != record.fingerprint:
                record.fingerprint, record.changed_s, record.position_at_change = fingerprint, now_s, position
            elif record.position_at_change is None:
                record.position_at_change = position
        return fault

    def _receive(
        self, name: str, fault: Fault | None, now_s: float, stamp_s: float | None, age_s: float
    ) -> Fault | None:
        record = self._records[name]
        if fault is None:
            fault = _check_clock(name, record, now_s, stamp_s, age_s)
        record.rejected = fault
        if fault is None:
            record.arrived_s, record.age_on_arrival_s = now_s, max(age_s, 0.0)
            record.stamp_s = record.stamp_s if stamp_s is None else stamp_s
        elif fault.kind is FaultKind.CLOCK_BACKWARDS:
            self._records[name] = _Record(rejected=fault)
        return fault

    def check(self, now_s: float, *, position: Float64[np.ndarray, " axis"] | None = None) -> Fault | None:
        """Return the first fault among the inputs at this time, or None.

        Args:
            now_s: seconds on the control clock.
            position: measured axes now, to tell a frozen picture from a resting scene.
        """
        for name, watched in self._inputs.items():
            record = self._records[name]
            if record.rejected is not None:
                return record.rejected
            age_s = self.age_s(name, now_s)
            if not age_s <= watched.max_age_s:  # so written, a time that is not a number is stale too
                since = "never arrived" if math.isinf(age_s) else f"is {age_s:.3f} s old"
                return Fault(FaultKind.STALE_INPUT, f"Input '{name}' {since}, at most {watched.max_age_s:g} s allowed.")
            if isinstance(watched, CameraInput) and _is_frozen(watched, record, position):
                return Fault(
                    FaultKind.FROZEN_PICTURE,
                    f"Camera '{name}' sends the same picture for {_unchanged_s(record):.2f} s.",
                )
        return None


def _check_picture(watched: CameraInput, picture: np.ndarray) -> Fault | None:
    if picture.dtype != np.uint8 or picture.size == 0:
        return Fault(
            FaultKind.WRONG_SIZE,
            f"Camera '{watched.name}' sent {picture.dtype} of shape {picture.shape}, expected a uint8 picture.",
        )
    contrast = int(picture.max()) - int(picture.min())
    if contrast < watched.min_contrast:
        return Fault(
            FaultKind.BLANK_PICTURE,
            f"Camera '{watched.name}' sent a blank picture: contrast {contrast}, expected {watched.min_contrast}.",
        )
    return None


def _check_clock(name: str, record: _Record, now_s: float, stamp_s: float | None, age_s: float) -> Fault | None:
    if not math.isfinite(now_s) or not math.isfinite(age_s) or (stamp_s is not None and not math.isfinite(stamp_s)):
        return Fault(FaultKind.NOT_FINITE, f"Input '{name}' came with a time that is not a number.")
    if record.arrived_s is not None and now_s < record.arrived_s:
        return Fault(
            FaultKind.CLOCK_BACKWARDS, f"The clock went back by {record.arrived_s - now_s:.3f} s at input '{name}'."
        )
    if record.stamp_s is not None and stamp_s is not None and stamp_s < record.stamp_s:
        return Fault(
            FaultKind.CLOCK_BACKWARDS, f"The stamps of input '{name}' went back by {record.stamp_s - stamp_s:.3f} s."
        )
    return None


def _unchanged_s(record: _Record) -> float:
    """Return for how long the same picture has kept arriving; what a silent camera would send nobody knows."""
    return 0.0 if record.arrived_s is None else record.arrived_s - record.changed_s


def _is_frozen(watched: CameraInput, record: _Record, position: Float64[np.ndarray, " axis"] | None) -> bool:
    if watched.frozen_after_s is None or _unchanged_s(record) <= watched.frozen_after_s:
        return False
    if watched.frozen_motion is None:
        return True
    if position is None or record.position_at_change is None:
        return False
    return bool((np.abs(position - record.position_at_change) > watched.frozen_motion).any())
