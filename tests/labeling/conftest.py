"""Data sets to label, written once and copied for every test that changes them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .sets import write_lerobot_set, write_set


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set of ours; tests that write take `root`."""
    return write_set(tmp_path_factory.mktemp("pristine") / "set")


@pytest.fixture
def root(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "set"))


@pytest.fixture(scope="session")
def pristine_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("lerobot", reason="lerobot is not installed")
    return write_lerobot_set(tmp_path_factory.mktemp("lerobot") / "images", use_videos=False)


@pytest.fixture(scope="session")
def pristine_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("lerobot", reason="lerobot is not installed")
    return write_lerobot_set(tmp_path_factory.mktemp("lerobot") / "video", use_videos=True)


@pytest.fixture
def image_root(pristine_images: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine_images, tmp_path / "images"))


@pytest.fixture
def video_root(pristine_video: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine_video, tmp_path / "video"))
