"""The page: one file that needs nothing else, well formed, with the numbers of the run; missing parts named."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from qsft_sim.results import EpisodeResult
from qsft_sim.statistics import PairedComparison, summarise_counterfactual, wilson_interval
from qsft_sim.trace import Trace
from vlm_qsft.errors import DatasetError, StorageError
from vlm_qsft.report import write_report
from vlm_qsft.report.player import describe_outcome
from vlm_qsft.report.sections.differences import verdict

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
        assert f"{rates[policy]:.3g}\u00a0%" in shown
    points = rates["qsft"] - rates["sft"]
    assert f"{points:+.3g} points against SFT (" in shown
    assert "the logs it learned from, in 37.5\u00a0%" in shown


def test_the_page_states_wrong_object_rates_with_their_intervals(page: PageParser, complete_run: Path) -> None:
    for policy in ("qsft", "sft_success", "sft"):
        wrong = sum(line["wrong_object"] for line in lines_of(complete_run, policy))
        assert f"{wrong / 2:.3g}\u00a0%" in page.text  # of 200 episodes
        low, high = wilson_interval(wrong, 200)
        assert f"{100 * low:.1f} to {100 * high:.1f}\u00a0%".replace(".0", "") in page.text


def test_the_page_states_the_counterfactual_test_as_the_simulator_summarises_it(
    page: PageParser, complete_run: Path
) -> None:
    path = complete_run / "evaluation" / "qsft" / "counterfactual.jsonl"
    summary = summarise_counterfactual([EpisodeResult.from_json(line) for line in path.read_text().splitlines()])
    row = page.text[page.text.index("Same object") :]
    row = row[row.index("Q-SFT") :]
    assert row.index(f"{100 * summary.both_followed:.3g}\u00a0%") < row.index("SFT on successes")
    assert row.index(f"{100 * summary.one_followed:.2g}\u00a0%") < row.index("SFT on successes")
    assert f"{100 * summary.same_object:.3g}\u00a0% of {summary.handled_twice}" in row


def test_a_difference_that_the_test_does_not_show_is_not_called_one(page: PageParser) -> None:
    comparison = PairedComparison(200, 0.02, (-0.05, 0.09), 24, 20, 0.65)
    assert verdict(comparison) == "no difference shown"
    assert verdict(replace(comparison, p_value=0.01)) == "more"
    assert verdict(replace(comparison, p_value=0.01, difference=-0.1)) == "less"
    assert "better" in page.text and "no difference shown" in page.text


def test_a_player_says_how_its_episode_ended(page: PageParser, complete_run: Path) -> None:
    trace = Trace.load(complete_run / "evaluation" / "qsft" / "trace-success.npz")
    expected = f"Q-SFT · scene {trace.result.episode} · 28 control steps, 5.6 s · handled the red cube"
    assert expected in page.text
    wrong = replace(trace, result=replace(trace.result, success=False, handled="blue ball", wrong_object=True))
    assert describe_outcome(wrong).endswith("· handled the blue ball, a wrong object")


def test_a_validation_curve_that_rises_again_is_called_overfitting(complete_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(complete_run, folder)
    losses = [(100, 2.0), (200, 1.5), (300, 1.9)]
    lines = [{"step": step, "split": split, "nll": loss} for step, loss in losses for split in ("train", "validation")]
    (folder / "behavior" / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    shown = " ".join(parse(write_report(folder)).text)
    assert "Last train 1.9; validation 1.9. Validation was lowest, 1.5, at step 200 and has risen since" in shown


def test_the_page_says_what_was_run(page: PageParser) -> None:
    shown = " ".join(page.text)
    for expected in (
        "qsft demo --preset demo --out runs/demo",
        "2.11.0",
        "monte_carlo",
        "25 min 7 s",
        "ratio · temperature 0.5 · inverse temperature 16",
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
    trace = Trace.load(path)
    hostile = "</script><script>alert(1)</script><b>"
    result = replace(trace.result, instruction=hostile, handled=hostile)
    replace(trace, result=result, action_names=(hostile,) * 5).save(path)
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
