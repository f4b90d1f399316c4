"""What holds for every test: no network, one thread, no limit on time, and array annotations that are checked.

The variables are set before anything imports torch or transformers, and are inherited by every child process.
"""

from __future__ import annotations

import os
import signal

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import logging
from collections.abc import Iterator

import hypothesis
import pytest
from jaxtyping import install_import_hook

# Not the packages that check what a user hands in (tokens, images, policy, control): there our own errors must be
# reached, and beartype would answer first.
CHECKED_PACKAGES = ["vlm_qsft.qsft", "vlm_qsft.model", "vlm_qsft.training", "vlm_qsft.data"]
install_import_hook(CHECKED_PACKAGES, "beartype.beartype")

# How long an example takes says how busy the machine is, and nothing about what it tries.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

# A shell starts what runs in the background with Ctrl-C ignored, and every program that a test interrupts inherits it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def without_warnings_of_lerobot() -> Iterator[None]:
    """Without FFmpeg libraries torchcodec logs a page whenever lerobot opens a data set."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def ordinary_scheduling() -> Iterator[None]:
    """SVT-AV1 gives the thread that encodes with it real-time scheduling where it may, and processes inherit that."""
    yield
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
