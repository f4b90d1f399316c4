"""The whole page: sections in their order, with style and script inside, so that one file is all there is."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from vlm_qsft import __version__
from vlm_qsft.errors import StorageError
from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.run_folder import RunFolder, load_run_folder
from vlm_qsft.report.sections.episodes import draw_episodes
from vlm_qsft.report.sections.headline import draw_headline
from vlm_qsft.report.sections.learning import draw_learning
from vlm_qsft.report.sections.provenance import draw_provenance
from vlm_qsft.report.sections.results import draw_results
from vlm_qsft.report.sections.values import draw_values

SECTIONS = {
    "results": "Results",
    "episodes": "Inside the policy",
    "values": "Learned values",
    "learning": "Learning curves",
    "run": "What was run",
}


def write_report(run_folder: Path) -> Path:
    """Write `run_folder/report.html` and return its path.

    The page needs no other file and no network. Parts that the run did not leave behind are named as missing on it.

    Raises:
        DatasetError: there is no such folder.
        StorageError: the page cannot be written.
    """
    page = draw_page(load_run_folder(run_folder))
    path = run_folder / "report.html"
    partial = path.with_suffix(".partial")
    try:
        partial.write_text(page, encoding="utf-8")
        os.replace(partial, path)
    except OSError as problem:
        raise StorageError(f"The report cannot be written to {path}: {problem.strerror}.") from problem
    return path


def draw_page(run: RunFolder) -> str:
    """Return the page as one HTML document."""
    name = run.path.resolve().name
    links = (element("a", text(title), href=f"#{identity}") for identity, title in SECTIONS.items())
    body = (
        element("nav", *links, aria_label="sections"),
        draw_headline(run),
        element(
            "main",
            draw_results(run.policies, run.logs),
            draw_episodes(run.policies, run_folder=run.path),
            draw_values(run.targets, run.calibration),
            draw_learning(run.phases),
            draw_provenance(run.run, run.summary),
        ),
        element("footer", text(f"Written by vlm-qsft {__version__}. This page needs no network and no other file.")),
        element("noscript", "The players need JavaScript; everything else on this page does not."),
        f"<script>{_asset('player.js')}</script>",
    )
    head = (
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        # An empty icon: a browser that opens the file would ask the server for one.
        '<link rel="icon" href="data:,">',
        element("title", text(f"{name} · vlm-qsft run report")),
        f"<style>{_asset('page.css')}</style>",
    )
    return f"<!DOCTYPE html>\n{element('html', element('head', *head), element('body', *body), lang='en')}\n"


def _asset(name: str) -> str:
    return resources.files("vlm_qsft.report").joinpath(name).read_text(encoding="utf-8")
