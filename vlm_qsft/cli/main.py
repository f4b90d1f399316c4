"""Entry point of `qsft`: finds the sub-command, runs it, and turns what the user can mend into one line on stderr.

Only the chosen sub-command is imported, and it imports torch only when it works: `--help` answers at once.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
import warnings
from collections.abc import Sequence

from vlm_qsft import __version__
from vlm_qsft.errors import QsftError, UnknownName

COMMANDS = {
    "demo": "record, train, evaluate and report: the whole way on the simulated tabletop",
    "record": "record demonstrations of mixed quality in simulation",
    "convert": "robot logs (RLDS, LeRobot, HDF5, ROS 2 bags) into the canonical data set, and back to RLDS",
    "label": "label a data set: outcomes, rewards, returns, counterfactual negatives",
    "validate": "check a data set before training: errors, warnings, a report with pictures",
    "train": "train a behavior policy, or the likelihood model of Q-SFT on top of one",
    "evaluate": "evaluate a checkpoint in simulation on seeded scenes",
    "inspect": "show robot logs and propose their mapping; or tokens, an episode, a checkpoint",
    "bench": "measure the reader, a training step, a decision or a conversion",
    "doctor": "say what this machine has and what is missing",
}

SUCCESS, USER_ERROR, INTERRUPTED = 0, 2, 130

# What an operating system says when nothing can be written, and what its user can do.
_STORAGE_REMEDIES = {
    errno.ENOSPC: "The disk is full. Free some space and run the same command again: it continues where it stopped",
    errno.EDQUOT: "The disk quota is used up. Free some space and run the same command again: it continues",
    errno.EROFS: "The file system is read-only. Choose another folder with --out",
    errno.EACCES: "Permission denied. Choose another folder, or change its permissions",
}


def overview() -> str:
    """Return what `qsft --help` prints."""
    rows = "\n".join(f"  {name:<10}{text}" for name, text in COMMANDS.items())
    return (
        f"vlm-qsft {__version__}: from mediocre robot logs to a better policy.\n\n"
        f"usage: qsft COMMAND [--help] ...\n\n{rows}\n\n"
        f"Start with `qsft doctor`, then `qsft demo --preset smoke --out runs/smoke`."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command and return the exit status: 0, 2 for what the user can mend, 130 when interrupted.

    A sub-command may have a status of its own: 1 where `validate` finds errors.

    Any other exception is a defect of this library and keeps its traceback.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    warnings.formatwarning = lambda message, *_, **__: f"Warning: {message}\n"
    # Threads that spin while they wait take the cores from the processes that record and evaluate.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        status = _run(words)
        sys.stdout.flush()
    except QsftError as problem:
        return _one_line(str(problem))
    except KeyboardInterrupt:
        _one_line("Interrupted. What was complete is kept: the same command continues.")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (`head`, a pager) has left: not an error, but nothing more can be printed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SUCCESS
    except OSError as problem:
        if problem.errno not in _STORAGE_REMEDIES:
            raise
        place = f" ({problem.filename})" if problem.filename else ""
        return _one_line(f"{_STORAGE_REMEDIES[problem.errno]}{place}.")
    return status


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return SUCCESS
    if words[0] == "--version":
        print(__version__)
        return SUCCESS
    command = words[0]
    if command not in COMMANDS:
        raise UnknownName("flag" if command.startswith("-") else "command", command, [*COMMANDS, "--help", "--version"])
    module = importlib.import_module(f"vlm_qsft.cli.{command}")
    return module.run(module.build_parser().parse(words[1:])) or SUCCESS


def _one_line(text: str) -> int:
    print(" ".join(text.split()), file=sys.stderr)
    return USER_ERROR


if __name__ == "__main__":
    sys.exit(main())
