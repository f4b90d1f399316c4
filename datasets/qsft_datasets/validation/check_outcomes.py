"""Outcomes: there are labels, successes and failures, and they are known instead of assumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from qsft_datasets.validation.finding import Fact, Result, at_episodes, error, warning
from qsft_datasets.validation.subject import Subject
from vlm_qsft.data.episode_table import OUTCOME_SOURCE
from vlm_qsft.data.schema import LABEL_DTYPES


def check_outcomes(subject: Subject) -> Iterator[Result]:
    """Look at the success rate and at where it comes from."""
    missing = [key for key in LABEL_DTYPES if key not in subject.features]
    success = subject.entries("success")
    if missing or success is None:
        what = ", ".join(missing) if missing else "the outcome of every episode"
        yield warning(
            f"The data set has no labels (missing: {what}): it is good for SFT only.",
            "Label it: `qsft label FOLDER --rule binary01 --outcome ...`.",
        )
        return
    empty = [episode for episode, flag in enumerate(success) if flag is None]
    if empty:
        yield error("An episode has no outcome.", "Label the data set again: `qsft label`.", **at_episodes(empty))
    recorded = [bool(flag) for episode, flag in enumerate(success) if episode not in subject.copies]
    successes = sum(recorded)
    share = successes / max(1, len(recorded))
    copies = f", and {len(subject.copies)} counterfactual failures" if subject.copies else ""
    yield Fact("success rate", f"{share:.1%} ({successes} of {len(recorded)} recorded episodes{copies})")
    if successes == len(recorded) and not subject.copies:
        yield warning(
            "Every episode is a success: on successes alone Q-SFT is SFT.",
            "Add failed episodes, check where the outcomes come from, or add counterfactual negatives.",
        )
    if successes == 0:
        yield warning(
            "No episode is a success: every return has the same value, and there is nothing to learn from.",
            "Check where the outcomes come from (`qsft label --outcome ...`).",
        )
    sources = subject.attribute(OUTCOME_SOURCE)
    if sources is not None:
        counts = Counter(str(source) for source in sources)
        yield Fact("outcomes by", ", ".join(f"{source} {count}" for source, count in sorted(counts.items())))
        assumed = [episode for episode, source in enumerate(sources) if source == "assumed"]
        if assumed:
            yield warning(
                f"The outcome of {len(assumed)} episodes is assumed, not known.",
                "Find a source: `qsft label --outcome csv FILE` or `--outcome review`.",
                **at_episodes(assumed),
            )
