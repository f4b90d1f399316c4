"""Decisions of a review: one file beside the data set, written whole after every key."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from qsft_datasets.labeling.outcome import Verdict
from vlm_qsft.data.reader import DatasetReader
from vlm_qsft.data.source_files import read_json
from vlm_qsft.data.storage import write_durably
from vlm_qsft.errors import DatasetError

FILE_NAME = "review.json"
Decision = Literal["success", "failure", "skip"]
DECISIONS: tuple[Decision, ...] = ("success", "failure", "skip")


@dataclass
class Decisions:
    """What a person has decided so far.

    Attributes:
        path: of the file.
        identity: of the episodes that were shown, see `identity_of`.
        n_episodes: recorded episodes.
        of: episode -> decision.
    """

    path: Path
    identity: str
    n_episodes: int
    of: dict[int, Decision] = field(default_factory=dict)

    def decide(self, episode: int, decision: Decision | None) -> None:
        """Note a decision durably, or take it back with None.

        Raises:
            StorageError: disk full or no permission; the decision is not noted.
        """
        changed = dict(self.of)
        changed.pop(episode, None)
        if decision is not None:
            changed[episode] = decision
        content = {"identity": self.identity, "decisions": {str(e): changed[e] for e in sorted(changed)}}
        write_durably(self.path, (json.dumps(content, indent=1) + "\n").encode())
        self.of = changed

    def verdicts(self) -> list[Verdict | None]:
        """Return what was decided of every episode; None where it was skipped or not shown yet."""
        decided = [self.of.get(episode) for episode in range(self.n_episodes)]
        return [None if what in (None, "skip") else Verdict(what == "success", "review") for what in decided]


def read_decisions(reader: DatasetReader, n_episodes: int) -> Decisions:
    """Return the decisions on a data set so far; none where there is no file.

    Raises:
        DatasetError: the file is damaged, or was made for other episodes.
    """
    path, identity = reader.root / FILE_NAME, identity_of(reader, n_episodes)
    if not path.exists():
        return Decisions(path, identity, n_episodes)
    content = read_json(path)
    decided = content.get("decisions")
    if not isinstance(decided, dict) or not all(
        key.isdecimal() and int(key) < n_episodes and what in DECISIONS for key, what in decided.items()
    ):
        raise DatasetError(f"{path} holds no decisions of a review. Delete it to begin again.")
    if content.get("identity") != identity:
        raise DatasetError(
            f"{path} was made for other episodes than {reader.root} has now. Delete it to review them again."
        )
    return Decisions(path, identity, n_episodes, {int(key): cast(Decision, what) for key, what in decided.items()})


def identity_of(reader: DatasetReader, n_episodes: int) -> str:
    """Return a hash that tells whether these are the episodes that a person has seen: of lengths and instructions."""
    table = reader.episodes
    facts = [[int(table.length[e]), table.instruction[e]] for e in range(n_episodes)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
