"""`qsft inspect SRC`: robot logs of a foreign format; `qsft inspect tokens | episode | checkpoint`: physical values."""

from __future__ import annotations

import argparse
from pathlib import Path

from vlm_qsft.cli.arguments import CommandParser, place, positive_integer
from vlm_qsft.cli.settings_flags import flag_name
from vlm_qsft.errors import InvalidSetting, UnknownName

SUBJECTS = ("tokens", "episode", "checkpoint")
TAKEN_BY = {
    "episode": ("tokens", "episode"),
    "data": ("tokens",),
    "frames": ("tokens",),
    "write_mapping": ("SRC",),
    "out": ("SRC",),
}
"""Argument -> the subjects that look at it; SRC are robot logs."""
FRAMES = 5


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
        "subject",
        type=subject_or_source,
        metavar="SRC|tokens|episode|checkpoint",
        help="robot logs, or what to show of FOLDER",
    )
    parser.add_argument("folder", type=place, nargs="?", help="a data set or a checkpoint")
    parser.add_argument("episode", type=int, nargs="?", help="number of the episode, from 0 (default: 0)")
    parser.add_argument("--data", type=place, help="data set whose frames are shown with a checkpoint's tokens")
    parser.add_argument("--frames", type=positive_integer, help=f"frames shown by `tokens` (default: {FRAMES})")
    parser.add_argument("--write-mapping", type=place, metavar="FILE", help="write the proposed mapping of SRC")
    parser.add_argument("--out", type=place, metavar="FOLDER", help="write sample pictures of SRC as PNG")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Print what was asked for.

    Raises:
        DatasetError, CheckpointError: the folder cannot be read.
        InvalidSetting: there is no such episode, or an argument goes with another subject.
        UnknownName: neither a subject nor a folder.
    """
    folder: Path | None = arguments.folder
    if isinstance(arguments.subject, Path):
        if folder is not None or not arguments.subject.exists():
            raise UnknownName("folder or subject", str(arguments.subject), SUBJECTS)
        check_arguments(arguments, "SRC")
        from vlm_qsft.cli.inspect_source import describe_source

        print(describe_source(arguments.subject, write_mapping=arguments.write_mapping, out=arguments.out))
        return
    if folder is None:
        raise InvalidSetting(f"`qsft inspect {arguments.subject}` needs a folder. See `qsft inspect --help`.")
    check_arguments(arguments, arguments.subject)
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


def subject_or_source(word: str) -> str | Path:
    """Return the subject that a word names, or the path of robot logs."""
    return word if word in SUBJECTS else place(word)


def check_arguments(arguments: argparse.Namespace, subject: str) -> None:
    """Refuse arguments that the subject does not look at.

    Raises:
        InvalidSetting: names the argument.
    """
    for name, subjects in TAKEN_BY.items():
        if subject not in subjects and getattr(arguments, name) is not None:
            shown = name if name == "episode" else flag_name(name)
            raise InvalidSetting(f"`qsft inspect {subject}` takes no {shown}.")
