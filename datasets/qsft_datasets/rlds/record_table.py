"""Where all records of a data set lie: a few numbers per record, turned into references when they are asked for."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from qsft_datasets.source import EpisodeReference


@dataclass(frozen=True)
class ShardRecords:
    """The records of one shard.

    Attributes:
        file: below the root of the source.
        name: of the file alone, for people.
        split: that it belongs to.
        width: numbers per record.
        positions: of all records, one after the other, `width` numbers each.
        loss: where the records behind these are lost, and why; "" where none are.
        n_lost: how many these are, as far as that is known: one reference each, so that the episodes of a data set keep
            their keys and numbers while a shard is missing. Where it is not, one reference stands for all.
    """

    file: str
    name: str
    split: str
    width: int
    positions: array[int]
    loss: str = ""
    n_lost: int = 1

    @property
    def n_records(self) -> int:
        """Records that were found."""
        return len(self.positions) // self.width

    @property
    def n_references(self) -> int:
        """Records that were found, and those that were not."""
        return self.n_records + (self.n_lost if self.loss else 0)

    def reference(self, number: int) -> EpisodeReference:
        """Return the reference of a record; those behind the last that was found are lost."""
        place = self.positions[number * self.width : (number + 1) * self.width]
        lost = self.loss if number >= self.n_records else ""
        return EpisodeReference(f"{self.name}#{number}", self.file, (number, *place), self.split, lost)


class RecordTable(Sequence[EpisodeReference]):
    """The references of a data set in the order of its shards."""

    def __init__(self, shards: Sequence[ShardRecords]) -> None:
        self._shards = list(shards)
        self._ends: list[int] = []
        for shard in self._shards:
            self._ends.append((self._ends[-1] if self._ends else 0) + shard.n_references)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> EpisodeReference: ...

    @overload
    def __getitem__(self, index: slice) -> list[EpisodeReference]: ...

    def __getitem__(self, index: int | slice) -> EpisodeReference | list[EpisodeReference]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"There are {len(self)} references, {index} is none of them.")
        shard = bisect_right(self._ends, number)
        return self._shards[shard].reference(number - (self._ends[shard - 1] if shard else 0))
