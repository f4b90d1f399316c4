"""Pictures without OpenGL: one ray per pixel through MuJoCo's collision geometry, shaded by its normals."""

# MuJoCo ships no type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, UInt8

from qsft_sim.engine import mujoco

_BACKGROUND = np.array([0.0, 0.0, 0.0])
# Everything that is drawn: scenery and objects (group 0), the arm (group 2).
_GROUPS = np.array([1, 0, 1, 0, 0, 0], np.uint8)


class RayCaster:
    """Draws by casting rays: a fallback, 2 ms for 64 x 64. Lambert shading, no shadows."""

    def __init__(self, model: mujoco.MjModel, size: tuple[int, int]) -> None:
        self._model = model
        self._height, self._width = size
        n_rays = self._height * self._width
        self._geom = np.empty(n_rays, np.int32)
        self._distance = np.empty(n_rays)
        self._normal = np.empty((n_rays, 3))
        self._rays_of_view: dict[float, Float64[np.ndarray, "ray 3"]] = {}

    def render(self, state: mujoco.MjData, camera: str) -> UInt8[np.ndarray, "height width 3"]:
        """Return the picture of a camera, RGB."""
        model = self._model
        number = model.camera(camera).id
        rays = self._rays(float(model.cam_fovy[number])) @ state.cam_xmat[number].reshape(3, 3).T
        # The near plane hides the body that carries the camera from OpenGL; here it is left out.
        carrier = int(model.cam_bodyid[number]) or -1
        mujoco.mj_multiRay(
            model, state, state.cam_xpos[number], rays.ravel(), _GROUPS, 1, carrier, self._geom, self._distance,
            self._normal.ravel(), len(rays), mujoco.mjMAXVAL,
        )  # fmt: skip
        headlight = np.array(model.vis.headlight.ambient) + np.outer(
            np.abs((self._normal * rays).sum(1)), np.array(model.vis.headlight.diffuse)
        )
        key = np.outer(np.clip(self._normal @ -state.light_xdir[0], 0, None), model.light_diffuse[0])
        colour = np.clip(model.geom_rgba[self._geom, :3] * (headlight + key), 0, 1)
        colour[self._geom < 0] = _BACKGROUND
        return (colour * 255).astype(np.uint8).reshape(self._height, self._width, 3)

    def close(self) -> None:
        """Nothing to free."""

    def _rays(self, fovy_deg: float) -> Float64[np.ndarray, "ray 3"]:
        """Return unit directions in the camera's frame (x right, y up, looking along -z), rows from the top."""
        if fovy_deg not in self._rays_of_view:
            half = np.tan(np.deg2rad(fovy_deg) / 2)
            up = half * (1 - 2 * (np.arange(self._height) + 0.5) / self._height)
            right = half * self._width / self._height * (2 * (np.arange(self._width) + 0.5) / self._width - 1)
            grid = np.stack(np.broadcast_arrays(right[None, :], up[:, None], -1.0), axis=-1).reshape(-1, 3)
            self._rays_of_view[fovy_deg] = grid / np.linalg.norm(grid, axis=1, keepdims=True)
        return self._rays_of_view[fovy_deg]
