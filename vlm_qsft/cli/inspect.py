"""`qsft inspect SRC`: robot logs of a foreign format; `qsft inspect tokens | episode | checkpoint`: physical values."""

from __future__ import annotations

import argparse
from pathlib import Path

from vlm_qsft.cli.arguments import CommandParser
from vlm_qsft.errors import InvalidSetting, UnknownName

SUBJECTS = ("tokens", "episode", "checkpoint")


def build_parser() -> CommandParser:
    """Return the arguments of `qsft inspect`."""
    parser = CommandParser(
        "inspect",
        description="Show robot logs and propose their mapping, or show action tokens and bins, one episode of a data "
        "set, or a checkpoint.",
        epilog="qsft inspect SRC | tokens CHECKPOINT | tokens DATA [EPISODE] | episode DATA EPISODE | "
        "checkpoint CHECKPOINT",
    )
    parser.add_argument(
        "subject", metavar="SRC|tokens|episode|checkpoint", help="robot logs, or what to show of FOLDER"
    )
    parser.add_argument("folder", type=Path, nargs="?", help="a data set or a checkpoint")
    parser.add_argument("episode", type=int, nargs="?", default=0, help="number of the episode, from 0")
    parser.add_argument("--data", type=Path, help="data set whose frames are shown with a checkpoint's tokens")
    parser.add_argument("--frames", type=int, default=5, help="frames shown by `tokens`")
    parser.add_argument("--write-mapping", type=Path, metavar="FILE", help="write the proposed mapping of SRC")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write sample pictures of SRC as PNG")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Print what was asked for.

    Raises:
        DatasetError, CheckpointError: the folder cannot be read.
        InvalidSetting: there is no such episode.
        UnknownName: neither a subject nor a folder.
    """
    folder: Path | None = arguments.folder
    if arguments.subject not in SUBJECTS:
        source = Path(arguments.subject)
        if folder is not None or not source.exists():
            raise UnknownName("folder or subject", arguments.subject, SUBJECTS)
        from vlm_qsft.cli.inspect_source import describe_source

        print(describe_source(source, write_mapping=arguments.write_mapping, out=arguments.out))
        return
    if folder is None:
        raise InvalidSetting(f"`qsft inspect {arguments.subject}` needs a folder. See `qsft inspect --help`.")
    if arguments.write_mapping is not None or arguments.out is not None:
        raise InvalidSetting("--write-mapping and --out belong to `qsft inspect SRC`.")
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
