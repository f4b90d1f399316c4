"""Token files, TLS and addresses: who gets in, and what is refused before anybody listens."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from vlm_qsft.errors import InvalidSetting, PolicyServerError, UnknownName
from vlm_qsft.remote import Credentials, RemoteSettings, ServerAddress, read_credentials
from vlm_qsft.remote.credentials import client_tls, server_tls

from .rigs import INSTRUCTIONS, RawConnection, client, see, serving, token_file

FILES = Path(__file__).parent / "files"
CERTIFICATE, KEY, OTHER = (FILES / name for name in ("certificate.pem", "key.pem", "other_certificate.pem"))


def test_the_proof_is_made_of_the_token_and_does_not_hold_it():
    credentials = Credentials(b"sixteen letters!")
    assert len(credentials.proof) == 32
    assert credentials.accepts(Credentials(b"sixteen letters!").proof)
    assert not credentials.accepts(Credentials(b"sixteen letters?").proof)
    assert not credentials.accepts(b"")
    assert b"sixteen" not in credentials.proof
    assert "sixteen" not in repr(credentials)


def test_white_space_around_a_token_is_no_part_of_it(tmp_path):
    assert read_credentials(token_file(tmp_path, b"  sixteen letters!\r\n")) == Credentials(b"sixteen letters!")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "holds 0 characters"), (b"short\n", "holds 5 characters"), (b"a" * 4097, "expected 16 to 4096")],
)
def test_what_is_no_secret_is_no_token(tmp_path, content, reason):
    with pytest.raises(InvalidSetting, match=reason):
        read_credentials(token_file(tmp_path, content))


def test_a_token_file_that_others_can_read_is_refused_with_the_remedy(tmp_path):
    path = token_file(tmp_path)
    for mode in (0o644, 0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(InvalidSetting, match=rf"\(mode {mode:03o}\): chmod 600 {path}"):
            read_credentials(path)


def test_a_missing_token_file_is_said_with_how_to_make_one(tmp_path):
    with pytest.raises(InvalidSetting, match=r"cannot be read: No such file or directory. To make one: \(umask 077"):
        read_credentials(tmp_path / "none")


def test_a_robot_drives_over_tls(checkpoint, tmp_path):
    tls = server_tls(CERTIFICATE, KEY)
    with serving(checkpoint, tls=tls) as server, client(server, tmp_path, tls_ca=CERTIFICATE) as remote:
        remote.reset(INSTRUCTIONS[0], seed=0)
        over_tls = remote.act(see())
        assert server.health.robots == 1
    with serving(checkpoint) as server, client(server, tmp_path) as remote:
        remote.reset(INSTRUCTIONS[0], seed=0)
        assert remote.act(see()).probabilities.tobytes() == over_tls.probabilities.tobytes()


def test_a_server_whose_certificate_is_not_trusted_learns_nothing(checkpoint, tmp_path):
    with serving(checkpoint, tls=server_tls(CERTIFICATE, KEY)) as server:
        with pytest.raises(PolicyServerError, match="its certificate is not trusted: self-signed certificate"):
            client(server, tmp_path, tls_ca=OTHER)
        assert server.health.robots == 0


def test_one_side_with_tls_and_the_other_without_do_not_meet(checkpoint, tmp_path):
    # Whether the alert of the failed handshake or the end of the connection is seen first is up to the network.
    only_server = pytest.raises(PolicyServerError, match=r"only one of the two uses TLS|its answer is none")
    with serving(checkpoint, tls=server_tls(CERTIFICATE, KEY)) as server, only_server:
        client(server, tmp_path)
    only_client = pytest.raises(PolicyServerError, match="it cannot be reached: ")
    with serving(checkpoint, message_timeout_s=0.5) as server, only_client:
        client(server, tmp_path, tls_ca=CERTIFICATE)


def test_who_stops_in_the_middle_of_the_handshake_is_sent_away(checkpoint, tmp_path):
    with serving(checkpoint, tls=server_tls(CERTIFICATE, KEY), message_timeout_s=0.3) as server:
        with RawConnection(server.address) as half:
            half.send(b"\x16\x03\x01\x02\x00\x01")
            assert half.rest() == b""
        with client(server, tmp_path, tls_ca=CERTIFICATE) as remote:
            assert remote.health().robots == 1


def test_older_tls_is_not_spoken():
    assert server_tls(CERTIFICATE, KEY).minimum_version == ssl.TLSVersion.TLSv1_3
    assert client_tls(CERTIFICATE).minimum_version == ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(
    ("certificate", "key", "reason"),
    [
        (FILES / "none.pem", KEY, "No such file or directory"),
        (OTHER, KEY, "key values mismatch"),
        (FILES / "README.md", KEY, "no start line|pem lib"),
        (CERTIFICATE, CERTIFICATE, "pem lib|no start line"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_said_in_one_line(certificate, key, reason):
    with pytest.raises(InvalidSetting, match=reason):
        server_tls(certificate, key)


def test_a_file_without_certificates_is_trusted_for_nothing():
    for path in (FILES / "README.md", KEY, FILES / "none.pem"):
        with pytest.raises(InvalidSetting, match="holds no certificates to trust"):
            client_tls(path)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("gpu.lab:9000", "gpu.lab", 9000),
        ("gpu.lab", "gpu.lab", 8471),
        ("10.0.0.7:1", "10.0.0.7", 1),
        ("[::1]:9000", "::1", 9000),
        ("[::1]", "::1", 8471),
    ],
)
def test_an_address_reads_as_people_write_it(text, host, port):
    assert ServerAddress.parse(text) == ServerAddress(host, port)
    assert ServerAddress.parse(str(ServerAddress(host, port))) == ServerAddress(host, port)


@pytest.mark.parametrize(
    "text", ["", ":9000", "gpu:", "gpu:port", "gpu:70000", "gpu:-1", "::1:x", "[::1", "[::1]9000", " gpu"]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InvalidSetting):
        ServerAddress.parse(text)


def test_an_open_network_without_tls_is_refused_until_somebody_says_that_it_is_meant(tmp_path):
    for host in ("10.0.0.7", "gpu.lab", "0.0.0.0", "::", "localhost.evil.example"):
        with pytest.raises(InvalidSetting, match="without TLS whoever is on it can read the pictures"):
            RemoteSettings(ServerAddress(host), tmp_path)
        RemoteSettings(ServerAddress(host), tmp_path, without_tls=True)
        RemoteSettings(ServerAddress(host), tmp_path, tls_ca=CERTIFICATE)
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        RemoteSettings(ServerAddress(host), tmp_path)


def test_settings_of_a_client_outside_their_range_are_refused(tmp_path):
    address = ServerAddress("127.0.0.1")
    with pytest.raises(UnknownName, match="Did you mean 'jpeg'"):
        RemoteSettings(address, tmp_path, pictures="jpg")  # type: ignore[arg-type]
    for wrong_s in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidSetting, match="timeout_s is"):
            RemoteSettings(address, tmp_path, timeout_s=wrong_s)
        with pytest.raises(InvalidSetting, match="connect_timeout_s is"):
            RemoteSettings(address, tmp_path, connect_timeout_s=wrong_s)
