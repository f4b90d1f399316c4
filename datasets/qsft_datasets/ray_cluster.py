"""The same shards on a Ray cluster: one actor per core stages episodes into a folder that every machine sees."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from vlm_qsft.data.staging import FOLDER
from vlm_qsft.errors import InvalidSetting, MissingDependency, QsftError, StorageError, WorkerLost

ITEMS_AHEAD = 2
"""Episodes per actor that are under way: the next one is there when one is complete."""
TRIES = 3
"""How often an episode is begun when machines are lost; staging it twice gives the same bytes."""


def run_on_ray(
    task: Callable[[Any], Any], items: Sequence[Any], *, note: Callable[[Any], None], address: str, workers: int | None
) -> None:
    """Call `task` on every item on a Ray cluster and hand each result to `note`, in this process, as it comes.

    Source and data set must be reachable under the same paths on every machine of the cluster.

    Args:
        address: of the cluster, as `ray.init` takes it: "auto", "10.0.0.1:6379", "ray://10.0.0.1:10001".
        workers: actors; None is one per core of the cluster.
    Raises:
        MissingDependency: ray is not installed.
        InvalidSetting: no cluster at this address.
        StorageError: a machine does not see the folder of the data set.
        WorkerLost: machines were lost again and again.
        QsftError: whatever the task raises; the work that has not begun is dropped.
    """
    if not items:
        return
    ray = _connected(address)
    try:
        n_actors = min(workers or max(1, int(ray.cluster_resources().get("CPU", 1))), len(items))
        actor_class = ray.remote(num_cpus=1, max_restarts=TRIES, max_task_retries=TRIES)(StagingActor)
        shared = ray.put(task)
        actors = [actor_class.remote(shared) for _ in range(n_actors)]
        waiting = iter(items)
        under_way: dict[Any, Any] = {}
        for _ in range(ITEMS_AHEAD):
            for actor in actors:
                _begin(actor, waiting, under_way)
        while under_way:
            finished, _ = ray.wait(list(under_way), num_returns=1)
            actor = under_way.pop(finished[0])
            result = ray.get(finished[0])
            if isinstance(result, QsftError):
                raise result
            note(result)
            _begin(actor, waiting, under_way)
    except ray.exceptions.RayActorError as error:
        raise WorkerLost(
            "Machines of the Ray cluster were lost again and again. What is complete is kept: run the command again."
        ) from error
    finally:
        ray.shutdown()


class StagingActor:
    """Calls the task in one process of the cluster; keeps what it has opened between two items."""

    def __init__(self, task: Callable[[Any], Any]) -> None:
        self._task = task

    def call(self, item: Any) -> Any:
        """Return the task's result, or its error: Ray would wrap a raised one into its own."""
        root = getattr(self._task, "root", None)
        if root is not None and not (root / FOLDER / "plan.json").exists():
            import socket

            return StorageError(
                f"{root} is not there on machine {socket.gethostname()}: a Ray cluster needs a folder that all of its "
                "machines see under the same path."
            )
        try:
            return self._task(item)
        except QsftError as error:
            return error


def _begin(actor: Any, waiting: Any, under_way: dict[Any, Any]) -> None:
    item = next(waiting, None)
    if item is not None:
        under_way[actor.call.remote(item)] = actor


def _connected(address: str) -> Any:
    try:
        import ray  # type: ignore[import-not-found]
    except ModuleNotFoundError as error:
        raise MissingDependency("--ray needs the package ray: pip install 'vlm-qsft[ray]'.") from error
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise InvalidSetting(
            f"There is no Ray cluster at '{address}' ({str(error).splitlines()[0][:200]}). Start one with `ray start`."
        ) from error
    return ray
