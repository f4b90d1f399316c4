"""`qsft serve` as a process of its own, and `qsft evaluate --policy-server` against it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from qsft_sim.environment import STATE_NAMES, EnvironmentSettings
from vlm_qsft.cli.main import main
from vlm_qsft.data.schema import DatasetSchema
from vlm_qsft.model import ModelSettings, StateStatistics, build_scorer, save_checkpoint
from vlm_qsft.model.manifest import read_manifest
from vlm_qsft.tokens import ActionTokenizer

FILES = Path(__file__).resolve().parents[1] / "remote" / "files"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an untrained checkpoint of the simulated robot."""
    settings = EnvironmentSettings(image_size=(32, 32))
    schema = DatasetSchema(
        cameras=dict.fromkeys(settings.cameras, (32, 32)),
        state_names=STATE_NAMES,
        action_names=settings.action_names,
        fps=Fraction(5),
    )
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (200, len(schema.action_names)))
    tokenizer = ActionTokenizer.fit(actions, action_names=schema.action_names, n_bins=8, chunk=2)
    statistics = StateStatistics((0.0,) * len(STATE_NAMES), (1.0,) * len(STATE_NAMES))
    colors, shapes = ("red", "green", "blue", "yellow", "purple", "orange"), ("cube", "ball", "cylinder", "box")
    words = [f"pick up the {color} {shape}" for color in colors for shape in shapes]
    model = ModelSettings(channels=8, width=16, layers=1, image_size=(16, 16))
    torch.manual_seed(0)
    behavior, q_model = (build_scorer(model, schema, tokenizer, words, statistics) for _ in range(2))
    path = tmp_path_factory.mktemp("run") / "policy"
    save_checkpoint(
        path, behavior=behavior, q_model=q_model, action_tokenizer=tokenizer, schema=schema, metadata={"steps": 0}
    )
    return path


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("a token of the tests, not a secret\n")
    path.chmod(0o600)
    return path


@contextmanager
def serving(folder: Path, *words: object) -> Iterator[tuple[subprocess.Popen, int]]:
    """Start `qsft serve` on a free port; give the process and the port."""
    command = [sys.executable, "-m", "vlm_qsft.cli.main", "serve", folder, "--port", "0", *words]
    process = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout is not None and process.stderr is not None
    line = process.stdout.readline()
    found = re.search(r" on .*:(\d+), ", line)
    try:
        assert found is not None, line + process.stderr.read()
        yield process, int(found.group(1))
    finally:
        process.kill()
        process.communicate()


def test_a_policy_on_a_server_succeeds_and_fails_exactly_as_the_local_one(folder, token, tmp_path):
    words = ["--episodes", "2", "--workers", "1", "--scenes", "tuning", "--out"]
    assert main(["evaluate", str(folder), "--device", "cpu", *words, str(tmp_path / "local.jsonl")]) == 0
    with serving(folder, "--token-file", token, "--device", "cpu") as (_, port):
        server = ["--policy-server", f"127.0.0.1:{port}", "--token-file", str(token)]
        assert main(["evaluate", *server, *words, str(tmp_path / "remote.jsonl")]) == 0
    local, remote = (
        [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        for name in ("local", "remote")
    )
    assert len(local) == 2
    assert local == remote


def test_doctor_tells_what_a_server_serves_and_whether_it_is_there(folder, token, capsys):
    with serving(folder, "--token-file", token, "--device", "cpu") as (_, port):
        words = ["doctor", "--policy-server", f"127.0.0.1:{port}", "--token-file", str(token)]
        main(words)
        (line,) = (line for line in capsys.readouterr().out.splitlines() if "127.0.0.1" in line)
        identity = read_manifest(folder).identity[:16]
        assert line.startswith("ok") and f"checkpoint {identity}, cameras front, wrist" in line
    assert main(words) == 2
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "127.0.0.1" in line)
    assert line.startswith("missing") and "cannot be reached" in line


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_server_in_one_line_and_frees_its_port(folder, token, number, status):
    with serving(folder, "--token-file", token) as (process, port):
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert process.returncode == status
        assert said.count("\n") == 1 and "Traceback" not in said
        with socket.create_server(("127.0.0.1", port)):
            pass


def refused(capsys: pytest.CaptureFixture, *words: object) -> str:
    """Return the one line that a command says instead of working."""
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_what_serve_cannot_use_is_said_in_one_line_before_networks_are_loaded(tmp_path, token, capsys):
    nowhere = tmp_path / "no_checkpoint"
    cert, key, other = (FILES / name for name in ("certificate.pem", "key.pem", "other_certificate.pem"))

    def serve(*words: object, token_file: Path = token) -> str:
        return refused(capsys, "serve", nowhere, "--token-file", token_file, *words)

    assert "cannot be read: No such file or directory" in serve(token_file=tmp_path / "none")
    assert "without TLS whoever is on it can read" in serve("--host", "0.0.0.0")
    assert "belong together" in serve("--tls-cert", cert)
    assert "key values mismatch" in serve("--tls-cert", other, "--tls-key", key)
    assert "--max-message-mb is 0" in serve("--max-message-mb", "0")
    assert "The port is 70000" in serve("--port", "70000")
    assert "batch_window_s is -0.001" in serve("--batch-window", "-1")
    assert "No checkpoint folder" in serve()
    assert "No checkpoint folder" in serve("--host", "0.0.0.0", "--without-tls")
    assert "No checkpoint folder" in serve("--host", "0.0.0.0", "--tls-cert", cert, "--tls-key", key)
    token.chmod(0o644)
    assert f"chmod 600 {token}" in serve()


def test_a_port_in_use_is_said_in_one_line(folder, token, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "another program listens there" in refused(
            capsys, "serve", folder, "--token-file", token, "--port", port, "--device", "cpu"
        )


def test_what_evaluate_cannot_ask_a_server_is_said_in_one_line(folder, tmp_path, token, capsys):
    def evaluate(*words: object) -> str:
        return refused(capsys, "evaluate", "--out", tmp_path / "out.jsonl", *words)

    assert "Name either a checkpoint folder or --policy-server" in evaluate()
    assert "Name either" in evaluate(folder, "--policy-server", "127.0.0.1:9", "--token-file", token)
    assert "--policy-server needs --token-file" in evaluate("--policy-server", "127.0.0.1:9")
    assert "--token-file has a meaning with --policy-server only" in evaluate(folder, "--token-file", token)
    assert "without TLS" in evaluate("--policy-server", "192.0.2.1:9", "--token-file", token)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "cannot be reached" in evaluate("--policy-server", f"127.0.0.1:{port}", "--token-file", token)
    assert not (tmp_path / "out.jsonl").exists()
