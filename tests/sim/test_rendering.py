# MuJoCo ships no type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from qsft_sim.engine import mujoco
from qsft_sim.environment import EnvironmentSettings, TabletopEnvironment
from qsft_sim.rendering import choose_back_end, make_renderer
from vlm_qsft.errors import UnknownName


def has_opengl() -> bool:
    return choose_back_end().name != "rays"


def in_a_process_without_opengl(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program where neither EGL nor OSMesa can be chosen, because PyOpenGL was told to use something else."""
    environment = {**os.environ, "PYOPENGL_PLATFORM": "glx", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)


@pytest.mark.skipif(not has_opengl(), reason="no OpenGL on this machine to compare the ray caster with")
@pytest.mark.parametrize("camera", ["front", "wrist", "over"])
def test_the_ray_caster_draws_what_opengl_draws(camera: str) -> None:
    environment = TabletopEnvironment(EnvironmentSettings(cameras=()))
    environment.reset(seed=3, options={"task": "pick"})
    pictures = []
    for back_end in ("auto", "rays"):
        renderer = make_renderer(environment.world.model, (64, 64), back_end=back_end)
        pictures.append(renderer.render(environment.world.state, camera).astype(int))
        renderer.close()
    difference = np.abs(pictures[0] - pictures[1]).max(axis=-1)
    assert np.mean(difference > 40) < 0.1  # edges of things, specular light, fingers cut by the near plane
    assert np.median(difference) < 12


@pytest.mark.parametrize("back_end", ["auto", "rays"])
def test_the_target_is_seen_in_its_colour_by_the_front_camera(back_end: str) -> None:
    settings = EnvironmentSettings(cameras=("front",), image_size=(96, 96), back_end=back_end)
    environment = TabletopEnvironment(settings)
    environment.reset(seed=0, options={"task": "pick"})
    picture = environment.observation().images["front"].astype(float)
    for thing in environment.scene.objects:
        direction = np.array(thing.rgb) / np.linalg.norm(thing.rgb)
        brightness = np.linalg.norm(picture, axis=-1) + 1e-9
        alike = (picture @ direction) / brightness > 0.985
        assert alike.sum() >= 4, thing.description
    environment.close()


@pytest.mark.parametrize("back_end", ["auto", "rays"])
def test_threads_may_draw_in_turn_with_one_renderer_whoever_made_it(back_end: str) -> None:
    environment = TabletopEnvironment(EnvironmentSettings(cameras=()))
    environment.reset(seed=3, options={"task": "pick"})
    renderer = make_renderer(environment.world.model, (32, 32), back_end=back_end)
    before = renderer.render(environment.world.state, "front")
    with ThreadPoolExecutor(max_workers=1) as other:
        there = other.submit(renderer.render, environment.world.state, "front").result()
        after = renderer.render(environment.world.state, "front")
        again = other.submit(renderer.render, environment.world.state, "front").result()
    renderer.close()
    assert before.max() > 0
    assert all((picture == before).all() for picture in (there, after, again))


def test_pictures_are_upright_and_not_mirrored() -> None:
    # The front camera looks at the arm: the arm's base (x = 0) is above, +y is to the right.
    environment = TabletopEnvironment(EnvironmentSettings(cameras=(), n_distractors=(0, 0)))
    environment.reset(seed=0, options={"task": "pick"})
    world, scene = environment.world, environment.scene
    for back_end in ("auto", "rays"):
        renderer = make_renderer(world.model, (96, 96), back_end=back_end)
        start = world.model.joint(f"object_{scene.objects[0].body}").qposadr[0]
        centers = []
        for place in ((0.4, 0.15), (0.6, -0.15)):
            world.state.qpos[start : start + 2] = place
            mujoco.mj_forward(world.model, world.state)
            picture = renderer.render(world.state, "front").astype(float)
            direction = np.array(scene.objects[0].rgb) / np.linalg.norm(scene.objects[0].rgb)
            rows, columns = np.nonzero((picture @ direction) / (np.linalg.norm(picture, axis=-1) + 1e-9) > 0.985)
            centers.append((rows.mean(), columns.mean()))
        (far_row, left_column), (near_row, right_column) = centers
        assert far_row < near_row
        assert left_column > right_column
        renderer.close()


def test_an_unknown_back_end_lists_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="auto, egl, osmesa, rays"):
        choose_back_end("vulkan")


def test_without_opengl_the_ray_caster_is_chosen_and_says_what_to_install() -> None:
    program = (
        "import warnings; warnings.simplefilter('error')\n"
        "from qsft_sim.environment import *\n"
        "try: TabletopEnvironment(EnvironmentSettings(image_size=(8, 8)))\n"
        "except UserWarning as warning: print(warning)\n"
        "environment = TabletopEnvironment(EnvironmentSettings(image_size=(8, 8), back_end='rays'))\n"
        "environment.reset(seed=0)\n"
        "print(environment.back_end_name, environment.observation().images['front'].std() > 0)"
    )
    said = in_a_process_without_opengl(program).stdout
    assert "ray caster" in said and "libegl1" in said
    assert said.splitlines()[-1] == "rays True"


def test_a_back_end_asked_for_by_name_is_never_replaced_silently() -> None:
    program = (
        "from qsft_sim.rendering import choose_back_end\n"
        "from vlm_qsft.errors import RenderingUnavailable\n"
        "try: choose_back_end('egl')\n"
        "except RenderingUnavailable as error: print(error)"
    )
    said = in_a_process_without_opengl(program).stdout
    assert "'egl' does not work: PYOPENGL_PLATFORM is glx" in said


@pytest.mark.skipif(choose_back_end().name != "egl", reason="EGL does not work on this machine")
def test_a_renderer_closes_twice_and_a_program_that_forgets_to_close_ends_without_noise() -> None:
    environment = TabletopEnvironment(EnvironmentSettings(image_size=(8, 8)))
    environment.close()
    environment.close()
    program = "from qsft_sim.environment import *; kept = TabletopEnvironment(EnvironmentSettings())"
    environment_variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment_variables, capture_output=True, text=True, check=True
    )
    assert ended.stderr == ""


@pytest.mark.parametrize("choice", ["nonsense", "osmesa"])
def test_a_setting_of_mujoco_that_does_not_work_here_breaks_nothing(choice: str) -> None:
    program = (
        "import os\n"
        "from qsft_sim.rendering import choose_back_end\n"
        "print(choose_back_end().name, os.environ['MUJOCO_GL'])"
    )
    environment = {**os.environ, "MUJOCO_GL": choice, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert ended.stdout.split() == [choose_back_end().name, choice], ended.stderr


@pytest.mark.skipif(not has_opengl() or choose_back_end().name != "egl", reason="no EGL on this machine")
@pytest.mark.parametrize("device", ["first", "", "-1", "4711"])
def test_a_device_that_does_not_exist_is_named(device: str) -> None:
    program = (
        "from qsft_sim.rendering import choose_back_end\n"
        "from vlm_qsft.errors import RenderingUnavailable\n"
        "try:\n    choose_back_end('egl')\nexcept RenderingUnavailable as error:\n    print(error)"
    )
    environment = {**os.environ, "MUJOCO_EGL_DEVICE_ID": device, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert f"MUJOCO_EGL_DEVICE_ID is '{device}', expected 0 to" in ended.stdout
    assert ended.stderr == ""
