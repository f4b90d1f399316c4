"""Tool actions through the controller's inverse kinematics reach the joint targets that the simulator commands."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qsft_sim.environment import ACTION_NAMES, MOVE_SCALE_M, TURN_SCALE_RAD, EnvironmentSettings, TabletopEnvironment
from qsft_sim.kinematics import ArmKinematics
from qsft_sim.model import FINGER_TRAVEL_M, N_JOINTS
from qsft_sim.world import TOOL_HIGH_M, TOOL_LOW_M, TOOL_TURN_RAD
from vlm_qsft.control import AxisAction, AxisLimits, RobotLimits, WorkspaceBox
from vlm_qsft.control.tool_mapping import ToolAction, ToolActionMapping

JOINTS = tuple(f"joint_{number}" for number in range(1, N_JOINTS + 1))


def box(low: np.ndarray, high: np.ndarray) -> WorkspaceBox:
    lower, upper = ((float(x), float(y), float(z)) for x, y, z in (low, high))
    return WorkspaceBox(lower, upper)


def mapping(action_dim: int) -> ToolActionMapping:
    axes = [AxisLimits(name, "rad", -3.8, 3.8, 2.0, 10.0, goal_jump=1.0, measurement_jump=1.0) for name in JOINTS]
    axes.append(AxisLimits("finger", "m", 0.0, FINGER_TRAVEL_M, 1.0, 50.0, goal_jump=1.0, measurement_jump=1.0))
    roll, pitch, yaw = map(float, TOOL_TURN_RAD)
    return ToolActionMapping(
        action_names=ACTION_NAMES[action_dim],
        tool=ToolAction(
            move=("dx", "dy", "dz"),
            turn=("", "", "dyaw") if action_dim == 5 else ("droll", "dpitch", "dyaw"),
            move_scale_m=MOVE_SCALE_M,
            turn_scale_rad=TURN_SCALE_RAD,
            reference_turn_rad=(math.pi, 0.0, 0.0),
            largest_turn_rad=(roll, pitch, yaw),
            workspace=box(TOOL_LOW_M, TOOL_HIGH_M),
            tolerance_m=1.0,
        ),
        arm_joints=JOINTS,
        axis_actions=(AxisAction("finger", "gripper", "switch", interpolation="step"),),
        limits=RobotLimits(tuple(axes)),
        kinematics=ArmKinematics(),
    )


@pytest.mark.parametrize("action_dim", [5, 7])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_same_actions_lead_to_the_same_joint_targets(action_dim: int, seed: int) -> None:
    environment = TabletopEnvironment(EnvironmentSettings(cameras=(), action_dim=action_dim))
    environment.reset(seed=seed, options={"task": "pick"})
    control = environment.world.state.ctrl
    tool, goal = mapping(action_dim), control.copy()
    generator = np.random.default_rng(seed)
    for _ in range(12):
        action = generator.uniform(-1, 1, action_dim).astype(np.float32)
        goal = tool.goals(action[None], goal=goal, measured=goal)[0]
        environment.step(action)
        # At the start the simulator calls the tool's turn zero, the controller reads its few degrees from the joints.
        np.testing.assert_allclose(goal[:N_JOINTS], control[:N_JOINTS], atol=0.1)
        np.testing.assert_allclose(tool.pose(goal)[0], environment.world.tool_target_m, atol=1e-6)
        assert goal[-1] == control[N_JOINTS]
