"""How policies are called and coloured on the page."""

from __future__ import annotations

SHOWN = {"qsft": "Q-SFT", "sft_success": "SFT on successes", "sft": "SFT"}
"""Folder name -> shown name, in the order of the tables: the one that is presented first."""

OTHER_COLOURS = 3  # classes `policy-other-0` ... of the style sheet


def shown_name(policy: str) -> str:
    """Return what the page calls a policy; a policy that is not one of the three keeps its folder's name."""
    return SHOWN.get(policy, policy)


def series_class(policy: str) -> str:
    """Return the class that gives a policy its colour everywhere on the page."""
    if policy in SHOWN:
        return f"policy-{policy.replace('_', '-')}"
    return f"policy-other-{sum(policy.encode()) % OTHER_COLOURS}"


def in_order(policies: list[str]) -> list[str]:
    """Return the policies as the tables list them: the known three first, others by name."""
    known = list(SHOWN)
    return sorted(policies, key=lambda policy: (known.index(policy) if policy in known else len(known), policy))
