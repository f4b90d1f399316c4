"""`qsft demo`: from mediocre logs to a better policy, the whole way, in one command that can be killed at any time."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from vlm_qsft.cli.arguments import CommandParser, one_of, place, positive_integer
from vlm_qsft.presets import PRESETS, DemoPreset, preset_named
from vlm_qsft.processes import usable_cores
from vlm_qsft.training.settings import DEVICES


def build_parser() -> CommandParser:
    """Return the arguments of `qsft demo`."""
    presets = "; ".join(f"{name}: {preset.purpose}" for name, preset in PRESETS.items())
    parser = CommandParser(
        "demo",
        description="Record logs of mixed quality, train SFT, SFT on successes and Q-SFT on them, evaluate all three "
        "on the same scenes, and write a report. Interrupted or killed, the same command continues.",
        epilog=f"Presets. {presets}.",
    )
    parser.add_argument("--preset", type=one_of("preset", PRESETS), default="demo", help=f"one of {', '.join(PRESETS)}")
    parser.add_argument("--out", type=place, help="folder of the run (default: runs/PRESET)")
    parser.add_argument(
        "--device",
        type=one_of("device", DEVICES),
        default="auto",
        help=f"where training computes: {', '.join(DEVICES)}",
    )
    parser.add_argument("--workers", type=positive_integer, help="processes (default: one per usable core)")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Run every stage that is not complete yet, then print the table.

    Raises:
        InvalidSetting: the folder holds another run.
        InUse: another process works on this run.
        QsftError: whatever a stage says.
    """
    preset = preset_named(arguments.preset)
    root: Path = arguments.out or Path("runs") / preset.name
    print(announcement(preset, root), flush=True)

    # Heavy imports come after the announcement: on a busy machine they take seconds.
    from vlm_qsft.cli.demo_stages import DemoRun, run_stages
    from vlm_qsft.cli.provenance import provenance
    from vlm_qsft.cli.run_folder import open_run
    from vlm_qsft.cli.summary import results_table
    from vlm_qsft.cli.usage_meter import UsageMeter
    from vlm_qsft.data.folder_lock import FolderLock
    from vlm_qsft.training.device import resolve_device

    resolve_device(arguments.device)  # a GPU that is not there is found before anything is recorded
    settings = {**asdict(preset), "device": arguments.device}
    del settings["name"], settings["purpose"]
    with FolderLock(root):
        folder = open_run(root, preset=preset.name, settings=settings, provenance=provenance())
        workers = arguments.workers or usable_cores()
        with UsageMeter(folder.usage) as meter:
            demo = DemoRun(folder, preset, workers=workers, device=arguments.device, meter=meter)
            run_stages(demo.stages(), folder, meter)
    print()
    print(results_table(folder))
    print()
    print(f"Wrote {folder.summary}")
    print(f"Wrote {folder.report} (open it in a browser)")


def announcement(preset: DemoPreset, root: Path) -> str:
    """Return what is about to happen."""
    recording, evaluation = preset.recording, preset.evaluation
    return (
        f"qsft demo, preset {preset.name}: {recording.episodes} '{recording.task}' episodes of mixed quality, "
        f"three policies trained on them, {evaluation.episodes} paired episodes each. Everything goes to {root}."
    )
