"""From numbers to positions: linear scales, round ticks, and how a number is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

NO_BREAK = "\u00a0"  # between a number and its unit, so that no line ends between them


@dataclass(frozen=True)
class Scale:
    """A straight map from numbers `low..high` to positions `start..end` (SVG units; y grows downwards)."""

    low: float
    high: float
    start: float
    end: float

    def position(self, number: float) -> float:
        """Return the position of `number`; outside the range it lies outside the positions."""
        return self.start + (number - self.low) / (self.high - self.low) * (self.end - self.start)

    def inside(self, number: float) -> bool:
        """Return whether `number` is on the axis."""
        return self.low <= number <= self.high


def round_ticks(low: float, high: float, *, about: int = 5) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten that lie in `low..high`; `about` says how many are wanted."""
    if not high > low:
        return [low]
    raw = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    # A few ticks more than wanted read better than half as many: hence 0.8.
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= 0.8 * raw)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [0.0 if index == 0 else index * step for index in range(first, last + 1)]


def padded_range(numbers: Sequence[float], *, include: Sequence[float] = ()) -> tuple[float, float]:
    """Return a range that holds every finite number with 5 % of air; a single number gets a range around it."""
    finite = [number for number in (*numbers, *include) if math.isfinite(number)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    air = (high - low) * 0.05 or abs(high) * 0.1 or 0.5
    return low - (0 if low in include else air), high + (0 if high in include else air)


def write_number(number: float) -> str:
    """Return a number as an axis shows it: three significant digits, thousands as `12k`, a real minus sign."""
    if not math.isfinite(number):
        return "–"
    if abs(number) >= 10_000:
        shown = f"{number / 1000:.3g}k" if abs(number) < 1e6 else f"{number / 1e6:.3g}M"
    elif number == int(number):
        shown = f"{int(number)}"
    elif abs(number) < 0.001:
        digits, power = f"{number:.1e}".split("e")
        shown = f"{digits.removesuffix('.0')}e{int(power)}"
    else:
        shown = f"{number:.3g}"
    return shown.replace("-", "−")


def write_percent(share: float) -> str:
    """Return a share of one in percent, with one decimal where it is not whole."""
    return f"{_write_hundredths(share)}{NO_BREAK}%" if math.isfinite(share) else "–"


def write_percent_range(low: float, high: float) -> str:
    """Return two shares of one as a range in percent: `32.5 to 45.9 %`."""
    return f"{_write_hundredths(low)} to {write_percent(high)}"


def write_points(difference: float) -> str:
    """Return a difference of shares in points with its sign: `+2.5`, `−24`, `0`."""
    points = _write_hundredths(difference)
    return points if points == "0" or difference < 0 else f"+{points}"


def write_p_value(p_value: float) -> str:
    """Return a p-value with two digits, tiny ones as a bound: `0.67`, `< 0.0001`."""
    return f"<{NO_BREAK}0.0001" if p_value < 1e-4 else f"{p_value:.2g}"


def _write_hundredths(share: float) -> str:
    shown = f"{100 * share:.1f}".removesuffix(".0")
    return "0" if shown == "-0" else shown.replace("-", "−")
