"""`qsft train` on logged conversations: what a language task needs where the flags say nothing else."""

from __future__ import annotations

import argparse
from pathlib import Path

from vlm_qsft.cli.policy_loading import store_choice
from vlm_qsft.cli.progress import NamedProgress
from vlm_qsft.cli.settings_flags import flag_name, with_flags
from vlm_qsft.dialogue.phases import task_of, train_text_behavior, train_text_q
from vlm_qsft.dialogue.recipes import recipe
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.model.text_settings import TextModelSettings

SMALL_TEXT_MODEL_FLAGS = ("width", "layers", "head_width", "rope_theta", "learned_positions")
TEXT_MODEL_FLAGS = (*SMALL_TEXT_MODEL_FLAGS, "lora_rank")
ROBOT_FLAGS = ("augmentation", "colour_jitter", "n_bins", "strategy", "chunk", "family", "channels", "preset")


def run_text(arguments: argparse.Namespace, train_flags: tuple[str, ...]) -> Path:
    """Train one phase on logged conversations and return the checkpoint folder.

    Args:
        train_flags: names of the flags that are fields of `TrainSettings`.

    Raises:
        InvalidSetting: a flag that belongs to robots, or logs of a task that nothing names.
        UnknownName: a task without a recipe.
        DatasetError, CheckpointError: the logs or the behavior policy cannot be read.
    """
    given = [name for name in ROBOT_FLAGS if hasattr(arguments, name)]
    given += [name for name in ("gripper", "limits") if getattr(arguments, name)]
    if given:
        raise InvalidSetting(f"{flag_name(given[0])} belongs to robots; {arguments.data} holds conversations.")
    task = task_of(arguments.data, getattr(arguments, "task", None))
    of_task, progress = recipe(task), NamedProgress()
    text_flags = tuple(name for name in train_flags if name not in ROBOT_FLAGS)
    phase = of_task.q if arguments.phase == "q" else of_task.behavior
    settings = with_flags(phase, arguments, text_flags)
    print(f"Training the {arguments.phase} phase on {task} for {settings.steps} steps.", flush=True)
    copies = getattr(arguments, "augmented_copies", of_task.augmented_copies)
    if arguments.phase == "q":
        policy = train_text_q(
            arguments.data,
            arguments.behavior,
            settings,
            arguments.out,
            augmented_copies=copies,
            progress=progress,
        )
        if settings.method == of_task.q.method:
            store_choice(policy, of_task.policy)
        return policy
    own = TextModelSettings(source=arguments.source, allow_download=arguments.allow_download)
    of_small = [name for name in SMALL_TEXT_MODEL_FLAGS if hasattr(arguments, name)]
    if arguments.source is not None and of_small:
        raise InvalidSetting(f"{flag_name(of_small[0])} belongs to the small model, not to --source.")
    model = with_flags(of_task.model if arguments.source is None else own, arguments, TEXT_MODEL_FLAGS)
    return train_text_behavior(
        arguments.data,
        model,
        settings,
        arguments.out,
        task=task,
        weights="successes" if arguments.successes_only else "all",
        observed_weight=getattr(arguments, "observed_weight", of_task.observed_weight),
        augmented_copies=copies,
        progress=progress,
    )
