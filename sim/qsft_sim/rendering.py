"""Pictures of a world: EGL, else OSMesa, else a ray caster that needs no OpenGL at all.

Contexts are made here and not by `mujoco.Renderer`, whose choice is fixed by an environment variable at the moment
MuJoCo is first imported, by whoever imports it. Frames of the two OpenGL back ends are equal to the bit; those of
the ray caster are not, so results name the back end.
"""

# MuJoCo ships no type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import atexit
import ctypes
import ctypes.util
import os
import sys
import warnings
import weakref
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from jaxtyping import UInt8

from qsft_sim.engine import mujoco
from qsft_sim.ray_caster import RayCaster
from vlm_qsft.errors import RenderingUnavailable, UnknownName

BACK_ENDS = ("auto", "egl", "osmesa", "rays")
INSTALL_HINT = "Install one, on Debian or Ubuntu: apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri (or libosmesa6)."

_EGL_PLATFORM_DEVICE_EXT = 0x313F


@dataclass(frozen=True)
class BackEnd:
    """Which back end draws, and why; `qsft doctor` prints it.

    Attributes:
        name: "egl", "osmesa" or "rays".
        reason: one line for people.
    """

    name: str
    reason: str


class SceneRenderer(Protocol):
    """Draws a world's cameras."""

    def render(self, state: mujoco.MjData, camera: str) -> UInt8[np.ndarray, "height width 3"]:
        """Return the picture of a camera, RGB; the caller owns it."""
        ...

    def close(self) -> None:
        """Free what the back end holds; a second call does nothing."""
        ...


def choose_back_end(requested: str = "auto") -> BackEnd:
    """Return the back end that a request leads to on this machine.

    Args:
        requested: "auto" takes the first that works of EGL, OSMesa, ray caster; a name takes that one.

    Raises:
        RenderingUnavailable: the named back end does not work here.
        UnknownName: no such back end.
    """
    if requested not in BACK_ENDS:
        raise UnknownName("rendering back end", requested, BACK_ENDS)
    # Software rendering in threads is slower than one process per core; the library reads this once, when it is probed.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    if requested == "rays":
        return BackEnd("rays", "the ray caster, as asked")
    egl_problem, osmesa_problem = _egl_problem(), _osmesa_problem()
    problems = {"egl": egl_problem, "osmesa": osmesa_problem}
    for name in ("egl", "osmesa") if requested == "auto" else (requested,):
        if problems[name] is None:
            return BackEnd(name, f"{name} works")
    if requested != "auto":
        raise RenderingUnavailable(
            f"Rendering back end '{requested}' does not work: {problems[requested]}. {INSTALL_HINT}"
        )
    return BackEnd(
        "rays",
        f"no OpenGL (egl: {egl_problem}; osmesa: {osmesa_problem}); the ray caster draws instead: slower, and its "
        f"pictures differ from OpenGL's. {INSTALL_HINT}",
    )


def make_renderer(model: mujoco.MjModel, size: tuple[int, int], *, back_end: str = "auto") -> SceneRenderer:
    """Return a renderer of pictures of `size` = (height, width) pixels; warns when it falls back to the ray caster.

    Raises:
        RenderingUnavailable, UnknownName: see `choose_back_end`.
    """
    choice = choose_back_end(back_end)
    if choice.name != "rays":
        return OpenGLRenderer(model, size, choice.name)
    if back_end == "auto":
        warnings.warn(f"Rendering: {choice.reason}", stacklevel=2)
    return RayCaster(model, size)


