"""How long work tells its caller where it stands."""

from __future__ import annotations

from collections.abc import Callable

ProgressListener = Callable[[str, int, int], None]
"""Called with what is being done ("behavior phase", "q phase", "log pi_phi", "pictures"), how many pieces of it are
complete, and of how many. The first call of a resumed piece of work says where it goes on, so that a listener that
estimates the end from the pieces since its first call is right."""
