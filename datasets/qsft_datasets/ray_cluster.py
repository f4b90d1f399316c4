"""The same shards on a Ray cluster: one actor per core stages episodes into a folder that every machine sees."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vlm_qsft.errors import InvalidSetting, MissingDependency, QsftError, WorkerLost

JOBS_AHEAD = 2
"""Episodes per actor that are under way: the next one is there when one is complete."""
TRIES = 3
"""How often an episode is begun when machines are lost; staging it twice gives the same bytes."""


def run_on_ray[Job, Result](
    make_runner: Callable[[], Callable[[Job], Result]], jobs: Sequence[Job], *, address: str, workers: int | None
) -> Iterator[Result]:
    """Yield the result of every job, done on a Ray cluster, as they come.

    Source and data set must be reachable under the same paths on every machine of the cluster.

    Args:
        make_runner: called once in every actor, at its first job; gives the function that does one.
        address: of the cluster, as `ray.init` takes it: "auto", "10.0.0.1:6379", "ray://10.0.0.1:10001".
        workers: actors; None is one per core of the cluster.
    Raises:
        MissingDependency: ray is not installed.
        InvalidSetting: no cluster at this address.
        WorkerLost: machines were lost again and again.
        QsftError: whatever a runner or its making raises; the jobs that have not begun are dropped.
    """
    if not jobs:
        return
    ray = _connected(address)
    try:
        n_actors = min(workers or max(1, int(ray.cluster_resources().get("CPU", 1))), len(jobs))
        actor_class = ray.remote(num_cpus=1, max_restarts=TRIES, max_task_retries=TRIES)(JobActor)
        shared = ray.put(make_runner)
        actors = [actor_class.remote(shared) for _ in range(n_actors)]
        waiting = iter(jobs)
        under_way: dict[Any, Any] = {}
        for _ in range(JOBS_AHEAD):
            for actor in actors:
                _begin(actor, waiting, under_way)
        while under_way:
            finished, _ = ray.wait(list(under_way), num_returns=1)
            actor = under_way.pop(finished[0])
            result = ray.get(finished[0])
            if isinstance(result, QsftError):
                raise result
            yield result
            _begin(actor, waiting, under_way)
    except ray.exceptions.RayActorError as error:
        raise WorkerLost(
            "Machines of the Ray cluster were lost again and again. What is complete is kept: run the command again."
        ) from error
    finally:
        ray.shutdown()


class JobActor:
    """Does jobs in one process of the cluster; keeps what it has opened between two of them."""

    def __init__(self, make_runner: Callable[[], Callable[[Any], Any]]) -> None:
        self._make_runner = make_runner
        self._run_job: Callable[[Any], Any] | None = None

    def run(self, job: Any) -> Any:
        """Return the result, or the error: Ray would wrap a raised one into its own."""
        try:
            self._run_job = self._run_job or self._make_runner()
            return self._run_job(job)
        except QsftError as error:
            return error


def _begin(actor: Any, waiting: Iterator[Any], under_way: dict[Any, Any]) -> None:
    job = next(waiting, None)
    if job is not None:
        under_way[actor.run.remote(job)] = actor


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
