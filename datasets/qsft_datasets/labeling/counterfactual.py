"""Counterfactual negatives: a successful episode again, under the instruction of another, as a failure.

They teach a model to listen: without them every instruction in the logs was followed, or at least meant.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qsft_datasets.labeling.outcome import Outcome
from vlm_qsft.errors import DatasetError


@dataclass(frozen=True)
class Counterfactual:
    """One copy.

    Attributes:
        of: the successful episode that it shows.
        instruction: of another episode; not what was done.
        task: index of this instruction in the data set.
    """

    of: int
    instruction: str
    task: int


def choose_counterfactuals(
    outcomes: Sequence[Outcome],
    instructions: Sequence[Sequence[str]],
    tasks: Sequence[str],
    *,
    share: float,
    seed: int,
) -> list[Counterfactual]:
    """Return the copies to make, in the order of their originals.

    Which episodes are chosen, and the instruction of each, follows from hashes of (seed, episode): it does not depend
    on NumPy's generator, and with a larger share the ones chosen before stay. The other instruction is drawn as often
    as episodes have it. Two instructions are the same if they differ in capitals, spaces or a full stop alone; an
    episode whose instruction is empty is neither copied nor drawn from, since nobody knows what it shows.

    Args:
        outcomes: of every recorded episode.
        instructions: of every recorded episode, all that it had.
        tasks: every instruction of the data set, by its index.
        share: of the successful episodes, 0 to 1.
    Raises:
        DatasetError: no episode to copy, or no other instruction.
    """
    if share == 0.0:
        return []
    words = [frozenset(normal(text) for text in texts) for texts in instructions]
    first = np.array([normal(texts[0]) if texts else "" for texts in instructions])
    told = np.flatnonzero(first != "")
    eligible = [episode for episode in told.tolist() if outcomes[episode].success]
    if not eligible:
        raise DatasetError("Counterfactual negatives are copies of successes with an instruction; there is none.")
    if len(np.unique(first[told])) < 2:
        raise DatasetError(
            f"Every episode has the same instruction ('{instructions[int(told[0])][0]}'): there is no wrong one to "
            "give. Use --counterfactual 0."
        )
    ranked = sorted(eligible, key=lambda episode: _digest(seed, episode, "chosen"))
    chosen = sorted(ranked[: round(share * len(eligible))])
    by_instruction = told[np.argsort(first[told], kind="stable")]
    sorted_first = first[by_instruction]
    copies = []
    for episode in chosen:
        own = sorted(_span(text, sorted_first) for text in words[episode])
        n_others = len(sorted_first) - sum(stop - start for start, stop in own)
        if n_others == 0:
            continue  # it was told everything that anyone was told
        place = int.from_bytes(_digest(seed, episode, "instruction")[:8]) % n_others
        for start, stop in own:
            place += stop - start if place >= start else 0
        instruction = instructions[int(by_instruction[place])][0]
        copies.append(Counterfactual(episode, instruction, tasks.index(instruction)))
    return copies


def normal(instruction: str) -> str:
    """Return an instruction without what does not change its meaning."""
    return " ".join(instruction.lower().split()).rstrip(".! ")


def _span(instruction: str, sorted_instructions: np.ndarray) -> tuple[int, int]:
    start, stop = (np.searchsorted(sorted_instructions, instruction, side=side) for side in ("left", "right"))
    return int(start), int(stop)


def _digest(seed: int, episode: int, purpose: str) -> bytes:
    return hashlib.sha256(f"{seed}/{episode}/{purpose}".encode()).digest()
