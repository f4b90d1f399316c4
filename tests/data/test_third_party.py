"""Real third-party sets beside the repository: v3.0 is read or refused with the true reason, older ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm_qsft.data import DatasetReader
from vlm_qsft.errors import DatasetError

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "data" / "lerobot"
pytestmark = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="The third-party samples are not beside this repository (../shared/data/lerobot)."
)


def test_a_v3_set_without_its_data_files_is_refused_with_the_reason():
    with pytest.raises(DatasetError, match=r"names files as 'data/train/episode_\{episode_index:06d\}"):
        DatasetReader(SAMPLES / "franka_pickplace_v30_broken")


@pytest.mark.parametrize(("name", "version"), [("g1_av1_v21_subset", "v2.1"), ("gr00t_picknplace_v20", "v2.0")])
def test_older_versions_are_sent_to_the_converter(name: str, version: str):
    with pytest.raises(DatasetError, match=f"format version {version}; this reader takes v3.0"):
        DatasetReader(SAMPLES / name)
