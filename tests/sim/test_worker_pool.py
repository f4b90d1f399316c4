from __future__ import annotations

import operator
import os
from functools import partial

import pytest

from qsft_sim.randomisation import variant_named
from qsft_sim.worker_pool import run_in_order
from vlm_qsft.errors import InvalidSetting, QsftError, UnknownName

# Everything here is from importable modules: worker processes do not know the test's own functions.


def test_results_come_in_the_order_of_the_jobs() -> None:
    make_runner = partial(partial, operator.mul, 3)
    assert list(run_in_order(make_runner, range(20), workers=2)) == [3 * number for number in range(20)]


def test_one_worker_runs_in_this_process() -> None:
    assert list(run_in_order(lambda: lambda _: os.getpid(), [1, 2], workers=1)) == [os.getpid()] * 2


def test_an_error_that_names_alternatives_survives_the_way_between_processes() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'standard'"):
        list(run_in_order(partial(partial, variant_named), ["standart"], workers=2))


def test_a_worker_that_dies_is_told_with_the_remedy() -> None:
    with pytest.raises(QsftError, match="fewer workers"):
        list(run_in_order(partial(partial, os._exit), [1], workers=2))


def test_no_worker_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="at least 1"):
        list(run_in_order(lambda: str, [1], workers=0))
