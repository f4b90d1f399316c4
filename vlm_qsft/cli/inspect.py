"""`qsft inspect tokens | episode | checkpoint`: what is in a folder, with physical values."""

from __future__ import annotations

import argparse
from pathlib import Path

from vlm_qsft.cli.arguments import CommandParser, one_of
from vlm_qsft.errors import InvalidSetting

SUBJECTS = ("tokens", "episode", "checkpoint")


def build_parser() -> CommandParser:
    """Return the arguments of `qsft inspect`."""
    parser = CommandParser(
        "inspect",
        description="Show action tokens and bins, one episode of a data set, or a checkpoint.",
        epilog="qsft inspect tokens CHECKPOINT | tokens DATA [EPISODE] | episode DATA EPISODE | checkpoint CHECKPOINT",
    )
    parser.add_argument("subject", type=one_of("subject", SUBJECTS), metavar="{tokens,episode,checkpoint}")
    parser.add_argument("folder", type=Path, help="a data set or a checkpoint")
    parser.add_argument("episode", type=int, nargs="?", default=0, help="number of the episode, from 0")
    parser.add_argument("--data", type=Path, help="data set whose frames are shown with a checkpoint's tokens")
    parser.add_argument("--frames", type=int, default=5, help="frames shown by `tokens`")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Print what was asked for.

    Raises:
        DatasetError, CheckpointError: the folder cannot be read.
        InvalidSetting: there is no such episode.
    """
    folder: Path = arguments.folder
    if arguments.subject == "checkpoint":
        from vlm_qsft.cli.inspect_checkpoint import describe_checkpoint

        print(describe_checkpoint(folder))
    elif arguments.subject == "episode":
        from vlm_qsft.cli.inspect_episode import describe_episode

        print(describe_episode(folder, arguments.episode))
    else:
        from vlm_qsft.cli.inspect_tokens import describe_tokens

        if arguments.frames < 1:
            raise InvalidSetting(f"--frames must be at least 1; got {arguments.frames}.")
        print(describe_tokens(folder, data=arguments.data, episode=arguments.episode, frames=arguments.frames))
