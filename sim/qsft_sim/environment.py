"""The Gymnasium environment: language-conditioned manipulation on a table, seen by cameras, at 5 Hz."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from qsft_sim.model import CAMERAS, N_JOINTS
from qsft_sim.randomisation import variant_named
from qsft_sim.rendering import BACK_ENDS, choose_back_end, make_renderer
from qsft_sim.scene import Scene, draw_scene
from qsft_sim.tasks import TASKS, TableState, task_named, wrongly_handled
from qsft_sim.world import TabletopWorld
from vlm_qsft.data import DatasetSchema
from vlm_qsft.errors import InvalidSetting, NotFinite, ShapeMismatch, UnknownName
from vlm_qsft.types import Observation

CONTROL_HZ = 5
LARGEST_IMAGE = 2048  # pixels a side; OpenGL in software takes a second for such a picture
# What an action of 1 means.
MOVE_SCALE_M = 0.05
TURN_SCALE_RAD = 0.25

ACTION_NAMES = {
    5: ("dx", "dy", "dz", "dyaw", "gripper"),
    7: ("dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper"),
}
STATE_NAMES = (
    "target_x",
    "target_y",
    "target_z",
    *(f"joint_{number}" for number in range(1, N_JOINTS + 1)),
    "finger_opening",
)


@dataclass(frozen=True)
class EnvironmentSettings:
    """What the policy sees and does; part of every result.

    Attributes:
        cameras: which cameras are drawn, of "front", "wrist", "over"; none draws nothing and is fast.
        image_size: height and width, pixels.
        action_dim: 5 (dx, dy, dz, dyaw, gripper) or 7 (with droll, dpitch).
        max_steps: control steps after which an episode is truncated.
        n_distractors: smallest and largest number of objects that the instruction does not name.
        variant: name of a scene variant, see `randomisation.VARIANTS`.
        back_end: "auto", "egl", "osmesa" or "rays".
    """

    cameras: tuple[str, ...] = ("front", "wrist")
    image_size: tuple[int, int] = (64, 64)
    action_dim: int = 5
    max_steps: int = 40
    n_distractors: tuple[int, int] = (1, 2)
    variant: str = "standard"
    back_end: str = "auto"

    def __post_init__(self) -> None:
        for camera in self.cameras:
            if camera not in CAMERAS:
                raise UnknownName("camera", camera, CAMERAS, where="the simulator")
        if len(set(self.cameras)) != len(self.cameras):
            raise InvalidSetting(f"cameras are {self.cameras}: expected each camera once.")
        if self.action_dim not in ACTION_NAMES:
            raise InvalidSetting(f"action_dim is {self.action_dim}: expected 5 or 7.")
        if min(self.image_size) < 8 or max(self.image_size) > LARGEST_IMAGE or self.max_steps < 1:
            raise InvalidSetting(
                f"image_size is {self.image_size}, max_steps {self.max_steps}: "
                f"expected 8 to {LARGEST_IMAGE} pixels and at least 1 step."
            )
        if self.back_end not in BACK_ENDS:
            raise UnknownName("rendering back end", self.back_end, BACK_ENDS)
        variant_named(self.variant)

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the action's dimensions, in order."""
        return ACTION_NAMES[self.action_dim]

    @classmethod
    def of_robot(
        cls, schema: DatasetSchema, *, cameras: tuple[str, ...], variant: str = "standard"
    ) -> EnvironmentSettings:
        """Return the environment of what a policy was trained on, with pictures of the size that was recorded.

        Args:
            schema: of the data it was trained on.
            cameras: those it looks at.
        Raises:
            InvalidSetting: another robot, whose numbers mean something else here.
            UnknownName: a camera or a variant that the simulator does not have.
        """
        action_dim = len(schema.action_names)
        pairs = {
            "actions": (schema.action_names, ACTION_NAMES.get(action_dim, ACTION_NAMES[5])),
            "state": (schema.state_names, STATE_NAMES),
            "control rate": ((f"{float(schema.fps):g} per second",), (f"{CONTROL_HZ} per second",)),
        }
        for what, (trained_on, here) in pairs.items():
            if trained_on != here:
                raise InvalidSetting(
                    f"The policy was trained on another robot: {what} {', '.join(trained_on) or 'none'}; "
                    f"the simulator has {', '.join(here)}. Only policies of its own data can be evaluated in it."
                )
        sizes = {schema.camera(camera) for camera in cameras}
        if len(sizes) > 1:
            raise InvalidSetting(f"The cameras were recorded at {sorted(sizes)} pixels; the simulator draws one size.")
        return cls(cameras=cameras, image_size=sizes.pop(), action_dim=action_dim, variant=variant)