class OpenGLRenderer:
    """Draws with OpenGL into memory; one context per renderer, for any thread but one at a time."""

    def __init__(self, model: mujoco.MjModel, size: tuple[int, int], name: str) -> None:
        self._model = model
        self._height, self._width = size
        self._context = _make_context(name, self._width, self._height)
        model.vis.global_.offheight, model.vis.global_.offwidth = size
        self._drawing = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._drawing)
        self._scene = mujoco.MjvScene(model, maxgeom=model.ngeom + 8)
        for flag in ("SHADOW", "REFLECTION", "SKYBOX", "HAZE", "FOG"):
            self._scene.flags[getattr(mujoco.mjtRndFlag, f"mjRND_{flag}")] = 0
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._rectangle = mujoco.MjrRect(0, 0, self._width, self._height)
        self._pixels = np.empty((self._height, self._width, 3), np.uint8)
        _release(name)
        self._name = name
        # MuJoCo ends EGL at exit, in a handler registered before this one: contexts must be freed first.
        atexit.register(_close_if_alive, weakref.ref(self))

    def render(self, state: mujoco.MjData, camera: str) -> UInt8[np.ndarray, "height width 3"]:
        """Return the picture of a camera, RGB."""
        self._context.make_current()
        self._camera.fixedcamid = self._model.camera(camera).id
        mujoco.mjv_updateScene(
            self._model, state, self._option, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )
        mujoco.mjr_render(self._rectangle, self._scene, self._drawing)
        mujoco.mjr_readPixels(self._pixels, None, self._rectangle, self._drawing)
        _release(self._name)
        # OpenGL's first row is the lowest.
        return self._pixels[::-1].copy()

    def close(self) -> None:
        """Free the context; a second call does nothing."""
        if self._drawing is not None:
            self._context.make_current()
            self._drawing.free()
            self._drawing = None
            self._context.free()


def _close_if_alive(renderer: weakref.ref[OpenGLRenderer]) -> None:
    alive = renderer()
    if alive is not None:
        alive.close()


def _release(name: str) -> None:
    """Leave no context current in this thread: EGL gives one that is to no other thread."""
    if name == "egl":
        from mujoco.egl import EGL_DISPLAY
        from OpenGL import EGL

        EGL.eglMakeCurrent(EGL_DISPLAY, EGL.EGL_NO_SURFACE, EGL.EGL_NO_SURFACE, EGL.EGL_NO_CONTEXT)


def _make_context(name: str, width: int, height: int):
    """Return MuJoCo's OpenGL context of a back end, made current.

    Raises:
        RenderingUnavailable: the library is there but refuses a context.
    """
    try:
        if name == "egl":
            from mujoco.egl import GLContext
        else:
            from mujoco.osmesa import GLContext
        context = GLContext(width, height)
        context.make_current()
    except (ImportError, AttributeError, RuntimeError) as error:
        raise RenderingUnavailable(
            f"Rendering back end '{name}' gave no context: {error}. {INSTALL_HINT} "
            "The ray caster (back end 'rays') works without."
        ) from error
    return context


@cache
def _egl_problem() -> str | None:
    """Return why EGL does not work here, or None: asks the library for a device that can be initialised."""
    if not sys.platform.startswith("linux"):
        return "only on Linux"
    if os.environ.get("PYOPENGL_PLATFORM", "egl") != "egl":
        return f"PYOPENGL_PLATFORM is {os.environ['PYOPENGL_PLATFORM']}"
    try:
        library = ctypes.CDLL("libEGL.so.1")
    except OSError:
        return "libEGL.so.1 is not installed"
    library.eglGetProcAddress.restype = ctypes.c_void_p
    library.eglGetProcAddress.argtypes = [ctypes.c_char_p]
    query_address = library.eglGetProcAddress(b"eglQueryDevicesEXT")
    display_address = library.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if not query_address or not display_address:
        return "the library cannot list devices"
    query = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int))(query_address)
    display_of = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)(display_address)
    devices, count = (ctypes.c_void_p * 16)(), ctypes.c_int()
    if not query(16, devices, ctypes.byref(count)) or count.value == 0:
        return "no device (is libgl1-mesa-dri installed?)"
    candidates, chosen = devices[: count.value], os.environ.get("MUJOCO_EGL_DEVICE_ID")
    if chosen is not None:
        # MuJoCo takes this one and no other.
        if not chosen.isdecimal() or int(chosen) >= count.value:
            return f"MUJOCO_EGL_DEVICE_ID is '{chosen}', expected 0 to {count.value - 1}: unset it"
        candidates = [devices[int(chosen)]]
    library.eglInitialize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    for device in candidates:
        display = display_of(_EGL_PLATFORM_DEVICE_EXT, device, None)
        if display and library.eglInitialize(display, None, None):
            return None
    return "no device can be initialised (is libgl1-mesa-dri installed?)"


@cache
def _osmesa_problem() -> str | None:
    """Return why OSMesa does not work here, or None."""
    if os.environ.get("PYOPENGL_PLATFORM", "osmesa") != "osmesa":
        return f"PYOPENGL_PLATFORM is {os.environ['PYOPENGL_PLATFORM']}"
    return None if ctypes.util.find_library("OSMesa") else "libOSMesa is not installed"
