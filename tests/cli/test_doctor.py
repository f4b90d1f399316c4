"""`qsft doctor` looks at what will be used, not at what is said about it."""

from __future__ import annotations

from pathlib import Path

from vlm_qsft.cli.doctor import disk


def test_a_folder_that_can_be_made_is_looked_at_where_it_will_be(tmp_path: Path) -> None:
    assert disk(tmp_path / "new" / "run").text.endswith(f"GB free at {tmp_path}")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_missing_room(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    finding = disk(tmp_path / "runs" / "demo")
    assert finding.state == "missing" and f"{tmp_path / 'runs'} is a file" in finding.text


def test_what_not_even_root_may_write_is_missing_room() -> None:
    finding = disk(Path("/sys/runs"))
    assert finding.state == "missing" and "/sys is not writable" in finding.text
