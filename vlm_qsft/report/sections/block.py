"""What every section is made of: a heading, a card, a sentence in the place of what is missing."""

from __future__ import annotations

from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.missing import Missing


def draw_section(identity: str, title: str, lead: str, *blocks: str) -> str:
    """Return a section with an anchor, a heading and one sentence that says what is to be seen."""
    return element("section", element("h2", text(title)), element("p", text(lead), class_="lead"), *blocks, id=identity)


def draw_card(title: str, *blocks: str, wide: bool = True) -> str:
    """Return a titled card; cards that are not wide stand side by side."""
    heading = element("h3", text(title)) if title else ""
    return element("div", heading, *blocks, class_="card" if wide else "card narrow")


def draw_missing(missing: Missing) -> str:
    """Return the sentence that stands in the place of a part that the run did not leave behind."""
    return element("p", text(missing.reason), class_="missing")


def draw_unreadable(count: int, source: str) -> str:
    """Return a warning that lines of a file were left out, or nothing."""
    if count == 0:
        return ""
    lines = "1 line" if count == 1 else f"{count} lines"
    return element("p", text(f"{lines} of {source} could not be read, left out here."), class_="warning")


def draw_cell(*content: str, kind: str = "") -> str:
    """Return a table cell; `kind` is its class: `number`, `strip-cell` or empty."""
    return element("td", *content, class_=kind or None)


def draw_table(heads: list[str], rows: list[str], *, caption: str) -> str:
    """Return a table; heads are markup already, rows are `<tr>` elements, the caption is read out."""
    head = element("thead", element("tr", *(element("th", one, scope="col") for one in heads)))
    table = element("table", element("caption", text(caption), class_="unseen"), head, element("tbody", *rows))
    return element("div", table, class_="table-frame")
