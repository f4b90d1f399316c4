"""One checkpoint and one plain server for the tests that leave both as they were."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vlm_qsft.model import Checkpoint
from vlm_qsft.remote.server import PolicyServer

from .rigs import serving, tiny_checkpoint


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    return tiny_checkpoint()


@pytest.fixture(scope="module")
def server(checkpoint: Checkpoint) -> Iterator[PolicyServer]:
    with serving(checkpoint) as served:
        yield served
