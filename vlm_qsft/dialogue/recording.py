"""Recording: the logged players of a language task into logs on disk, in several processes, resumable."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from vlm_qsft.data.folder_lock import FolderLock, contents
from vlm_qsft.data.storage import storage_errors, write_durably
from vlm_qsft.dialogue.conversation import Conversation
from vlm_qsft.dialogue.logs import FOLDER, PART, RECORDING_NAME, part_path, read_conversations, write_part
from vlm_qsft.dialogue.tasks import (
    RECORDING,
    LogStatistics,
    game_generator,
    language_task,
    log_statistics,
    play,
)
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.processes import Progress, run_in_order
from vlm_qsft.settings_record import refuse_other_settings

PLAN_NAME = "plan.json"


@dataclass(frozen=True)
class DialogueRecordingSettings:
    """What is recorded; equal settings give equal bytes, in any number of processes.

    Attributes:
        task: name of the language task.
        episodes: conversations.
        seed: another one gives other conversations.
    """

    task: str
    episodes: int
    seed: int = 0

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            UnknownName: no such task.
            InvalidSetting: no episode, or a negative seed.
        """
        language_task(self.task)
        if self.episodes < 1 or self.seed < 0:
            raise InvalidSetting(
                f"episodes is {self.episodes}, seed {self.seed}: expected at least one episode, a seed that is not "
                "negative."
            )


def record_dialogue(
    root: Path, settings: DialogueRecordingSettings, *, workers: int = 1, progress: Progress | None = None
) -> LogStatistics:
    """Record conversations and return what they look like.

    Killed at any moment and called again it continues, with the same result.

    Args:
        root: folder of the logs.
        workers: processes.
        progress: called with (conversations complete, conversations in all).

    Raises:
        InvalidSetting: the folder was begun with other settings, or holds something else.
        InUse: another process writes it.
        StorageError: disk full; complete parts are kept.
    """
    with FolderLock(root):
        _agree_on_plan(root, settings)
        n_parts = -(-settings.episodes // PART)
        waiting = [part for part in range(n_parts) if not part_path(root, part).is_file()]
        recorded = run_in_order(partial(partial, record_part, root, settings), waiting, workers=workers)
        for complete, _ in enumerate(recorded, start=n_parts - len(waiting) + 1):
            if progress is not None:
                progress(min(complete * PART, settings.episodes), settings.episodes)
        record = root / RECORDING_NAME
        if record.is_file():
            return LogStatistics(**json.loads(record.read_text(encoding="utf-8"))["statistics"])
        parts = [read_conversations(part_path(root, part)) for part in range(n_parts)]
        statistics = log_statistics(list(chain.from_iterable(parts)))
        write_durably(
            record, json.dumps({"settings": asdict(settings), "statistics": asdict(statistics)}, indent=2).encode()
        )
        return statistics


def record_part(root: Path, settings: DialogueRecordingSettings, part: int) -> None:
    """Play and write one part; depends on its arguments alone."""
    games = range(part * PART, min((part + 1) * PART, settings.episodes))
    write_part(root, part, [record_conversation(settings, game) for game in games])


def record_conversation(settings: DialogueRecordingSettings, game: int) -> Conversation:
    """Return one logged conversation; game i stays the same when more are asked for."""
    task = language_task(settings.task)
    generator = game_generator(task.name, RECORDING, game, seed=settings.seed)
    return play(task, lambda _: task.logged_action(), generator, attributes={"game": game})


def _agree_on_plan(root: Path, settings: DialogueRecordingSettings) -> None:
    plan = root / PLAN_NAME
    if plan.is_file():
        refuse_other_settings(root, begun=json.loads(plan.read_text(encoding="utf-8")), asked=asdict(settings))
        return
    if contents(root):
        raise InvalidSetting(f"{root} holds something else. Write to another folder.")
    with storage_errors(root):
        (root / FOLDER).mkdir(exist_ok=True)
    write_durably(plan, json.dumps(asdict(settings)).encode())
