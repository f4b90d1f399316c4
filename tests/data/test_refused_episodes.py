"""Episodes that are refused leave no gap, and the rest has the bytes that it would have without them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlm_qsft.data import DatasetReader, Episode, write_episodes
from vlm_qsft.errors import DatasetError

from .scripted import LABELS, SCHEMA, scripted_episode

JOBS = list(range(8))
BAD = (0, 3, 7)


def sometimes(seed: int) -> Episode:
    if seed in BAD:
        raise DatasetError(f"record {seed} is damaged")
    return scripted_episode(seed)


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def called(seed: int) -> str:
    return f"demo_{seed}"


def test_refused_episodes_leave_no_gap_in_the_numbering(tmp_path: Path) -> None:
    write_episodes(tmp_path / "set", SCHEMA, JOBS, sometimes, labels=LABELS, skip_bad=True, name_of=called)
    good = [seed for seed in JOBS if seed not in BAD]
    reader = DatasetReader(tmp_path / "set")
    assert reader.episodes.attributes["seed"] == tuple(good)
    assert reader.column("episode_index")[-1] == len(good) - 1
    refused = json.loads((tmp_path / "set/meta/refused.json").read_text())
    assert refused == [{"episode": called(seed), "reason": f"record {seed} is damaged"} for seed in BAD]
    write_episodes(tmp_path / "without", SCHEMA, good, scripted_episode, labels=LABELS)
    ours, others = content(tmp_path / "set"), content(tmp_path / "without")
    del ours["meta/refused.json"]
    # meta/labels.json holds the number of jobs
    assert {name for name in ours if ours[name] != others[name]} == {"meta/labels.json"}


def test_without_leave_to_skip_the_first_bad_episode_ends_the_work_by_name(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="Episode 'demo_0': record 0 is damaged"):
        write_episodes(tmp_path, SCHEMA, JOBS, sometimes, labels=LABELS, name_of=called)
    assert not (tmp_path / "meta").exists()


def test_what_was_refused_is_tried_again_without_leave_to_skip(tmp_path: Path) -> None:
    settings = {"labels": LABELS, "name_of": called, "recipe": {"source": "x"}}
    with pytest.raises(DatasetError, match="no complete episode"):
        write_episodes(tmp_path, SCHEMA, [0, 3], sometimes, skip_bad=True, **settings)
    with pytest.raises(DatasetError, match="Episode 'demo_0'"):
        write_episodes(tmp_path, SCHEMA, [0, 3], sometimes, **settings)
    write_episodes(tmp_path, SCHEMA, [0, 3], scripted_episode, **settings)
    assert DatasetReader(tmp_path).n_episodes == 2
    assert not (tmp_path / "meta/refused.json").exists()
