"""Entry point of `qsft`: finds the sub-command, runs it, and turns what the user can mend into one line on stderr.

Only the chosen sub-command is imported, and it imports torch only when it works: `--help` answers at once.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence

from vlm_qsft import __version__
from vlm_qsft.cli import interrupts
from vlm_qsft.errors import QsftError, UnknownName

COMMANDS = {
    "demo": "record, train, evaluate and report: the whole way on the simulated tabletop",
    "record": "record demonstrations of mixed quality in simulation",
    "convert": "robot logs (RLDS, LeRobot, HDF5, ROS 2 bags) into the canonical data set, and back to RLDS",
    "label": "label a data set: outcomes, rewards, returns, counterfactual negatives",
    "validate": "check a data set before training: errors, warnings, a report with pictures",
    "train": "train a behavior policy, or the likelihood model of Q-SFT on top of one",
    "evaluate": "evaluate a checkpoint in simulation on seeded scenes",
    "serve": "answer robots without a GPU over the network",
    "chat": "talk with a language model, play a text game, tell the simulated robot what to do",
    "inspect": "show robot logs and propose their mapping; or tokens, an episode, a checkpoint",
    "bench": "measure the reader, a training step, a decision or a conversion",
    "ros": "check a robot's topics against its configuration and a checkpoint",
    "doctor": "say what this machine has and what is missing",
}

SUCCESS, USER_ERROR = 0, 2
BY_SIGNAL = 128
"""Plus the number of the signal: the status of what a signal ended, as shells count."""

# What an operating system says when nothing can be written, and what its user can do.
_STORAGE_REMEDIES = {
    errno.ENOSPC: "The disk is full. Free some space and run the same command again: it continues where it stopped",
    errno.EDQUOT: "The disk quota is used up. Free some space and run the same command again: it continues",
    errno.EFBIG: "The file may not grow any more (ulimit -f). Raise the limit and run the same command again",
    errno.EROFS: "The file system is read-only. Choose another folder with --out",
    errno.EACCES: "Permission denied. Choose another folder, or change its permissions",
    errno.EPERM: "Not permitted. Choose another folder, or change its permissions",
    errno.EEXIST: "A file stands where a folder is needed. Choose another folder",
    errno.ENOTDIR: "A file stands where a folder is needed. Choose another folder",
    errno.EISDIR: "A folder stands where a file is needed. Choose another name",
    errno.ENAMETOOLONG: "The name is too long. Choose a shorter one",
    errno.EMFILE: "Too many files are open (ulimit -n). Raise the limit or use fewer --workers",
    errno.EAGAIN: "No further process can be started (ulimit -u). Raise the limit or use fewer --workers",
}
_OUT_OF_MEMORY = (
    "Out of memory. What was complete is kept: run the same command again with fewer --workers, smaller pictures or, "
    "where it trains, a larger --accumulation, which changes no result."
)


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
    _prepare_process()
    try:
        status = _run(words)
        sys.stdout.flush()
    except QsftError as problem:
        return _one_line(str(problem))
    except KeyboardInterrupt as problem:
        interrupts.heard()
        _one_line("Interrupted. What was complete is kept: the same command continues.")
        return BY_SIGNAL + (signal.SIGTERM if isinstance(problem, interrupts.Terminated) else signal.SIGINT)
    except BrokenPipeError:
        # The reader of our output (`head`, a pager) has left: nothing more can be printed, and what was asked for may
        # not be complete. That is no success, and no error that needs a word.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BY_SIGNAL + signal.SIGPIPE
    except ModuleNotFoundError as problem:
        from vlm_qsft.cli.doctor import OPTIONAL

        if problem.name not in OPTIONAL:
            raise
        return _one_line(f"This needs the package {problem.name}: pip install 'vlm-qsft[{OPTIONAL[problem.name]}]'.")
    except MemoryError:
        return _one_line(_OUT_OF_MEMORY)
    except RuntimeError as problem:
        # torch has an exception of its own for GPUs and none for the CPU; it is not imported here.
        if type(problem).__name__ != "OutOfMemoryError" and "can't allocate memory" not in str(problem):
            raise
        return _one_line(_OUT_OF_MEMORY)
    except OSError as problem:
        if problem.errno not in _STORAGE_REMEDIES:
            raise
        place = f" ({problem.filename})" if problem.filename else ""
        return _one_line(f"{_STORAGE_REMEDIES[problem.errno]}{place}.")
    return status


def _prepare_process() -> None:
    """Set what holds for every command: streams that can be written, warnings in one line, SIGTERM like Ctrl-C."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # Closed by whoever started us: the next file opened would take its number and receive what is printed.
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 (open until the end)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # an instruction may hold what the terminal cannot show
    threading.excepthook = _thread_problem
    warnings.formatwarning = lambda message, *_, **__: f"Warning: {' '.join(str(message).split())}\n"
    interrupts.listen()


def _thread_problem(problem: threading.ExceptHookArgs) -> None:
    # The thread that writes TensorBoard's files hands a full disk to the main thread, which says it in one line.
    if not (isinstance(problem.exc_value, OSError) and problem.exc_value.errno in _STORAGE_REMEDIES):
        threading.__excepthook__(problem)


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
