"""One policy, one episode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from qsft_sim.environment import CONTROL_HZ, TabletopEnvironment
from qsft_sim.rendering import SceneRenderer
from qsft_sim.results import EpisodeResult, Setting
from qsft_sim.scene import Scene
from qsft_sim.seeds import policy_seed, scene_seed
from qsft_sim.tasks import handled_objects
from qsft_sim.trace import Trace
from vlm_qsft.types import Decision, Policy


@runtime_checkable
class PrivilegedPolicy(Protocol):
    """A policy that sees the true state: a scripted demonstrator."""

    def watch(self, environment: TabletopEnvironment) -> None:
        """Receive the environment it acts in, before the first reset."""
        ...


@runtime_checkable
class BinnedPolicy(Protocol):
    """A policy that chooses among action bins and says what they mean."""

    @property
    def bin_centers(self) -> Float[np.ndarray, "action_dim n_bins"]:
        """What every bin decodes to, physical units."""
        ...


def roll_out(
    environment: TabletopEnvironment,
    policy: Policy,
    *,
    task: str,
    base: int,
    episode: int,
    settings: Mapping[str, Setting],
    simulator: Mapping[str, Setting],
    identity: str = "",
    scene: Scene | None = None,
    observer: TraceObserver | None = None,
) -> EpisodeResult:
    """Run one episode to its end; every row of an action chunk is carried out before the next decision.

    Args:
        environment: at 5 Hz, the policy's cameras and action.
        policy: reset here, with the same seed for every policy.
        task: name of the task.
        base: see `seeds`.
        episode: number of the scene.
        settings: of the policy, stored with the result.
        simulator: see `EpisodeResult`, stored with the result.
        identity: of the policy, likewise.
        scene: instead of the one that (base, task, episode) name: for the same table under another instruction.
        observer: keeps what the report shows.

    Raises:
        ShapeMismatch, NotFinite, UnknownName: policy and environment do not fit.
    """
    seed = scene_seed(base, task, episode)
    options: dict[str, Any] = {"task": task} if scene is None else {"scene": scene}
    environment.reset(seed=seed, options=options)
    if isinstance(policy, PrivilegedPolicy):
        policy.watch(environment)
    policy.reset(environment.instruction, seed=policy_seed(base, task, episode))
    values: list[float] = []
    handled = ""
    episode_return, steps = 0.0, 0
    terminated = truncated = wrong_object = False
    while not (terminated or truncated):
        decision = policy.act(environment.observation())
        values.append(decision.value)
        for row, action in enumerate(decision.action):
            if observer is not None:
                observer.see(environment, decision, row)
            _, reward, terminated, truncated, facts = environment.step(action)
            episode_return += reward
            steps += 1
            wrong_object = facts["wrong_object"]
            handled = handled or _first_handled(environment)
            if terminated or truncated:
                break
    return EpisodeResult(
        task=task,
        base=base,
        episode=episode,
        seed=seed,
        instruction=environment.instruction,
        success=terminated,
        wrong_object=bool(wrong_object),
        handled=handled,
        steps=steps,
        episode_return=episode_return,
        mean_value=float(np.mean(values)),
        first_value=float(values[0]),
        settings=dict(settings),
        simulator=dict(simulator),
        policy=identity,
    )


def _first_handled(environment: TabletopEnvironment) -> str:
    numbers = handled_objects(environment.world.table_state())
    return environment.scene.objects[numbers[0]].description if numbers else ""


class TraceObserver:
    """Keeps pictures and decisions of one episode; draws with its own renderer, larger than the policy sees."""

    def __init__(self, renderer: SceneRenderer, cameras: tuple[str, ...], policy: Policy) -> None:
        self._renderer = renderer
        self._cameras = cameras
        self._policy = policy
        self._action_names: tuple[str, ...] = ()
        self._frames: list[np.ndarray] = []
        self._decisions: list[tuple[Decision, int]] = []

    def see(self, environment: TabletopEnvironment, decision: Decision, row: int) -> None:
        """Note the state before a step and the decision, of whose chunk `row` is carried out."""
        state = environment.world.state
        self._action_names = environment.settings.action_names
        self._frames.append(np.stack([self._renderer.render(state, camera) for camera in self._cameras]))
        self._decisions.append((decision, row))

    def trace(self, result: EpisodeResult) -> Trace:
        """Return the trace of the episode that ended with `result`."""
        q_values = np.stack([decision.q_values[row] for decision, row in self._decisions])
        unknown = np.full(q_values.shape[1:], np.nan)
        centers = self._policy.bin_centers if isinstance(self._policy, BinnedPolicy) else unknown
        return Trace(
            result=result,
            period_s=1 / CONTROL_HZ,
            cameras=self._cameras,
            frames=np.stack(self._frames),
            action_names=self._action_names,
            bin_centers=np.asarray(centers, dtype=np.float32),
            q_values=q_values,
            probabilities=np.stack([decision.probabilities[row] for decision, row in self._decisions]),
            action_bins=np.stack([decision.action_bins[row] for decision, row in self._decisions]),
            value=np.array([decision.value for decision, _ in self._decisions], np.float32),
        )
