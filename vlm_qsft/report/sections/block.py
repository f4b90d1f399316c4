"""What every section is made of: a heading, cards, tables, a sentence in the place of what is missing."""

from __future__ import annotations

from collections.abc import Sequence

from vlm_qsft.report.charts.interval import IntervalAxis, draw_interval_axis
from vlm_qsft.report.charts.markup import element, text
from vlm_qsft.report.missing import Missing
from vlm_qsft.report.policy_names import series_class, shown_name


def draw_section(identity: str, title: str, lead: str, *blocks: str) -> str:
    """Return a section with an anchor, a heading and what is to be seen in it."""
    return element("section", element("h2", text(title)), element("p", text(lead), class_="lead"), *blocks, id=identity)


def draw_card(title: str, *blocks: str, caption: str = "", wide: bool = True) -> str:
    """Return a titled card; the caption says what is seen and what it means. Narrow cards stand side by side."""
    heading = element("h3", text(title)) if title else ""
    return element("div", heading, draw_caption(caption), *blocks, class_="card" if wide else "card narrow")


def draw_caption(caption: str) -> str:
    """Return the sentences under a heading, or nothing."""
    return element("p", text(caption), class_="caption") if caption else ""


def draw_missing(missing: Missing) -> str:
    """Return the sentence that stands in the place of a part that the run did not leave behind."""
    return element("p", text(missing.reason), class_="missing")


def draw_unreadable(count: int, source: str) -> str:
    """Return a warning that lines of a file were left out, or nothing."""
    if count == 0:
        return ""
    lines = "1 line" if count == 1 else f"{count} lines"
    return element("p", text(f"{lines} of {source} could not be read, left out here."), class_="warning")


def draw_table(axis: IntervalAxis, first: str, heads: Sequence[str], rows: Sequence[str], *, caption: str) -> str:
    """Return a table whose second column is a chart.

    Args:
        axis: of the second column.
        first: head of the first column.
        heads: of the columns behind the chart.
        rows: from `draw_row`.
        caption: what a screen reader says.
    """
    cells = [
        element("th", text(first), scope="col"),
        element("th", draw_interval_axis(axis), scope="col", class_="strip-cell"),
        *(element("th", text(head), scope="col") for head in heads),
    ]
    head = element("thead", element("tr", *cells))
    table = element("table", element("caption", text(caption), class_="unseen"), head, element("tbody", *rows))
    return element("div", table, class_="table-frame")


def draw_row(name: str, strip: str, numbers: Sequence[tuple[str, str]], *, kind: str = "") -> str:
    """Return a table row.

    Args:
        name: from `draw_name`.
        strip: the chart of the second column.
        numbers: (head of the column, content as markup); a narrow screen shows the head beside the content.
        kind: class of the row.
    """
    cells = (element("td", content, class_="number", data_head=head) for head, content in numbers)
    return element("tr", name, element("td", strip, class_="strip-cell"), *cells, class_=kind or None)


def draw_absent_row(name: str, missing: Missing, *, columns: int) -> str:
    """Return a row with the reason why it has no numbers; `columns` is how many the table has."""
    return element("tr", name, element("td", draw_missing(missing), class_="absent", colspan=str(columns - 1)))


def draw_name(policy: str, below: str = "", *, badge: str = "") -> str:
    """Return the head of a row: a policy in its colour, a badge, and small words below."""
    return draw_series_name(series_class(policy), shown_name(policy), below, badge=badge)


def draw_series_name(series: str, name: str, below: str = "", *, badge: str = "") -> str:
    """Return the head of a row for a series that is no policy."""
    chip = element("span", class_=f"chip {series}", aria_hidden="true")
    small = element("small", text(below)) if below else ""
    return element("th", chip, text(name), badge, small, scope="row")


def strong(content: str) -> str:
    """Return text that stands out among its neighbours."""
    return element("strong", text(content))
