"""`qsft chat`: talk with a language model, play or watch a text game, or tell a simulated robot what to do."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_qsft.cli import interrupts
from vlm_qsft.cli.arguments import CommandParser, one_of, place, positive_integer
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.training.settings import DEVICES

if TYPE_CHECKING:
    from vlm_qsft.dialogue.chat import Chat
    from vlm_qsft.dialogue.page import PageRobot


def build_parser() -> CommandParser:
    """Return the arguments of `qsft chat`."""
    parser = CommandParser(
        "chat",
        description="Talk with a language model; with --task play a text game; with --sim drive the simulated robot. "
        "Without a terminal every line of the input is answered.",
        epilog="/new begins anew, /quit or Ctrl-D ends, Ctrl-C ends an answer.",
    )
    parser.add_argument(
        "model",
        nargs="?",
        help="a text checkpoint to watch playing; a folder of save_pretrained, a .gguf file or a hub name to talk with "
        "(default: the packaged SmolLM2-135M-Instruct)",
    )
    parser.add_argument("--task", help="a language task, such as wordle; with --sim the robot's: pick or near")
    parser.add_argument("--sim", type=place, metavar="CHECKPOINT", help="drive the simulated robot by this checkpoint")
    parser.add_argument("--show-values", action="store_true", help="colour tokens by their Q-values")
    parser.add_argument("--page", action="store_true", help="serve a page for the browser on this machine instead")
    parser.add_argument("--port", type=int, default=0, help="of the page; 0 takes a free one")
    parser.add_argument("--system", metavar="TEXT", help="what stands before the conversation")
    parser.add_argument("--temperature", type=float, default=0.2, help="of a language model; 0 is greedy")
    parser.add_argument("--answer-tokens", type=positive_integer, default=512, help="of the longest answer")
    parser.add_argument("--seed", type=int, default=0, help="of every draw; the first game or scene")
    parser.add_argument("--min-value", type=float, help="with --sim: the arm holds below this value")
    devices = ", ".join(DEVICES)
    parser.add_argument("--device", type=one_of("device", DEVICES), default="cpu", help=f"for the model: {devices}")
    parser.add_argument("--allow-download", action="store_true", help="the hub may be asked for the model")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Talk until the end of the input.

    Raises:
        InvalidSetting: flags that do not go together, or a model that cannot be loaded.
        MissingDependency: the packaged model is not installed.
        UnknownName: no such task.
        CheckpointError: the checkpoint is not whole, or of another robot.
    """
    if arguments.sim is not None:
        with _robot(arguments) as (chat, robot):
            _talk(chat, arguments, robot=robot)
        return
    if arguments.min_value is not None:
        raise InvalidSetting("--min-value belongs to a robot: give its checkpoint with --sim.")
    if arguments.task is not None or _is_checkpoint(arguments.model):
        chat = _game(arguments)
    else:
        chat = _language_model(arguments)
    _talk(chat, arguments, robot=None)


def _talk(chat: Chat, arguments: argparse.Namespace, *, robot: PageRobot | None) -> None:
    if arguments.page:
        from vlm_qsft.dialogue.page import ChatServer

        with ChatServer(chat, robot=robot, show_values=arguments.show_values, port=arguments.port) as server:
            print(f"Open\n  {server.address}\nCtrl-C ends.", flush=True)
            try:
                server.serve_until_over()
            except interrupts.Terminated:
                raise
            except KeyboardInterrupt:
                print()
        return
    from vlm_qsft.cli.chat_terminal import ask_stream, ask_terminal, converse

    if sys.stdin.isatty() and sys.stdout.isatty():
        import readline  # noqa: F401 (line editing and history for input())

        ask = ask_terminal
    else:
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")
        ask = partial(ask_stream, sys.stdin)
    converse(chat, ask=ask, output=sys.stdout, show_values=arguments.show_values)


def _language_model(arguments: argparse.Namespace) -> Chat:
    if arguments.show_values:
        raise InvalidSetting("A plain language model has no Q-values: --show-values needs a checkpoint of Q-SFT.")
    from vlm_qsft.dialogue import ChatRenderer
    from vlm_qsft.dialogue.chat import ModelChat
    from vlm_qsft.model.language_model import load_language_model
    from vlm_qsft.model.language_model_tokens import LanguageModelTokens
    from vlm_qsft.training.device import resolve_device, set_threads

    set_threads()
    device = resolve_device(arguments.device)
    if sys.stdout.isatty():
        print("Loading ...", flush=True)
    language_model = load_language_model(arguments.model, allow_download=arguments.allow_download, device=device)
    return ModelChat(
        LanguageModelTokens(language_model.model, temperature=arguments.temperature, seed=arguments.seed),
        ChatRenderer(language_model.tokenizer),
        name=language_model.name,
        context_tokens=language_model.context_length,
        answer_tokens=arguments.answer_tokens,
        system=arguments.system,
    )


def _game(arguments: argparse.Namespace) -> Chat:
    """Return the game that is asked for, or that a checkpoint of a text policy was trained to play."""
    from vlm_qsft.dialogue.chat import GameChat

    if arguments.model is None:
        if arguments.show_values:
            raise InvalidSetting("Who plays alone has no Q-values: give the checkpoint of a policy to watch.")
        return GameChat(arguments.task, first_game=arguments.seed)
    from vlm_qsft.dialogue.chat.game_chat import LONGEST_ACTION, Player
    from vlm_qsft.dialogue.chat.policy_tokens import PolicyTokens
    from vlm_qsft.dialogue.checkpoint import load_text_checkpoint
    from vlm_qsft.policy.loading import chosen_settings
    from vlm_qsft.training.device import set_threads

    set_threads()
    folder = Path(arguments.model).expanduser()
    checkpoint = load_text_checkpoint(folder, "cpu")
    text_format = checkpoint.text_format
    if arguments.task not in (None, text_format.task):
        raise InvalidSetting(f"{folder} was trained to play '{text_format.task}', not '{arguments.task}'.")
    if arguments.show_values and (checkpoint.behavior is None or checkpoint.q_model is None):
        raise InvalidSetting(f"{folder} has no Q-values: --show-values needs a checkpoint of the Q phase.")
    source = PolicyTokens(
        checkpoint,
        chosen_settings(folder),
        longest=LONGEST_ACTION,
        seed=arguments.seed,
        explain=arguments.show_values or arguments.page,
    )
    player = Player(source, text_format.renderer, folder.name)
    return GameChat(text_format.task, first_game=arguments.seed, player=player)


def _is_checkpoint(model: str | None) -> bool:
    from vlm_qsft.model.manifest import MANIFEST_NAME  # comes with the readers of data sets, which help does not need

    return model is not None and (Path(model).expanduser() / MANIFEST_NAME).is_file()


@contextmanager
def _robot(arguments: argparse.Namespace) -> Iterator[tuple[Chat, PageRobot]]:
    """Drive the simulated table in a thread of its own while it is talked with."""
    for flag, value in (("the model", arguments.model), ("--system", arguments.system)):
        if value is not None:
            raise InvalidSetting(f"--sim drives by its checkpoint; {flag} does not belong to it.")
    if arguments.show_values:
        raise InvalidSetting("--show-values colours texts. Ask the robot 'how sure are you?', or see them with --page.")
    from vlm_qsft.cli.simulated_operation import operated_table
    from vlm_qsft.dialogue.chat import RobotChat

    with operated_table(
        Path(arguments.sim),
        task=arguments.task or "pick",
        scene=arguments.seed,
        min_value=arguments.min_value,
        device=arguments.device,
    ) as (table, book):
        yield RobotChat(table, book, new_scene=table.new_scene), table
