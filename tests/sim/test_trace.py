"""Traces on disk: what was recorded comes back, and what is no whole trace is refused with the reason."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qsft_sim.results import EpisodeResult
from qsft_sim.trace import Trace
from vlm_qsft.errors import DatasetError, ShapeMismatch

RESULT = EpisodeResult("pick", 2, 4, 0, "pick up the red cube", True, False, "red cube", 3, 1.0, math.nan, math.nan)
STEPS, DIMENSIONS, BINS = 3, 2, 4
TRACE = Trace(
    result=RESULT,
    period_s=0.2,
    cameras=("front",),
    frames=np.arange(STEPS * 8 * 8 * 3, dtype=np.uint8).reshape(STEPS, 1, 8, 8, 3),
    action_names=("dx", "gripper"),
    bin_centers=np.array([[-0.75, -0.25, 0.25, 0.75], [-1, -0.5, 0.5, 1]], np.float32),
    q_values=np.arange(24, dtype=np.float32).reshape(STEPS, DIMENSIONS, BINS) / 32,
    probabilities=np.full((STEPS, DIMENSIONS, BINS), 0.25, np.float32),
    action_bins=np.array([[0, 1], [2, 3], [0, 3]]),
    value=np.array([0.1, 0.2, 0.3], np.float32),
)


def stored(folder: Path, **changes: np.ndarray | None) -> Path:
    """Return the path of a stored trace of which arrays were exchanged, or taken out by None."""
    path = folder / "trace-success.npz"
    TRACE.save(path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files} | changes
    kept = {name: array for name, array in arrays.items() if array is not None}
    np.savez(path, allow_pickle=True, **kept)
    return path


def test_a_trace_comes_back_from_its_file(tmp_path: Path) -> None:
    TRACE.save(tmp_path / "trace.npz")
    loaded = Trace.load(tmp_path / "trace.npz")
    assert loaded.result.to_json() == RESULT.to_json()
    assert (loaded.period_s, loaded.cameras, loaded.action_names) == (0.2, ("front",), ("dx", "gripper"))
    for name in ("frames", "bin_centers", "q_values", "probabilities", "action_bins", "value"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(TRACE, name), strict=True)


def test_the_q_value_of_an_action_is_that_of_its_last_dimension() -> None:
    # The last dimension's rows begin at 4, 12 and 20; the chosen bins there are 1, 3 and 3.
    assert TRACE.chosen_q_values().tolist() == [5 / 32, 15 / 32, 23 / 32]


def test_a_trace_knows_whether_its_policy_had_values() -> None:
    assert TRACE.has_value and TRACE.has_q_values
    plain = replace(TRACE, q_values=np.full_like(TRACE.q_values, np.nan), value=np.full_like(TRACE.value, np.nan))
    assert not plain.has_value and not plain.has_q_values


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"action_bins": np.full((3, 2), 4)}, "an action bin lies outside 0..3"),
        ({"value": np.zeros(2, np.float32)}, r"value is \(2,\), expected \(3,\)"),
        ({"frames": np.zeros((3, 1, 8, 8), np.uint8)}, r"expected uint8 \(step, camera, height, width, 3\)"),
        ({"action_names": ("dx",)}, r"bin_centers is \(2, 4\), expected \(1, 4\)"),
        ({"cameras": ("front", "wrist")}, r"cameras is \(2,\), expected \(1,\)"),
    ],
)
def test_a_trace_that_contradicts_itself_is_refused(changes: dict, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ShapeMismatch, match=reason):
        replace(TRACE, **changes)
    arrays = {name: np.array(content) for name, content in changes.items()}
    with pytest.raises(DatasetError, match=rf"trace-success.npz contradicts itself: .*{reason}"):
        Trace.load(stored(tmp_path, **arrays))


def test_a_trace_without_its_bin_centers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="lacks bin_centers: it is no trace, or one of another version"):
        Trace.load(stored(tmp_path, bin_centers=None))


def test_a_trace_with_a_foreign_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="contradicts itself: Not a line of results"):
        Trace.load(stored(tmp_path, result=np.array('{"success": true}')))


def test_a_trace_that_is_cut_off_or_pickled_is_refused_and_not_executed(tmp_path: Path) -> None:
    whole = stored(tmp_path).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=r"cut\.npz cannot be read"):
        Trace.load(tmp_path / "cut.npz")
    with pytest.raises(DatasetError, match="cannot be read"):
        Trace.load(stored(tmp_path, cameras=np.array([{"a": 1}], dtype=object)))
    with pytest.raises(DatasetError, match=r"absent\.npz cannot be read"):
        Trace.load(tmp_path / "absent.npz")
