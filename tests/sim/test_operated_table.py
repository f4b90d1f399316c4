"""The simulated table under a real controller: it does what rollouts do, and holds when it must."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from qsft_sim.demonstrators import Demonstrator
from qsft_sim.environment import EnvironmentSettings, TabletopEnvironment
from qsft_sim.operated_table import OperatedTable
from qsft_sim.rollout import roll_out
from qsft_sim.seeds import EVALUATION
from vlm_qsft.control import ControllerState, FaultKind
from vlm_qsft.errors import CommandRefused


def environment(*, action_dim: int = 5, back_end: str = "rays") -> TabletopEnvironment:
    return TabletopEnvironment(
        EnvironmentSettings(cameras=("front",), image_size=(16, 16), action_dim=action_dim, back_end=back_end)
    )


def carried_out(table: OperatedTable, *, steps: int = 60) -> int:
    """Let time pass until the instruction is followed; return how many periods it took."""
    for step in range(1, steps + 1):
        table.step()
        if table.status().followed:
            return step
    raise AssertionError(f"not followed after {steps} periods: {table.status()}")


@pytest.mark.parametrize(("task", "action_dim"), [("pick", 5), ("near", 5), ("pick", 7)])
def test_an_expert_follows_its_instruction_in_the_time_that_a_rollout_takes(task: str, action_dim: int) -> None:
    world = environment(action_dim=action_dim)
    table = OperatedTable(world, Demonstrator("expert"), task=task)
    instruction = world.instruction
    table.instruct(instruction)
    periods = carried_out(table)
    status = table.status()
    assert status.followed == instruction and status.instruction == "" and status.state is ControllerState.ACTIVE
    alone = environment(action_dim=action_dim)
    result = roll_out(alone, Demonstrator("expert"), task=task, base=EVALUATION, episode=0, settings={}, simulator={})
    assert result.success
    assert abs(periods - result.steps) <= 1  # one decision per period, as in the rollout


def test_a_lost_camera_makes_it_hold_within_three_periods_and_it_goes_on_when_told() -> None:
    world = environment()
    table = OperatedTable(world, Demonstrator("expert"), task="pick")
    table.instruct(world.instruction)
    for _ in range(5):
        table.step()
    table.silent_cameras = frozenset({"front"})
    for _ in range(3):
        command = table.step()
    status = table.status()
    assert status.state is ControllerState.HOLDING
    assert status.fault is not None and status.fault.kind is FaultKind.STALE_INPUT and "'front'" in status.fault.text
    assert command is not None and command.kind == "hold"
    with pytest.raises(CommandRefused, match="'front'"):
        table.resume()
    table.silent_cameras = frozenset()
    table.step()
    table.resume()
    assert carried_out(table) > 0


def test_hold_stops_the_tool_and_an_emergency_ends_with_the_next_scene() -> None:
    world = environment()
    table = OperatedTable(world, Demonstrator("expert"), task="pick")
    table.instruct(world.instruction)
    for _ in range(4):
        table.step()
    table.hold("Enough.")
    table.step()
    resting = world.world.tool_target_m.copy()
    for _ in range(5):
        table.step()
    np.testing.assert_allclose(world.world.tool_target_m, resting, atol=1e-9)
    assert str(table.status().fault) == "operator: Enough."
    things = table.objects
    table.emergency_stop("Test.")
    assert table.status().state is ControllerState.STOPPED
    table.new_scene()
    assert table.status().state is ControllerState.ACTIVE and table.status().fault is None
    assert table.objects != things


def test_things_that_were_moved_before_do_not_count_against_the_next_instruction() -> None:
    world = environment()
    table = OperatedTable(world, Demonstrator("expert"), task="near")
    table.instruct(world.instruction)
    carried_out(table)
    target, reference = (world.scene.objects[n].description for n in (world.scene.target, world.scene.reference))
    # They lie side by side now: "move the reference near the target" is followed as soon as nothing is held.
    table.instruct(f"move the {reference} near the {target}")
    assert carried_out(table, steps=5) <= 5


@pytest.mark.parametrize("back_end", ["auto", "rays"])
def test_time_passes_in_its_own_thread_and_holding_does_not_wait(back_end: str) -> None:
    world = environment(back_end=back_end)
    table = OperatedTable(world, Demonstrator("expert"), task="pick")
    over = threading.Event()
    driving = threading.Thread(target=table.drive, args=(over,))
    driving.start()
    try:
        table.instruct(world.instruction)
        deadline_s = time.monotonic() + 60.0
        while not table.status().values and time.monotonic() < deadline_s:
            time.sleep(0.01)
        assert table.status().values  # it has moved, and looked again
        table.new_scene()  # from this thread, as an operator does
        table.hold("At once.")
        assert table.status().state is ControllerState.HOLDING
        assert set(table.pictures()) == {"front"}
    finally:
        over.set()
        driving.join()
        world.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_simulator_that_fails_stops_the_robot_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    world = environment()
    table = OperatedTable(world, Demonstrator("expert"), task="pick")

    def fail(action: np.ndarray) -> None:
        raise RuntimeError("no context")

    monkeypatch.setattr(world, "step", fail)
    driving = threading.Thread(target=table.drive, args=(threading.Event(),))
    driving.start()
    driving.join(timeout=60.0)
    assert not driving.is_alive()
    status = table.status()
    assert status.state is ControllerState.STOPPED
    assert status.fault is not None and "The simulator has failed: no context." in status.fault.text


def test_nobody_to_ask_is_no_value() -> None:
    world = environment()
    table = OperatedTable(world, Demonstrator("expert"), task="pick")
    assert np.isnan(table.expected_value(world.instruction))
