"""Joint states by name, also where arm and gripper are published apart."""

from __future__ import annotations

from sensor_msgs.msg import JointState

from vlm_qsft.control.state_sources import JointReading
from vlm_qsft.errors import ShapeMismatch


class JointStates:
    """Collects messages until every needed joint has come."""

    def __init__(self, joint_names: tuple[str, ...]) -> None:
        """Wait for these joints."""
        self._needed = frozenset(joint_names)
        self._collected = JointReading({}, {}, {})

    @property
    def missing(self) -> tuple[str, ...]:
        """The joints that have not come since the last complete reading."""
        return tuple(sorted(self._needed - self._collected.position.keys()))

    def receive(self, message: JointState) -> JointReading | None:
        """Take a message; return a reading of all needed joints once the last of them has come.

        Raises:
            ShapeMismatch: a message with more or fewer numbers than names.
        """
        reading = JointReading(*(_by_name(message, field) for field in ("position", "velocity", "effort")))
        if not self._needed <= reading.position.keys():
            old = self._collected
            reading = JointReading(
                {**old.position, **reading.position},
                {**old.velocity, **reading.velocity},
                {**old.effort, **reading.effort},
            )
        if not self._needed <= reading.position.keys():
            self._collected = reading
            return None
        self._collected = JointReading({}, {}, {})
        return reading


def _by_name(message: JointState, field: str) -> dict[str, float]:
    values = getattr(message, field)
    if len(values) not in (0, len(message.name)):
        raise ShapeMismatch(f"A joint state with {len(message.name)} names has {len(values)} numbers of {field}.")
    return dict(zip(message.name, values, strict=False))
