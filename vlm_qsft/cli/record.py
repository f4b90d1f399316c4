"""`qsft record`: logs of mixed quality, robot demonstrations in simulation or games of a language task."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from vlm_qsft.cli.arguments import CommandParser, one_of, place, positive_integer, quality_shares
from vlm_qsft.cli.preset_settings import GAMMA
from vlm_qsft.cli.progress import ProgressLine
from vlm_qsft.errors import InvalidSetting, UnknownName
from vlm_qsft.presets import PRESETS, DemoPreset, preset_named
from vlm_qsft.processes import usable_cores


def build_parser() -> CommandParser:
    """Return the arguments of `qsft record`."""
    parser = CommandParser(
        "record",
        description="Record scripted logs of mixed quality. Interrupted, the same command continues.",
        epilog="Language tasks are recorded too, for example `qsft record --task wordle --episodes 20000 --out logs`.",
    )
    parser.add_argument("--out", type=place, required=True, help="folder of the data set")
    parser.add_argument("--preset", type=one_of("preset", PRESETS), default="demo", help=f"one of {', '.join(PRESETS)}")
    parser.add_argument("--task", default=argparse.SUPPRESS, help="robot or language task, instead of the preset's")
    parser.add_argument("--episodes", type=positive_integer, default=argparse.SUPPRESS, help="instead of the preset's")
    parser.add_argument(
        "--qualities",
        dest="quality_shares",
        type=quality_shares,
        default=argparse.SUPPRESS,
        metavar="NAME=SHARE,...",
        help="demonstrators and their shares, for example expert=0.2,noisy=0.8, instead of the preset's",
    )
    parser.add_argument(
        "--image-size", type=positive_integer, default=argparse.SUPPRESS, help="pixels, instead of the preset's"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the mixture and of every scene")
    parser.add_argument("--workers", type=positive_integer, help="processes (default: one per usable core)")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Record the data set.

    Raises:
        UnknownName: a task or a quality that does not exist.
        DatasetError: the folder holds something else.
    """
    from qsft_sim.tasks import TASKS
    from vlm_qsft.dialogue.tasks import LANGUAGE_TASKS

    task = getattr(arguments, "task", None)
    if task in LANGUAGE_TASKS:
        record_games(arguments)
        print(f"Wrote {arguments.out}")
        return
    if task is not None and task not in TASKS:
        raise UnknownName("task", task, [*TASKS, *LANGUAGE_TASKS])
    given = {
        name: getattr(arguments, name)
        for name in ("task", "episodes", "quality_shares", "image_size")
        if hasattr(arguments, name)
    }
    if "quality_shares" in given:
        given["quality_shares"] = tuple(given["quality_shares"].items())
    preset = preset_named(arguments.preset)
    preset = replace(preset, seed=arguments.seed, recording=replace(preset.recording, **given))
    record_data(preset, arguments.out, workers=arguments.workers)
    print(f"Wrote {arguments.out}")


def record_games(arguments: argparse.Namespace) -> None:
    """Record the logs of a language task, showing progress; continues where it was interrupted.

    Raises:
        InvalidSetting: a flag that belongs to robots, no number of episodes, or a folder begun with other settings.
    """
    from vlm_qsft.dialogue.recording import DialogueRecordingSettings, record_dialogue

    for name, flag in (("quality_shares", "qualities"), ("image_size", "image-size")):
        if hasattr(arguments, name):
            raise InvalidSetting(f"--{flag} belongs to robot tasks; '{arguments.task}' is a language task.")
    if not hasattr(arguments, "episodes"):
        raise InvalidSetting(f"The language task '{arguments.task}' needs --episodes: no preset says how many.")
    settings = DialogueRecordingSettings(arguments.task, arguments.episodes, arguments.seed)
    print(f"Recording {settings.episodes} episodes of task {settings.task} to {arguments.out}", flush=True)
    workers = arguments.workers or usable_cores()
    logs = record_dialogue(arguments.out, settings, workers=workers, progress=ProgressLine("episodes"))
    print(f"Mean return {logs.mean_return:.2f}, success {logs.success_rate:.1%}, {logs.mean_turns:.1f} turns")


def record_data(preset: DemoPreset, root: Path, *, workers: int | None = None) -> None:
    """Record the data set of a preset, showing progress; continues where it was interrupted.

    Args:
        preset: what is recorded, and its seed.
        root: folder of the data set.
        workers: processes; None is one per usable core.

    Raises:
        UnknownName: a task or a quality that does not exist.
        DatasetError: the folder was begun with other settings.
    """
    from qsft_sim.recording import RecordingSettings, record

    recording = preset.recording
    settings = RecordingSettings(
        episodes=recording.episodes,
        mixture=dict(recording.quality_shares),
        tasks=(recording.task,),
        seed=preset.seed,
        gamma=GAMMA,
        image_size=(recording.image_size, recording.image_size),
    )
    shares = ", ".join(f"{share:.0%} {quality}" for quality, share in recording.quality_shares)
    print(f"Recording {recording.episodes} episodes of task {recording.task} ({shares}) to {root}", flush=True)
    record(root, settings, workers=workers or usable_cores(), progress=ProgressLine("episodes"))
