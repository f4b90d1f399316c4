"""What a policy server has done so far, as counts."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, fields

from vlm_qsft.remote.message import Message
from vlm_qsft.remote.protocol import HEALTH


@dataclass(frozen=True)
class ServerHealth:
    """Counts since the server began.

    Attributes:
        uptime_s: seconds.
        robots: connected now.
        strangers: connected now, without having proven the token.
        waiting: questions in line now.
        wrong_proofs: connections that did not have the token.
        refused: connections closed for a message that is none, or because the server was full.
        decisions: given.
        errors: observations and instructions that the policy could not take.
        late: questions dropped because whoever asked has given up.
        batches: passes through the networks; decisions / batches robots were decided at once.
    """

    uptime_s: int = 0
    robots: int = 0
    strangers: int = 0
    waiting: int = 0
    wrong_proofs: int = 0
    refused: int = 0
    decisions: int = 0
    errors: int = 0
    late: int = 0
    batches: int = 0


_COUNTED = ("wrong_proofs", "refused", "decisions", "errors", "late", "batches")


class HealthCounters:
    """Counts that many threads add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = dict.fromkeys(_COUNTED, 0)

    def add(self, name: str, count: int = 1) -> int:
        """Add to a count and return it."""
        with self._lock:
            self._counts[name] += count
            return self._counts[name]

    def health(self, *, uptime_s: float, robots: int, strangers: int, waiting: int) -> ServerHealth:
        """Return all counts."""
        with self._lock:
            return ServerHealth(int(uptime_s), robots, strangers, waiting, **self._counts)


def pack_health(health: ServerHealth, *, sequence: int) -> Message:
    """Return the answer to a question for the server's health."""
    counts = {name: str(count) for name, count in asdict(health).items()}
    return Message(HEALTH, {"sequence": str(sequence), **counts})


def read_health(message: Message) -> ServerHealth:
    """Return the counts in an answer. Raises `vlm_qsft.errors.MessageError`: one is missing or none."""
    return ServerHealth(**{field.name: message.integer(field.name) for field in fields(ServerHealth)})