class TabletopEnvironment(gymnasium.Env[dict[str, Any], np.ndarray]):
    """A table with objects, an arm, an instruction.

    An action is a difference to the *commanded* tool pose, in [-1, 1]: 1 is 5 cm or 0.25 rad; the gripper opens
    above 0 and closes otherwise. Values outside are clipped. An episode ends with reward 1 when the instruction is
    followed (terminated) and without reward at the step limit (truncated).

    `reset(seed=..., options={"task": "pick"})` draws the scene from the seed; `options={"scene": scene}` sets a
    scene that was drawn before, for example with another target. Options: task, scene, n_distractors.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": CONTROL_HZ}  # noqa: RUF012 (Gymnasium's interface)
    render_mode = "rgb_array"

    def __init__(self, settings: EnvironmentSettings | None = None) -> None:
        self.settings = settings or EnvironmentSettings()
        self.world = TabletopWorld(control_hz=CONTROL_HZ)
        self._renderer = None
        if self.settings.cameras:
            self._renderer = make_renderer(self.world.model, self.settings.image_size, back_end=self.settings.back_end)
        self.action_space = gymnasium.spaces.Box(-1, 1, (self.settings.action_dim,), np.float32)
        picture = gymnasium.spaces.Box(0, 255, (*self.settings.image_size, 3), np.uint8)
        state_space = gymnasium.spaces.Box(-10, 10, (len(STATE_NAMES),), np.float32)
        self.observation_space = gymnasium.spaces.Dict(
            {"images": gymnasium.spaces.Dict(dict.fromkeys(self.settings.cameras, picture)), "state": state_space}
        )
        self._steps = 0
        self._images: dict[str, np.ndarray] = {}
        self._wrong_object = False

    @property
    def back_end_name(self) -> str:
        """The back end that draws: "egl", "osmesa", "rays", or "none" without cameras."""
        return choose_back_end(self.settings.back_end).name if self.settings.cameras else "none"

    @property
    def scene(self) -> Scene:
        """The scene of the episode under way."""
        return self.world.scene

    @property
    def instruction(self) -> str:
        """What the policy is asked to do."""
        return self.scene.instruction

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin an episode; see the class for the options.

        Raises:
            UnknownName: an unknown task or option.
        """
        super().reset(seed=seed)
        given = dict(options or {})
        for name in given:
            if name not in ("task", "scene", "n_distractors"):
                raise UnknownName("option", name, ("task", "scene", "n_distractors"), where="reset")
        scene = given.get("scene")
        if scene is None:
            task = given.get("task") or sorted(TASKS)[self.np_random.integers(len(TASKS))]
            scene = draw_scene(
                self.np_random,
                task,
                variant=variant_named(self.settings.variant),
                n_distractors=given.get("n_distractors", self.settings.n_distractors),
            )
        self.world.place(scene)
        self._steps = 0
        self._wrong_object = False
        self._images = self._draw()
        return self._observation_dictionary(), self._facts(self.world.table_state())

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Carry out one action for one control period (0.2 s).

        Raises:
            ShapeMismatch, NotFinite: the action is not `action_dim` finite numbers.
        """
        action = np.asarray(action, dtype=np.float64)
        if action.shape != (self.settings.action_dim,):
            raise ShapeMismatch(
                f"Action of shape {action.shape}: expected ({self.settings.action_dim},), "
                f"which is {', '.join(self.settings.action_names)}."
            )
        if not np.isfinite(action).all():
            raise NotFinite(f"Action {action.tolist()}: expected finite numbers.")
        action = np.clip(action, -1, 1)
        turn = np.zeros(3)
        turn[-1 if self.settings.action_dim == 5 else slice(None)] = action[3:-1] * TURN_SCALE_RAD
        self.world.command(action[:3] * MOVE_SCALE_M, turn, gripper_open=bool(action[-1] > 0))
        self._steps += 1
        state = self.world.table_state()
        scene = self.scene
        success = task_named(scene.task).followed(state, scene.target, scene.reference)
        self._wrong_object = self._wrong_object or bool(wrongly_handled(state, scene.target))
        truncated = self._steps >= self.settings.max_steps and not success
        self._images = self._draw()
        return self._observation_dictionary(), float(success), success, truncated, self._facts(state)

    def observation(self) -> Observation:
        """Return what the policy sees now; the stamp is simulated time since the reset, seconds."""
        return Observation(images=dict(self._images), state=self._state(), stamp_s=self._steps / CONTROL_HZ)

    def render(self) -> np.ndarray | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the cameras' pictures side by side, or None without cameras."""
        return np.hstack(list(self._images.values())) if self._images else None

    def close(self) -> None:
        """Free the renderer."""
        if self._renderer is not None:
            self._renderer.close()

    def _draw(self) -> dict[str, np.ndarray]:
        if self._renderer is None:
            return {}
        return {camera: self._renderer.render(self.world.state, camera) for camera in self.settings.cameras}

    def _state(self) -> np.ndarray:
        world = self.world
        return np.concatenate([world.tool_target_m, world.joints_rad, [world.finger_opening_m]]).astype(np.float32)

    def _observation_dictionary(self) -> dict[str, Any]:
        return {"images": dict(self._images), "state": self._state()}

    def _facts(self, state: TableState) -> dict[str, Any]:
        scene = self.scene
        return {
            "task": scene.task,
            "task_description": scene.instruction,
            "is_success": task_named(scene.task).followed(state, scene.target, scene.reference),
            "wrong_object": self._wrong_object,
        }
