"""Only a whole checkpoint is resumed from, and one that cannot be told to be whole is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm_qsft.training.step_folder import MARKER, latest_complete, mark_complete


def checkpoint(out: Path, step: int) -> Path:
    folder = out / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "weights").write_bytes(b"1234")
    mark_complete(folder)
    return folder


@pytest.mark.parametrize("damage", ["cut off", "no object", "no marker", "short file", "no file"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path, damage: str) -> None:
    before, last = checkpoint(tmp_path, 9), checkpoint(tmp_path, 10)
    assert latest_complete(tmp_path) == last
    if damage == "cut off":
        (last / MARKER).write_text('{"wei')
    elif damage == "no object":
        (last / MARKER).write_text("[]")
    elif damage == "no marker":
        (last / MARKER).unlink()
    elif damage == "short file":
        (last / "weights").write_bytes(b"123")
    else:
        (last / "weights").unlink()
    assert latest_complete(tmp_path) == before
