"""`qsft inspect tokens | episode | checkpoint`: what is in a folder, with physical values."""

from __future__ import annotations

import argparse
from pathlib import Path

from vlm_qsft.cli.arguments import CommandParser, one_of, place, positive_integer
from vlm_qsft.errors import InvalidSetting

SUBJECTS = ("tokens", "episode", "checkpoint")
FRAMES = 5


def build_parser() -> CommandParser:
    """Return the arguments of `qsft inspect`."""
    parser = CommandParser(
        "inspect",
        description="Show action tokens and bins, one episode of a data set, or a checkpoint.",
        epilog="qsft inspect tokens CHECKPOINT | tokens DATA [EPISODE] | episode DATA EPISODE | checkpoint CHECKPOINT",
    )
    parser.add_argument("subject", type=one_of("subject", SUBJECTS), metavar="{tokens,episode,checkpoint}")
    parser.add_argument("folder", type=place, help="a data set or a checkpoint")
    parser.add_argument("episode", type=int, nargs="?", help="number of the episode, from 0 (default: 0)")
    parser.add_argument("--data", type=place, help="data set whose frames are shown with a checkpoint's tokens")
    parser.add_argument("--frames", type=positive_integer, help=f"frames shown by `tokens` (default: {FRAMES})")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Print what was asked for.

    Raises:
        DatasetError, CheckpointError: the folder cannot be read.
        InvalidSetting: there is no such episode, or an argument goes with another subject.
    """
    check_arguments(arguments)
    folder: Path = arguments.folder
    episode = arguments.episode or 0
    if arguments.subject == "checkpoint":
        from vlm_qsft.cli.inspect_checkpoint import describe_checkpoint

        print(describe_checkpoint(folder))
    elif arguments.subject == "episode":
        from vlm_qsft.cli.inspect_episode import describe_episode

        print(describe_episode(folder, episode))
    else:
        from vlm_qsft.cli.inspect_tokens import describe_tokens

        frames = arguments.frames or FRAMES
        print(describe_tokens(folder, data=arguments.data, episode=episode, frames=frames))


def check_arguments(arguments: argparse.Namespace) -> None:
    """Refuse arguments that the subject does not look at.

    Raises:
        InvalidSetting: names the argument.
    """
    foreign = {"tokens": (), "episode": ("data", "frames"), "checkpoint": ("episode", "data", "frames")}
    for name in foreign[arguments.subject]:
        if getattr(arguments, name) is not None:
            shown = "episode" if name == "episode" else f"--{name}"
            raise InvalidSetting(f"`qsft inspect {arguments.subject}` takes no {shown}.")
