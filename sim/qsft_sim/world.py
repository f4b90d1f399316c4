"""The physical world: a compiled model, one scene placed in it, and the arm that follows tool poses."""

# MuJoCo ships no type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from qsft_sim.engine import mujoco
from qsft_sim.kinematics import ArmKinematics, rotation_from_roll_pitch_yaw
from qsft_sim.model import (
    BODY_SHAPES,
    CAMERAS,
    FINGER_TRAVEL_M,
    HOME_JOINTS_RAD,
    N_JOINTS,
    SHAPES,
    TIMESTEP_S,
    TOOL_SITE,
    build_model,
)
from qsft_sim.scene import Scene
from qsft_sim.tasks import TableState

# The tool may not leave this box (m), nor these angles (rad; roll, pitch, yaw): table, own base, wrist limits.
TOOL_LOW_M = np.array([0.28, -0.34, 0.012])
TOOL_HIGH_M = np.array([0.72, 0.34, 0.42])
TOOL_TURN_RAD = np.array([0.5, 0.5, 1.6])

# Joint targets move in this many pieces per control period and arrive after 80 % of it.
_PIECES = 10
_ARRIVAL = 0.8
_TOOL_DOWN = np.diag([1.0, -1.0, -1.0])
_FINGER = N_JOINTS  # index of the left finger, both as joint position and as actuator


