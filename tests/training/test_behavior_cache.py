from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from vlm_qsft.errors import StorageError
from vlm_qsft.model.action_logits import renormalise_bins
from vlm_qsft.training.behavior_cache import BehaviorCache, build_behavior_cache

from .frames import CPU, frame_source, small_scorer


def built(folder: Path, *, is_whole: bool, stop_after: int | None = None) -> BehaviorCache:
    scorer = small_scorer()

    def listener(what: str, complete: int, total: int) -> None:
        assert what == "log pi_phi" and total == 35
        if stop_after is not None and complete >= stop_after:
            raise KeyboardInterrupt

    return build_behavior_cache(
        scorer, frame_source(scorer), folder, is_whole=is_whole, batch_size=4, device=CPU, precision="float32",
        progress=listener,
    )  # fmt: skip


def frame_by_frame() -> tuple[np.ndarray, np.ndarray]:
    scorer = small_scorer().eval()
    source = frame_source(scorer)
    whole, logged = [], []
    for frame in range(len(source.table)):
        bins = torch.from_numpy(source.table.tokens(np.array([frame])))
        with torch.no_grad():
            log_pi = renormalise_bins(scorer.log_probs(source.inputs(np.array([frame])), bins))[0]
        whole.append(log_pi.numpy())
        logged.append([float(log_pi[token, bins[0, token]]) for token in range(bins.shape[1])])
    return np.array(whole), np.array(logged, np.float32)


def test_the_cache_holds_what_the_scorer_says_frame_by_frame(tmp_path: Path) -> None:
    whole, logged = frame_by_frame()
    cache = built(tmp_path, is_whole=True)
    frames = np.array([34, 0, 17])
    np.testing.assert_allclose(cache.logged(frames), logged[frames], atol=1e-5)
    np.testing.assert_allclose(cache.whole(frames), whole[frames], atol=3e-3)
    np.testing.assert_allclose(np.exp(cache.whole(frames)).sum(-1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(cache.first(frames), cache.whole(frames)[:, 0])


def test_without_the_whole_distribution_only_the_logged_tokens_are_stored(tmp_path: Path) -> None:
    cache = built(tmp_path, is_whole=False)
    assert cache.logged(np.array([0])).shape == (1, 3)
    assert not (tmp_path / "whole.npy").exists()
    for of_every_bin in (cache.first, cache.whole):
        with pytest.raises(ValueError, match="logged tokens only"):
            of_every_bin(np.array([0]))


def test_a_cache_that_was_interrupted_is_completed(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        built(tmp_path, is_whole=True, stop_after=12)
    cache = built(tmp_path, is_whole=True)
    expected = built(tmp_path / "other", is_whole=True)
    frames = np.arange(35)
    assert (cache.logged(frames) == expected.logged(frames)).all()
    assert (cache.whole(frames) == expected.whole(frames)).all()


def test_a_complete_cache_is_not_computed_again(tmp_path: Path) -> None:
    built(tmp_path, is_whole=False)
    calls: list[int] = []
    scorer = small_scorer()
    build_behavior_cache(
        scorer, frame_source(scorer), tmp_path, is_whole=False, batch_size=4, device=CPU, precision="float32",
        progress=lambda what, complete, total: calls.append(complete),
    )  # fmt: skip
    assert calls == [35]


@pytest.mark.parametrize("name", ["logged.npy", "state.json"])
@pytest.mark.parametrize("damage", ["cut off", "deleted"])
def test_a_damaged_cache_is_computed_again(tmp_path: Path, name: str, damage: str) -> None:
    frames = np.arange(35)
    expected = np.array(built(tmp_path, is_whole=False).logged(frames))
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    if damage == "cut off":
        (tmp_path / name).write_bytes(content[:-5])
    assert (built(tmp_path, is_whole=False).logged(frames) == expected).all()


def test_what_another_phase_reads_is_not_emptied_when_more_is_computed(tmp_path: Path) -> None:
    """A file that shrinks under a memory map kills its reader."""
    logged = built(tmp_path, is_whole=False)
    expected, inode = np.array(logged.logged(np.arange(35))), (tmp_path / "logged.npy").stat().st_ino
    with pytest.raises(KeyboardInterrupt):
        built(tmp_path, is_whole=True, stop_after=8)
    assert (tmp_path / "logged.npy").stat().st_ino == inode
    assert (logged.logged(np.arange(35)) == expected).all()


def test_a_full_disk_is_found_out_before_the_work_begins(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"could not be written.*free space"):
            built(tmp_path, is_whole=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert built(tmp_path, is_whole=True).whole(np.array([0])).shape[0] == 1
