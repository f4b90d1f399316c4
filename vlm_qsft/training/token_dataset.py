"""What a phase trains on, whoever acts in it: batches of action tokens by request, and rows to cache pi_phi for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Int64
from torch import Tensor
from torch.utils.data import Dataset

from vlm_qsft.model.inputs import ScorerInputs
from vlm_qsft.training.batch import TokenBatch
from vlm_qsft.training.sampler import BatchRequest


@runtime_checkable
class LoggedLogProbs(Protocol):
    """Cached log pi_phi, see `BehaviorCache`; a row is one logged action."""

    def logged(self, rows: Int64[np.ndarray, " batch"]) -> Float[np.ndarray, "batch token"]:
        """Return those of the logged tokens."""
        ...

    def first(self, rows: Int64[np.ndarray, " batch"]) -> Float[np.ndarray, "batch n_bins"]:
        """Return those of every bin of the first token."""
        ...

    def whole(self, rows: Int64[np.ndarray, " batch"]) -> Float[np.ndarray, "batch token n_bins"]:
        """Return those of every bin."""
        ...


@runtime_checkable
class RowSource(Protocol):
    """The logged actions of a whole data set, row by row, without augmentation."""

    @property
    def n_rows(self) -> int:
        """Return the number of logged actions."""
        ...

    def rows(self, begin: int, stop: int) -> tuple[ScorerInputs, Int64[Tensor, "batch token"]]:
        """Return the states and the tokens of these rows."""
        ...


class TokenDataset(Dataset[TokenBatch], ABC):
    """One split; `dataset[request]` is a whole batch, fetched without a loop over its samples.

    Attributes:
        frames: indices of what is drawn: frames of robots, contexts of text.
    """

    frames: Int64[np.ndarray, " chosen"]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, request: BatchRequest) -> TokenBatch:
        return self.__getitems__(request)

    @abstractmethod
    def __getitems__(self, request: BatchRequest) -> TokenBatch:
        """Return the batch of a request; the DataLoader calls this with what the sampler yields."""

    @property
    @abstractmethod
    def odds(self) -> Float32[np.ndarray, " chosen"]:
        """Return by which odds each of `frames` is drawn in the prioritised part of a batch: its return."""

    def batches(self, batch_size: int) -> Iterator[TokenBatch]:
        """Return everything once, in order, without augmentation."""
        for begin in range(0, len(self.frames), batch_size):
            yield self[BatchRequest(self.frames[begin : begin + batch_size])]
