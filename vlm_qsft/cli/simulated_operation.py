"""The simulated table, driven by a checkpoint in a thread of its own while an operator talks with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from qsft_sim.environment import EnvironmentSettings, TabletopEnvironment
from qsft_sim.operated_table import OperatedTable
from qsft_sim.tasks import task_named
from vlm_qsft.dialogue.operator import InstructionBook
from vlm_qsft.model import load_checkpoint
from vlm_qsft.policy import QPolicy
from vlm_qsft.policy.loading import chosen_settings
from vlm_qsft.training.device import resolve_device, set_threads


@contextmanager
def operated_table(
    checkpoint: Path, *, task: str, scene: int, min_value: float | None, device: str
) -> Iterator[tuple[OperatedTable, InstructionBook]]:
    """Give the table and what its policy was trained to do; at the end the arm holds and time stops.

    Args:
        checkpoint: folder of a policy of the simulator's own data.
        task: of which scenes are drawn.
        scene: number of the first one, among the scenes of evaluation.
        min_value: a decision of lower value makes the arm hold.
        device: for the policy.

    Raises:
        CheckpointError: no whole checkpoint.
        InvalidSetting: of another robot, or it does not say what it was trained to do.
        UnknownName: no such task.
    """
    task_named(task)
    set_threads()
    loaded = load_checkpoint(checkpoint, "cpu")
    book = InstructionBook.of(loaded.metadata.get("instructions", ()))
    settings = chosen_settings(checkpoint)
    where = resolve_device(device)
    policy, foresee = (QPolicy(loaded, settings, where, explain=True) for _ in range(2))
    environment = TabletopEnvironment(EnvironmentSettings.of_robot(loaded.schema, cameras=loaded.spec.cameras))
    table = OperatedTable(
        environment,
        policy,
        task=task,
        scene=scene,
        chunk=loaded.action_tokenizer.chunk,
        min_value=min_value,
        foresee=foresee if loaded.q_model is not None else None,
    )
    over = Event()
    driving = Thread(target=table.drive, args=(over,), name="control loop")
    driving.start()
    try:
        yield table, book
    finally:
        table.hold("The conversation has ended.")
        over.set()
        driving.join()
        environment.close()
