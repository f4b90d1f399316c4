"""`qsft serve`: a checkpoint answers robots over the network."""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path

from vlm_qsft.cli.arguments import CommandParser, one_of, place, positive_integer
from vlm_qsft.cli.evaluate import add_policy_flags
from vlm_qsft.cli.settings_flags import POLICY_FLAGS, with_flags
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.training.settings import DEVICES


def build_parser() -> CommandParser:
    """Return the arguments of `qsft serve`."""
    parser = CommandParser(
        "serve",
        description="Answer robots that have no GPU, until Ctrl-C. See vlm_qsft/remote/README.md.",
    )
    parser.add_argument("checkpoint", type=place, help="checkpoint folder, for example runs/demo/q/policy")
    parser.add_argument("--token-file", type=place, required=True, help="file with the secret that clients share")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for every network")
    parser.add_argument("--port", type=int, help="default: 8471; 0 takes a free one, and says which")
    parser.add_argument("--tls-cert", type=place, help="PEM file with the certificate, and those between it and its CA")
    parser.add_argument("--tls-key", type=place, help="PEM file with the key of the certificate")
    parser.add_argument("--without-tls", action="store_true", help="allow a network that others can listen to")
    parser.add_argument("--max-connections", type=positive_integer, default=16, help="robots at a time")
    parser.add_argument("--max-message-mb", type=float, default=8.0, help="larger messages are refused unread")
    parser.add_argument(
        "--max-batch",
        type=positive_integer,
        default=1,
        help="robots decided in one pass; above 1 decisions differ in their last digits from those of a local policy",
    )
    parser.add_argument(
        "--batch-window", type=float, default=2.0, metavar="MS", help="how long the first of a batch waits for others"
    )
    parser.add_argument("--explain", action="store_true", help="Q-values also where the extraction does not need them")
    devices = ", ".join(DEVICES)
    parser.add_argument("--device", type=one_of("device", DEVICES), default="auto", help=f"for the policy: {devices}")
    add_policy_flags(parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Serve until interrupted.

    Raises:
        CheckpointError: the folder is no whole checkpoint.
        InvalidSetting: a setting outside its range; a token file, certificate or address that cannot be used; an
            address that others can reach, without TLS.
        UnknownName: an extraction that does not exist.
    """
    from vlm_qsft.remote.address import DEFAULT_PORT, ServerAddress, refuse_open_wire
    from vlm_qsft.remote.credentials import read_credentials, server_tls
    from vlm_qsft.remote.server_settings import MEGABYTE, ServerSettings

    # What takes no time to check is checked before networks are loaded.
    address = ServerAddress(arguments.host, DEFAULT_PORT if arguments.port is None else arguments.port)
    credentials = read_credentials(arguments.token_file)
    pair: tuple[Path | None, Path | None] = (arguments.tls_cert, arguments.tls_key)
    if (pair[0] is None) != (pair[1] is None):
        raise InvalidSetting("--tls-cert and --tls-key belong together.")
    tls = None if pair[0] is None or pair[1] is None else server_tls(pair[0], pair[1])
    refuse_open_wire(address, has_tls=tls is not None, is_allowed=arguments.without_tls)
    if not 0 < arguments.max_message_mb <= 1024:
        raise InvalidSetting(f"--max-message-mb is {arguments.max_message_mb:g}; expected more than 0, at most 1024.")
    settings = ServerSettings(
        largest_message=int(arguments.max_message_mb * MEGABYTE),
        max_connections=arguments.max_connections,
        max_batch=arguments.max_batch,
        batch_window_s=arguments.batch_window / 1000,
    )

    from vlm_qsft.model import load_checkpoint
    from vlm_qsft.policy.decider import Decider
    from vlm_qsft.policy.loading import chosen_settings, describe
    from vlm_qsft.remote.description import describe as describe_policy
    from vlm_qsft.remote.server import PolicyServer
    from vlm_qsft.training.device import resolve_device

    extraction = with_flags(chosen_settings(arguments.checkpoint), arguments, POLICY_FLAGS)
    device = resolve_device(arguments.device)
    decider = Decider(load_checkpoint(arguments.checkpoint, device), extraction, device, explain=arguments.explain)
    decider.warm_up()
    with PolicyServer(
        decider,
        describe_policy(decider, largest_message=settings.largest_message),
        address=address,
        credentials=credentials,
        tls=tls,
        settings=settings,
        report=_report,
    ) as server:
        wire = "TLS" if tls is not None else "no TLS"
        _report(f"Serving {arguments.checkpoint} ({describe(extraction)}) on {server.address}, {wire}, device {device}")
        threading.Event().wait()


def _report(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