class TabletopWorld:
    """MuJoCo model and state, the scene in it, and the commanded tool pose.

    Attributes:
        model: changed by `place` (colours, cameras, light, friction).
        state: MuJoCo's.
        tool_target_m: commanded place of the tool.
        tool_turn_rad: commanded roll, pitch, yaw of the tool, zero when it points straight down.
        gripper_open: last command.
    """

    def __init__(self, *, control_hz: float) -> None:
        self.model = build_model()
        self.state = mujoco.MjData(self.model)
        self.tool_target_m = np.zeros(3)
        self.tool_turn_rad = np.zeros(3)
        self.gripper_open = True
        self._scene: Scene | None = None
        self._kinematics = ArmKinematics()
        self._steps_per_piece = max(1, round(1 / control_hz / TIMESTEP_S / _PIECES))
        self._tool = self.model.site(TOOL_SITE).id
        bodies = [f"object_{number}" for number in range(len(BODY_SHAPES))]
        self._body_ids = [self.model.body(name).id for name in bodies]
        self._geom_ids = [self.model.geom(name).id for name in bodies]
        self._position_at = [int(self.model.joint(name).qposadr[0]) for name in bodies]
        self._velocity_at = [int(self.model.joint(name).dofadr[0]) for name in bodies]
        self._camera_ids = [self.model.camera(name).id for name in CAMERAS]
        self._table = self.model.geom("table").id
        self._default_camera_m = self.model.cam_pos.copy()
        self._default_light = self.model.light_diffuse.copy()
        self._default_headlight = np.array(self.model.vis.headlight.diffuse)
        self._default_table_rgb = self.model.geom_rgba[self._table, :3].copy()
        self._default_friction = self.model.geom_friction.copy()
        self._object_start_m = np.zeros((0, 3))

    @property
    def scene(self) -> Scene:
        """The scene of the episode under way.

        Raises:
            RuntimeError: nothing was placed yet.
        """
        if self._scene is None:
            raise RuntimeError("No scene yet: call reset first.")
        return self._scene

    def place(self, scene: Scene) -> None:
        """Put a scene on the table and the arm at its first posture; nothing of the last episode survives."""
        self._scene = scene
        mujoco.mj_resetData(self.model, self.state)
        self._apply_conditions(scene)
        self._park_objects()
        for thing in scene.objects:
            rest_height_m = SHAPES[thing.shape].rest_height_m
            half = thing.yaw_rad / 2
            start = self._position_at[thing.body]
            self.state.qpos[start : start + 7] = [*thing.position_m, rest_height_m, np.cos(half), 0, 0, np.sin(half)]
            geom = self._geom_ids[thing.body]
            self.model.geom_rgba[geom, :3] = thing.rgb
            self.model.geom_contype[geom] = self.model.geom_conaffinity[geom] = 1
            self.model.body_gravcomp[self._body_ids[thing.body]] = 0
        mujoco.mj_forward(self.model, self.state)
        self.tool_target_m = self.tool_position_m
        self.tool_turn_rad = np.zeros(3)
        self.gripper_open = True
        self._object_start_m = self._object_positions()

    def command(self, move_m: np.ndarray, turn_rad: np.ndarray, *, gripper_open: bool) -> None:
        """Move the commanded tool pose by a difference, kept inside the workspace, and let one control period pass."""
        self.tool_target_m = np.clip(self.tool_target_m + move_m, TOOL_LOW_M, TOOL_HIGH_M)
        self.tool_turn_rad = np.clip(self.tool_turn_rad + turn_rad, -TOOL_TURN_RAD, TOOL_TURN_RAD)
        self.gripper_open = gripper_open
        control = self.state.ctrl
        before = control[:N_JOINTS].copy()
        rotation = rotation_from_roll_pitch_yaw(*self.tool_turn_rad) @ _TOOL_DOWN
        after = self._kinematics.inverse(self.tool_target_m, rotation, before)
        control[_FINGER] = FINGER_TRAVEL_M if gripper_open else 0.0
        for piece in range(1, _PIECES + 1):
            control[:N_JOINTS] = before + (after - before) * min(1.0, piece / (_PIECES * _ARRIVAL))
            mujoco.mj_step(self.model, self.state, self._steps_per_piece)
        # mj_step leaves body and camera poses one time step behind the joints.
        mujoco.mj_kinematics(self.model, self.state)
        mujoco.mj_comPos(self.model, self.state)
        mujoco.mj_camlight(self.model, self.state)

    @property
    def tool_position_m(self) -> Float64[np.ndarray, " 3"]:
        """Measured place of the point between the finger tips."""
        return self.state.site_xpos[self._tool].copy()

    @property
    def joints_rad(self) -> Float64[np.ndarray, " 7"]:
        """Measured joint angles."""
        return self.state.qpos[:N_JOINTS].copy()

    @property
    def finger_opening_m(self) -> float:
        """Measured way of one finger from the middle, 0 to 0.04."""
        return float(self.state.qpos[_FINGER])

    def object_yaw_rad(self, number: int) -> float:
        """Return the turn about the vertical of an object of the scene."""
        start = self._position_at[self.scene.objects[number].body] + 3
        w, x, y, z = self.state.qpos[start : start + 4]
        return float(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))

    def table_state(self) -> TableState:
        """Return what tasks judge by."""
        starts = [self._velocity_at[thing.body] for thing in self.scene.objects]
        speed = np.array([np.abs(self.state.qvel[start : start + 3]).max() for start in starts])
        return TableState(
            object_position_m=self._object_positions(),
            object_start_m=self._object_start_m,
            object_speed_m_s=speed,
            tool_position_m=self.tool_position_m,
            gripper_open=self.gripper_open,
        )

    def _object_positions(self) -> Float64[np.ndarray, "object 3"]:
        starts = [self._position_at[thing.body] for thing in self.scene.objects]
        return np.array([self.state.qpos[start : start + 3] for start in starts])

    def _apply_conditions(self, scene: Scene) -> None:
        model, conditions = self.model, scene.conditions
        for number, camera in enumerate(self._camera_ids):
            model.cam_pos[camera] = self._default_camera_m[camera] + conditions.camera_offset_m[number]
        model.light_diffuse[:] = self._default_light * conditions.light
        model.vis.headlight.diffuse[:] = self._default_headlight * conditions.headlight
        model.geom_rgba[self._table, :3] = np.clip(self._default_table_rgb * conditions.table_colour, 0, 1)
        model.geom_friction[:] = self._default_friction
        model.geom_friction[:, 0] *= conditions.friction
        home = HOME_JOINTS_RAD + conditions.home_offset_rad
        self.state.qpos[:N_JOINTS] = self.state.ctrl[:N_JOINTS] = home
        # Both fingers: they are separate joints, kept equal by a constraint.
        self.state.qpos[_FINGER : _FINGER + 2] = FINGER_TRAVEL_M
        self.state.ctrl[_FINGER] = FINGER_TRAVEL_M

    def _park_objects(self) -> None:
        """Move every object out of sight, without weight or contact."""
        for number, (body, geom, start) in enumerate(
            zip(self._body_ids, self._geom_ids, self._position_at, strict=True)
        ):
            self.state.qpos[start : start + 7] = [2 + 0.2 * number, 2, -0.6, 1, 0, 0, 0]
            self.model.geom_contype[geom] = self.model.geom_conaffinity[geom] = 0
            self.model.body_gravcomp[body] = 1
