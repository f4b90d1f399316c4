"""The arguments of commands that ask a policy server."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vlm_qsft.cli.arguments import CommandParser, one_of, place
from vlm_qsft.errors import InvalidSetting

if TYPE_CHECKING:
    from vlm_qsft.remote import RemoteSettings

NEEDS_SERVER = ("token_file", "tls_ca", "pictures", "server_timeout")


def add_remote_flags(parser: CommandParser) -> None:
    """Add --policy-server and what belongs to it."""
    parser.add_argument("--policy-server", metavar="HOST:PORT", help="ask a `qsft serve` instead of a checkpoint")
    parser.add_argument("--token-file", type=place, help="with --policy-server: file with its token")
    parser.add_argument("--tls-ca", type=place, help="with --policy-server: PEM file of the certificates to trust")
    parser.add_argument(
        "--without-tls", action="store_true", help="with --policy-server: allow a network that others can listen to"
    )
    encodings = one_of("picture encoding", ("raw", "jpeg"))
    parser.add_argument("--pictures", type=encodings, help="with --policy-server: raw (default) or jpeg, on the wire")
    parser.add_argument(
        "--server-timeout",
        type=float,
        metavar="S",
        help="with --policy-server: longest wait for an answer (default 30)",
    )


def remote_settings(arguments: argparse.Namespace) -> RemoteSettings | None:
    """Return how to ask the server; None where none is named.

    Raises:
        InvalidSetting, UnknownName: a part is missing, or has no meaning without a server.
    """
    if arguments.policy_server is None:
        given = [name for name in NEEDS_SERVER if getattr(arguments, name) is not None]
        if given or arguments.without_tls:
            flag = (given or ["without_tls"])[0].replace("_", "-")
            raise InvalidSetting(f"--{flag} has a meaning with --policy-server only.")
        return None
    if arguments.token_file is None:
        raise InvalidSetting("--policy-server needs --token-file: a file with the server's token.")
    from vlm_qsft.remote import RemoteSettings, ServerAddress  # loads NumPy and OpenCV: not for --help

    return RemoteSettings(
        ServerAddress.parse(arguments.policy_server),
        arguments.token_file,
        tls_ca=arguments.tls_ca,
        without_tls=arguments.without_tls,
        pictures=arguments.pictures or "raw",
        timeout_s=30.0 if arguments.server_timeout is None else arguments.server_timeout,
    )
