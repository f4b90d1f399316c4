from __future__ import annotations

import io

import pytest

from vlm_qsft.cli.progress import FILE_PERIOD_S, ProgressLine, duration


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (60, "1 min 00 s"), (185, "3 min 05 s"), (3725, "1 h 02 min"), (-1, "0 s")],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_estimate_counts_only_what_was_gained_since_the_start() -> None:
    clock, stream = Clock(), io.StringIO()
    line = ProgressLine("recording", stream=stream, clock=clock)
    line(900, 1000)  # resumed: 900 were there before
    clock.now_s = FILE_PERIOD_S + 5  # 20 s for 10 episodes: 90 more take 180 s
    line(910, 1000)
    assert stream.getvalue().splitlines()[-1] == "  recording: 910/1000  3 min 00 s left"


def test_a_file_gets_few_lines_but_always_the_last() -> None:
    clock, stream = Clock(), io.StringIO()
    line = ProgressLine("recording", stream=stream, clock=clock)
    for completed in [*range(101), 100]:
        clock.now_s += 0.01
        line(completed, 100)
    assert stream.getvalue().splitlines() == ["  recording: 0/100", "  recording: 100/100"]
