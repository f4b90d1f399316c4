"""The page: one file that needs nothing else, well formed, with the numbers of the run; missing parts named."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from vlm_qsft.errors import DatasetError, StorageError
from vlm_qsft.report import write_report

NEVER_CLOSED = {"meta", "link", "input", "br", "img"}


class PageParser(HTMLParser):
    """Collects what a test asks about a page, and refuses elements that close in the wrong order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.identities: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "srcset", "poster", "data", "action"):
                self.addresses.append(value or "")
            if name == "id":
                self.identities.append(value or "")
        if tag not in NEVER_CLOSED:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if "script" not in self.open and "style" not in self.open:
            self.text.append(data)


def parse(page: Path) -> PageParser:
    parser = PageParser()
    parser.feed(page.read_text(encoding="utf-8"))
    parser.close()
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def page(complete_run: Path) -> PageParser:
    return parse(write_report(complete_run))


def lines_of(run: Path, policy: str) -> list[dict]:
    return [json.loads(line) for line in (run / "evaluation" / policy / "final.jsonl").read_text().splitlines()]


def test_the_page_asks_for_nothing_from_outside(page: PageParser, complete_run: Path) -> None:
    outside = [address for address in page.addresses if not address.startswith(("data:", "#"))]
    assert outside == []
    source = (complete_run / "report.html").read_text(encoding="utf-8")
    style = source[source.index("<style>") : source.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert not re.search(r"\b(fetch|XMLHttpRequest|import)\s*\(", source)


def test_links_lead_to_sections_of_the_page_and_identities_are_unique(page: PageParser) -> None:
    targets = {address[1:] for address in page.addresses if address.startswith("#")}
    assert targets <= set(page.identities)
    assert len(set(page.identities)) == len(page.identities)


def test_the_page_states_success_rates_and_differences_of_the_result_files(
    page: PageParser, complete_run: Path
) -> None:
    shown = " ".join(page.text)
    rates = {}
    for policy in ("qsft", "sft_success", "sft"):
        successes = [line["success"] for line in lines_of(complete_run, policy)]
        rates[policy] = 100 * sum(successes) / len(successes)
        assert f"{rates[policy]:.0f}\u00a0%" in shown
    points = rates["qsft"] - rates["sft"]
    assert f"{points:+.3g} points against SFT (" in shown
    assert "the logs it learned from, in 38\u00a0%" in shown


def test_the_page_says_what_was_run(page: PageParser) -> None:
    shown = " ".join(page.text)
    for expected in (
        "qsft demo --preset demo --out runs/demo",
        "2.11.0",
        "monte_carlo",
        "25 min 7 s",
        "extraction ratio",
    ):
        assert expected in shown


def test_the_chosen_setting_is_marked_among_those_tried(page: PageParser) -> None:
    assert page.text.count("chosen") == 3  # one for each policy


def test_an_empty_run_folder_gives_a_page_that_names_every_missing_part(tmp_path: Path) -> None:
    shown = " ".join(parse(write_report(tmp_path)).text)
    for expected in (
        "This run has no evaluated policy yet",
        "No policy was evaluated",
        "No video was recorded.",
        "q/targets.json was not written by this run.",
        "q/calibration.json was not written by this run.",
        "behavior/metrics.jsonl was not written by this run.",
        "run.json was not written by this run.",
        "data/ was not recorded by this run.",
    ):
        assert expected in shown


PARTS = [
    "run.json", "summary.json", "data", "behavior", "q", "q/targets.json", "sft_success/metrics.jsonl", "evaluation",
    "evaluation/qsft", "evaluation/sft/final.jsonl", "evaluation/qsft/trace-failure.npz", "data/meta/episodes",
]  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_no_missing_part_breaks_the_page(part: str, complete_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(complete_run, folder)
    shutil.rmtree(folder / part) if (folder / part).is_dir() else (folder / part).unlink()
    parse(write_report(folder))


def test_no_damaged_file_breaks_the_page(complete_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(complete_run, folder)
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    shown = " ".join(parse(write_report(folder)).text)
    assert "run.json cannot be read" in shown
    assert "1 line of behavior/metrics.jsonl could not be read" in shown


def test_an_instruction_cannot_break_out_of_the_page(complete_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(complete_run, folder)
    path = folder / "evaluation" / "qsft" / "trace-success.npz"
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    hostile = "</script><script>alert(1)</script><b>"
    names = np.array([hostile] * 5)
    np.savez(path, **{**arrays, "instruction": np.array(hostile), "action_names": names})
    source = write_report(folder).read_text(encoding="utf-8")
    parse(folder / "report.html")
    assert "<script>alert" not in source
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in source


def test_small_videos_are_inside_the_page_and_large_ones_are_named(complete_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(complete_run, folder)
    videos = folder / "evaluation" / "qsft" / "videos"
    videos.mkdir()
    (videos / "success.mp4").write_bytes(b"\0" * 1000)
    (videos / "failure.mp4").write_bytes(b"\0" * 2_000_000)
    parsed = parse(write_report(folder))
    assert sum(address.startswith("data:video/mp4;base64,") for address in parsed.addresses) == 1
    assert "Not embedded (2.0 MB): evaluation/qsft/videos/failure.mp4" in " ".join(parsed.text)


def test_a_policy_without_likelihood_model_shows_no_invented_values(complete_run: Path) -> None:
    source = (complete_run / "report.html").read_text(encoding="utf-8")
    player = source[source.index('id="player-sft-success"') :]
    payload = re.search(r'<script type="application/json" class="trace">(.*?)</script>', player)
    assert payload is not None
    trace = json.loads(payload[1])
    assert trace["q"] is None
    assert set(trace["value"]) == {None}


def test_a_run_folder_that_does_not_exist_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no run folder at .*absent"):
        write_report(tmp_path / "absent")


def test_a_page_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(StorageError, match=r"cannot be written to .*report\.html"):
        write_report(tmp_path)


def test_the_same_run_gives_the_same_page(complete_run: Path) -> None:
    assert write_report(complete_run).read_bytes() == write_report(complete_run).read_bytes()
