"""What an evaluation episode leaves behind: one line of JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from vlm_qsft.data.storage import storage_errors, write_durably
from vlm_qsft.errors import InvalidSetting

Setting = str | int | float | bool | None
LINE_BEGINS = '{"base": '
"""How every line of `EpisodeResult.to_json` begins: its keys are sorted."""


@dataclass(frozen=True)
class EpisodeResult:
    """One evaluation episode.

    Attributes:
        task: its name.
        base: `seeds.TUNING` or `seeds.EVALUATION`.
        episode: its number; with task and base it names the scene.
        seed: of the scene.
        instruction: what the policy was told.
        success: the instruction was followed within the time limit.
        wrong_object: an object that was not the target was lifted or moved.
        handled: the first object lifted or moved, in words; empty when none was.
        steps: control steps.
        episode_return: sum of rewards, undiscounted.
        mean_value: mean of the policy's V(s) over the episode; NaN where it has none.
        first_value: V(s) of the first observation; NaN where it has none.
        settings: of the policy.
        simulator: what the scene and the pictures depend on beyond the seed: variant, size of pictures, versions.
            Results of another policy, with other settings or another simulator are never mixed.
        policy: identity of the checkpoint that decided; empty for a policy that comes from none.
    """

    task: str
    base: int
    episode: int
    seed: int
    instruction: str
    success: bool
    wrong_object: bool
    handled: str
    steps: int
    episode_return: float
    mean_value: float
    first_value: float
    settings: Mapping[str, Setting] = field(default_factory=dict)
    simulator: Mapping[str, Setting] = field(default_factory=dict)
    policy: str = ""

    def to_json(self) -> str:
        """Return one line; NaN becomes null, because JSON has no NaN."""
        record = asdict(self)
        for name in ("mean_value", "first_value"):
            record[name] = None if math.isnan(record[name]) else record[name]
        return json.dumps(record, sort_keys=True)

    @classmethod
    def from_json(cls, line: str) -> EpisodeResult:
        """Return what `to_json` wrote.

        Raises:
            InvalidSetting: the line is not an episode result; names what is missing or unknown.
        """
        record = {"policy": "", **_parse(line, {field.name for field in fields(cls)})}
        for name in ("mean_value", "first_value"):
            record[name] = math.nan if record[name] is None else record[name]
        for name in ("settings", "simulator"):
            if not isinstance(record[name], dict):
                raise InvalidSetting(f"Not a line of results: expected an object as '{name}', got {record[name]!r}.")
        return cls(**record)


def _parse(line: str, names: set[str]) -> dict:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise InvalidSetting(f"Not a line of results ({error}): {line[:60]!r}") from error
    # Lines of older versions do not say which checkpoint decided.
    if not isinstance(record, dict) or {"policy", *record} != names:
        got = sorted(record) if isinstance(record, dict) else type(record).__name__
        raise InvalidSetting(f"Not a line of results: expected the fields {sorted(names)}, got {got}.")
    return record


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is either not there or complete, in a folder that is made where it does not exist.

    Raises:
        StorageError: disk full, or no permission.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, content)
