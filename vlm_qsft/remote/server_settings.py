"""The limits of a policy server."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vlm_qsft.errors import InvalidSetting

MEGABYTE = 1024**2


@dataclass(frozen=True)
class ServerSettings:
    """How much a policy server takes on, and how long it waits.

    Attributes:
        largest_message: that is read, bytes; checked before anything is allocated.
        max_connections: robots at a time; one more is refused.
        max_strangers: connections at a time that have not proven the token; one more takes the place of the oldest, so
            that nobody who only holds connections open keeps a robot out.
        max_batch: robots that are decided in one pass; 1 gives every robot the bits of a local policy.
        batch_window_s: how long the first of a batch waits for others, seconds.
        message_timeout_s: for the proof, and for the whole of a message once it has begun, in either direction.
    """

    largest_message: int = 8 * MEGABYTE
    max_connections: int = 16
    max_strangers: int = 32
    max_batch: int = 1
    batch_window_s: float = 0.002
    message_timeout_s: float = 5.0

    def __post_init__(self) -> None:
        """Raises InvalidSetting: a count below 1, or a time that is none."""
        for name in ("largest_message", "max_connections", "max_strangers", "max_batch"):
            if getattr(self, name) < 1:
                raise InvalidSetting(f"{name} is {getattr(self, name)}; expected at least 1.")
        if self.largest_message > 1024 * MEGABYTE:
            raise InvalidSetting(f"largest_message is {self.largest_message} bytes; expected at most 1 GiB.")
        if not 0 <= self.batch_window_s <= 1:
            raise InvalidSetting(f"batch_window_s is {self.batch_window_s}; expected 0 to 1 second.")
        if not (math.isfinite(self.message_timeout_s) and self.message_timeout_s > 0):
            raise InvalidSetting(f"message_timeout_s is {self.message_timeout_s}; expected a positive number.")
