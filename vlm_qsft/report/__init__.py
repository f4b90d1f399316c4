"""One self-contained HTML page per run: results with intervals, learning curves, values, and episodes to look into."""

from vlm_qsft.report.page import write_report

__all__ = ["write_report"]
