"""HOST:PORT of a policy server, and whether it can be reached from this machine alone."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from vlm_qsft.errors import InvalidSetting

DEFAULT_PORT = 8471
LARGEST_PORT = 65_535


@dataclass(frozen=True)
class ServerAddress:
    """Where a policy server listens.

    Attributes:
        host: name, IPv4 or IPv6 address.
        port: 1 to 65535; 0 lets the server take a free one.
    """

    host: str
    port: int = DEFAULT_PORT

    def __post_init__(self) -> None:
        """Raises InvalidSetting: no host, or no port."""
        if not self.host or self.host != self.host.strip():
            raise InvalidSetting("A policy server's address needs a host: HOST:PORT.")
        if not 0 <= self.port <= LARGEST_PORT:
            raise InvalidSetting(f"The port is {self.port}; expected 0 to {LARGEST_PORT}.")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @classmethod
    def parse(cls, text: str) -> ServerAddress:
        """Return the address in `HOST:PORT`, `HOST` or `[IPV6]:PORT`. Raises InvalidSetting."""
        if text.startswith("["):
            host, bracket, rest = text[1:].partition("]")
            colon, port = (":", rest[1:]) if rest.startswith(":") else (rest, "")
            if not bracket or colon not in (":", ""):
                raise InvalidSetting(f"'{text}' is no address of a policy server; expected [IPV6]:PORT.")
        else:
            host, colon, port = text.partition(":")
        if colon and not (port.isascii() and port.isdecimal() and len(port) <= len(str(LARGEST_PORT))):
            raise InvalidSetting(f"'{text}' is no address of a policy server; expected HOST:PORT.")
        return cls(host, int(port) if colon else DEFAULT_PORT)


def refuse_open_wire(address: ServerAddress, *, has_tls: bool, is_allowed: bool) -> None:
    """Refuse to carry pictures and proofs of the token over a network that others can read and change.

    Raises:
        InvalidSetting: not this machine alone, no TLS, and nobody said that this is meant.
    """
    if not (address.is_loopback or has_tls or is_allowed):
        raise InvalidSetting(
            f"{address} is reached over a network, and without TLS whoever is on it can read the pictures, copy the "
            "proof of the token, and change what the robot is told to do. Use a certificate (--tls-cert and --tls-key "
            "at the server, --tls-ca at the client), a tunnel to 127.0.0.1, or say --without-tls where the network is "
            "the robot's own."
        )
