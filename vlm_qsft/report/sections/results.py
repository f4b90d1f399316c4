"""The results: success rates, wrong objects, paired differences, the counterfactual test, the settings tried."""

from __future__ import annotations

from collections.abc import Sequence

from vlm_qsft.report.logged_data import LoggedData
from vlm_qsft.report.missing import Missing
from vlm_qsft.report.policy_results import PolicyResults
from vlm_qsft.report.sections.block import draw_section
from vlm_qsft.report.sections.counterfactual import draw_counterfactual
from vlm_qsft.report.sections.differences import draw_differences
from vlm_qsft.report.sections.rates import draw_success_rates, draw_wrong_object_rates
from vlm_qsft.report.sections.tunings import draw_tunings


def draw_results(policies: Sequence[PolicyResults], logs: LoggedData | Missing) -> str:
    """Return the section of results."""
    tuned = any(one.tunings for one in policies)
    lead = "Every policy in the same scenes" + (", at its own best setting, chosen in other scenes." if tuned else ".")
    return draw_section(
        "results", "Results", lead,
        draw_success_rates(policies, logs),
        draw_wrong_object_rates(policies),
        draw_differences(policies),
        draw_counterfactual(policies),
        draw_tunings(policies),
    )  # fmt: skip
