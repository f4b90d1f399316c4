"""Tokens coloured by their Q-value: five bands from dark to bright, told apart by people who see few colours too."""

from __future__ import annotations

import math
import os
from typing import TextIO

BANDS = ((0.2, 53, 231), (0.4, 60, 231), (0.6, 30, 231), (0.8, 77, 16), (1.0, 220, 16))
"""(upper end, background, foreground) in the 256 colours of terminals."""

_RESET = "\x1b[0m"


def shows_colours(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that may be coloured; NO_COLOR and TERM=dumb say no."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def coloured(text: str, q_value: float) -> str:
    """Return a text on the colour of its Q-value; as it is without one."""
    if math.isnan(q_value) or not text:
        return text
    _, background, foreground = BANDS[band(q_value)]
    # A line end inside of a colour would fill the rest of the line with it.
    lines = [f"\x1b[48;5;{background};38;5;{foreground}m{line}{_RESET}" if line else "" for line in text.split("\n")]
    return "\n".join(lines)


def band(q_value: float) -> int:
    """Return the number of the band of a Q-value."""
    return next((number for number, (upper, _, _) in enumerate(BANDS) if q_value < upper), len(BANDS) - 1)


def legend() -> str:
    """Return what the colours mean, in these colours."""
    lower = 0.0
    shown = []
    for upper, _, _ in BANDS:
        shown.append(coloured(f" {lower:.1f}-{upper:.1f} ", (lower + upper) / 2))
        lower = upper
    return "Q-value of a token: " + "".join(shown)
