"""Who may ask a policy server: the token file, its proof on the wire, and TLS."""

from __future__ import annotations

import hmac
import os
import ssl
import stat
from dataclasses import dataclass, field
from pathlib import Path

from vlm_qsft.errors import InvalidSetting

PROOF_BYTES = 32
SHORTEST_TOKEN = 16
LARGEST_TOKEN_FILE = 4096
_CONTEXT = b"vlm-qsft policy server"


@dataclass(frozen=True)
class Credentials:
    """The secret that server and clients share.

    Attributes:
        token: never printed and never sent; `proof` is.
    """

    token: bytes = field(repr=False)

    @property
    def proof(self) -> bytes:
        """Return the 32 bytes that every connection begins with; they do not give the token away."""
        return hmac.digest(self.token, _CONTEXT, "sha256")

    def accepts(self, proof: bytes) -> bool:
        """Tell whether a proof is ours; takes equally long for every wrong one."""
        return hmac.compare_digest(proof, self.proof)


def read_credentials(path: Path) -> Credentials:
    """Return the token in a file, without the white space around it.

    Raises:
        InvalidSetting: missing, unreadable, readable by others, or too short to be a secret.
    """
    make = f"(umask 077; openssl rand -hex 32 > {path})"
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(LARGEST_TOKEN_FILE + 1)
    except OSError as error:
        raise InvalidSetting(f"The token file {path} cannot be read: {error.strerror}. To make one: {make}") from error
    if stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise InvalidSetting(
            f"The token file {path} can be read by other users (mode {stat.S_IMODE(mode):03o}): chmod 600 {path}"
        )
    token = content.strip()
    if len(token) < SHORTEST_TOKEN or len(content) > LARGEST_TOKEN_FILE:
        raise InvalidSetting(
            f"The token file {path} holds {len(token)} characters; expected {SHORTEST_TOKEN} to {LARGEST_TOKEN_FILE}. "
            f"To make one: {make}"
        )
    return Credentials(token)


def server_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what a server shows. Raises InvalidSetting: unreadable, not PEM, or the two do not belong together."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise InvalidSetting(f"No TLS with certificate {certificate} and key {key}: {_reason(error)}.") from error
    return context


def client_tls(authority: Path) -> ssl.SSLContext:
    """Return what a client trusts: the certificates in a PEM file. Raises InvalidSetting: unreadable or not PEM."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(authority)
    except (OSError, ValueError) as error:
        raise InvalidSetting(f"{authority} holds no certificates to trust: {_reason(error)}.") from error
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted, and nobody is there to type its password")


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
