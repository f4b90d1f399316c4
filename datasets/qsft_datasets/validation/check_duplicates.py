"""Duplicates: episodes with the same actions and states, and those that stand in two splits."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from qsft_datasets.validation.finding import Result, at_episodes, error, warning
from qsft_datasets.validation.subject import Subject
from vlm_qsft.data.schema import ACTION_KEY, STATE_KEY

SOURCE_SPLIT = "source_split"
"""Attribute in which a conversion keeps the split of its source."""


def check_duplicates(subject: Subject) -> Iterator[Result]:
    """Compare hashes of episodes."""
    if not subject.has(ACTION_KEY):
        return
    same = [episodes for episodes in by_content(subject).values() if len(episodes) > 1]
    split_of = splits(subject)
    leaked, repeated = [], []
    for episodes in same:
        names = {split_of.get(episode, "") for episode in episodes}
        (leaked if len(names) > 1 else repeated).append(episodes)
    if leaked:
        first = leaked[0]
        where = ", ".join(f"{episode} in '{split_of.get(episode, 'no split')}'" for episode in first[:4])
        yield error(
            f"{len(leaked)} episodes stand in several splits (the same actions and states): {where}.",
            "Leave the copies out: a score on frames that were trained on says nothing.",
            **at_episodes(sorted(episode for episodes in leaked for episode in episodes)),
        )
    if repeated:
        first = repeated[0]
        yield warning(
            f"{len(repeated)} episodes occur several times (the same actions and states): "
            f"{', '.join(map(str, first[:4]))}.",
            "Leave the copies out: they count double, and training may hold one of them out and train on the other.",
            **at_episodes(sorted(episode for episodes in repeated for episode in episodes[1:])),
        )


def by_content(subject: Subject) -> dict[bytes, list[int]]:
    """Return hash of actions and states -> episodes; counterfactual copies are left out."""
    columns = [subject.column(key) for key in (ACTION_KEY, STATE_KEY) if subject.has(key)]
    layout = subject.layout
    found: dict[bytes, list[int]] = defaultdict(list)
    for number, start, length in zip(layout.numbers, layout.starts, layout.lengths, strict=True):
        if int(number) in subject.copies:
            continue
        digest = hashlib.sha256()
        for values in columns:
            digest.update(np.ascontiguousarray(values[start : start + length]).tobytes())
        found[digest.digest()].append(int(number))
    return found


def splits(subject: Subject) -> dict[int, str]:
    """Return episode -> split: that of its source where it is known, else that of meta/info.json."""
    of_source = subject.attribute(SOURCE_SPLIT)
    if of_source is not None and any(of_source):
        return {episode: str(name or "no split") for episode, name in enumerate(of_source)}
    of: dict[int, str] = {}
    stated = subject.info.get("splits")
    for name, span in stated.items() if isinstance(stated, dict) else ():
        first, _, last = str(span).partition(":")
        if first.isdecimal() and last.isdecimal():
            of |= dict.fromkeys(range(int(first), min(int(last), subject.n_episodes)), str(name))
    return of
