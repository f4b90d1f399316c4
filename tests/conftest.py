"""What holds for every test: no network, one thread, no judgement by speed, and array annotations that are checked.

The variables are set before anything imports torch or transformers, and are inherited by every child process.
"""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings
from jaxtyping import install_import_hook

# How long one example takes says how busy the machine is.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

# Not the packages that check what a user hands in (tokens, images, policy, control): there our own errors must be
# reached, and beartype would answer first.
CHECKED_PACKAGES = ["vlm_qsft.qsft", "vlm_qsft.model", "vlm_qsft.training", "vlm_qsft.data"]
install_import_hook(CHECKED_PACKAGES, "beartype.beartype")

# hypothesis fails what takes longer than 200 ms, which any test does on a machine that is busy enough.
settings.register_profile("any speed", deadline=None)
settings.load_profile("any speed")
