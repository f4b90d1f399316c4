"""Which episodes go into which shard: decided from the data set alone, before anything is written."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qsft_datasets.rlds.canonical_rows import CanonicalRows
from vlm_qsft.errors import DatasetError

SHARD_BYTES = 256 * 1024**2
"""TFDS advises 100 to 200 MB; readers shuffle between shards and read one stretch of each."""
RANGE = re.compile(r"(\d{1,12}):(\d{1,12})")


@dataclass(frozen=True)
class PlannedShard:
    """One file of the export: the episodes `first` to `end` - 1."""

    split: str
    file: str
    first: int
    end: int

    @property
    def n_episodes(self) -> int:
        """Records of the file."""
        return self.end - self.first


def plan_shards(rows: CanonicalRows, name: str, *, shard_bytes: int) -> list[PlannedShard]:
    """Return the shards of every split, each of at most `shard_bytes` unless one episode is larger.

    Raises:
        DatasetError: no episode, or the splits of the data set overlap or leave episodes out.
    """
    if not rows.n_episodes:
        raise DatasetError(f"{rows.root} has no episode to export.")
    result = []
    for split, first, end in split_ranges(rows):
        starts = [first]
        used = 0
        for index in range(first, end):
            size = rows.size_bytes(index)
            if used and used + size > shard_bytes:
                starts.append(index)
                used = 0
            used += size
        count = len(starts)
        for number, (start, stop) in enumerate(zip(starts, [*starts[1:], end], strict=True)):
            digits = max(5, len(str(count)))
            file = f"{name}-{split}.tfrecord-{number:0{digits}d}-of-{count:0{digits}d}"
            result.append(PlannedShard(split, file, start, stop))
    return result


def split_ranges(rows: CanonicalRows) -> list[tuple[str, int, int]]:
    """Return (split, first episode, end) as meta/info.json says, in the order of the episodes.

    Raises:
        DatasetError: they are no ranges, overlap, or leave episodes out.
    """
    ranges = []
    for split, text in (rows.splits or {"train": f"0:{rows.n_episodes}"}).items():
        match = RANGE.fullmatch(str(text))
        if match is None or re.fullmatch(r"\w[\w-]*", split, re.ASCII) is None:
            raise DatasetError(f"{rows.root}: split '{split}' is {text!r}; expected a range of episodes, '0:10'.")
        ranges.append((split, int(match[1]), int(match[2])))
    ranges = sorted((part for part in ranges if part[1] < part[2]), key=lambda part: part[1])
    reached = 0
    for split, first, end in ranges:
        if first != reached:
            raise DatasetError(
                f"{rows.root}: split '{split}' begins at episode {first}, the splits before it end at {reached}. "
                "Every episode must be in one split: correct meta/info.json."
            )
        reached = end
    if reached != rows.n_episodes:
        raise DatasetError(f"{rows.root}: its splits end at episode {reached}; it has {rows.n_episodes}.")
    return ranges
