"""TextDataset: batches of action tokens from packed contexts, for the trainers that robots are trained with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from vlm_qsft.dialogue.packing import packed_rows
from vlm_qsft.dialogue.text_table import TextTable
from vlm_qsft.model.text_inputs import TextInputs
from vlm_qsft.training.batch import TokenBatch, Transitions
from vlm_qsft.training.q_columns import QColumns
from vlm_qsft.training.sampler import BatchRequest
from vlm_qsft.training.token_dataset import TokenDataset

ROW_LENGTH = 32
"""Places of a packed row, unless a context is longer: attention costs the square of it, padding the rest.

Shorter rows cost more again on a CPU, where torch's attention has a price for every row."""


@dataclass(frozen=True)
class TextSource:
    """Everything a scorer sees of logged conversations.

    Attributes:
        table: contexts and rows.
    """

    table: TextTable

    @property
    def n_rows(self) -> int:
        """Return the number of logged action tokens."""
        return len(self.table.token)

    def rows(self, begin: int, stop: int) -> tuple[TextInputs, Int64[Tensor, "batch 1"]]:
        """Return the states and the tokens of these rows."""
        rows = np.arange(begin, stop)
        return self.inputs(self.table.context[rows], self.table.place[rows]), self.tokens(rows)

    def tokens(self, rows: Int64[np.ndarray, " batch"]) -> Int64[Tensor, "batch 1"]:
        """Return the tokens that were chosen."""
        return torch.from_numpy(self.table.token[rows])[:, None]

    def observed(
        self, contexts: Int64[np.ndarray, " drawn"]
    ) -> tuple[Int64[np.ndarray, " batch"], Int64[np.ndarray, " batch"], Int64[np.ndarray, " batch"]]:
        """Return the observed tokens of some contexts but the first of each, which nothing precedes.

        Returns:
            The index in `contexts` of each, the place before it, and the token.
        """
        table = self.table
        drawn, places, tokens = [], [], []
        for number, context in enumerate(contexts.tolist()):
            content = table.contents[table.content[context]]
            chosen = table.place[table.first_row[context] : table.first_row[context + 1]]
            before = np.setdiff1d(np.arange(len(content) - 1), chosen, assume_unique=True)
            drawn.append(np.full(len(before), number))
            places.append(before)
            tokens.append(content[before + 1])
        return np.concatenate(drawn), np.concatenate(places), np.concatenate(tokens)

    def inputs(self, contexts: Int64[np.ndarray, " batch"], places: Int64[np.ndarray, " batch"]) -> TextInputs:
        """Return states, each a place in a context; every distinct content is packed and read once."""
        distinct, content = np.unique(self.table.content[contexts], return_inverse=True)
        packed = packed_rows([self.table.contents[number] for number in distinct], length=ROW_LENGTH)
        return TextInputs(
            token_ids=torch.from_numpy(packed.token_ids),
            context=torch.from_numpy(packed.context),
            position=torch.from_numpy(packed.position),
            row=torch.from_numpy(packed.row[content]),
            place=torch.from_numpy(packed.offset[content] + places),
        )


class TextDataset(TokenDataset):
    """The contexts of one split; a batch holds every action token of the contexts that are asked for.

    With `observed_weight`, and in the behavior phase alone, it holds the observed tokens too, as further rows: to
    predict what a game will answer takes the same understanding of its past as a good move does, and there is more of
    it to learn from. No policy ever says them.
    """

    def __init__(
        self,
        source: TextSource,
        contexts: Int64[np.ndarray, " chosen"],
        *,
        q_columns: QColumns | None = None,
        observed_weight: float = 0.0,
    ) -> None:
        """Choose contexts.

        Args:
            contexts: of the split, each with an action token.
            q_columns: given in the Q phase.
            observed_weight: of the mean loss on observed tokens beside the mean loss on action tokens.
        """
        self.source, self.frames = source, contexts
        self._q_columns = q_columns
        self._mean_rows = float(np.mean(source.table.n_trained[contexts]))
        self._observed_weight = observed_weight
        n_observed = len(source.observed(contexts)[0]) if observed_weight else 0
        self._mean_observed = n_observed / len(contexts)

    @property
    def odds(self) -> Float32[np.ndarray, " chosen"]:
        """Return the mean return of the action tokens of each context."""
        table = self.source.table
        returns = np.where(table.trained, np.maximum(table.returns, 0.0), 0.0)
        sums = np.append(0.0, np.cumsum(returns, dtype=np.float64))
        begin, stop = table.first_row[self.frames], table.first_row[self.frames + 1]
        return ((sums[stop] - sums[begin]) / table.n_trained[self.frames]).astype(np.float32)

    def __getitems__(self, request: BatchRequest) -> TokenBatch:
        """Return the batch of a request; the DataLoader calls this with what the sampler yields."""
        table, columns = self.source.table, self._q_columns
        rows = table.rows_of(request.frames)
        counts = table.n_trained[request.frames]
        importance = np.ones(len(request.frames)) if request.importance is None else request.importance
        # A loss is a mean over rows; with these weights every context counts by its rows, however many a batch has.
        weights = np.repeat(importance, counts) * (len(rows) / (len(request.frames) * self._mean_rows))
        logged_log_pi = first_log_pi = transitions = None
        if self._mean_observed:
            return self._with_observed(request.frames, rows, weights, importance)
        if columns is not None:
            logged_log_pi = torch.from_numpy(columns.log_pi.logged(rows))
            if columns.value_needs_behavior:
                first_log_pi = torch.from_numpy(columns.log_pi.first(rows))
            if columns.transitions is not None:
                transitions = self._transitions(rows, columns)
        return TokenBatch(
            inputs=self.source.inputs(table.context[rows], table.place[rows]),
            action_bins=self.source.tokens(rows),
            weights=torch.from_numpy(weights.astype(np.float32)),
            returns=torch.from_numpy(table.returns[rows]),
            logged_log_pi=logged_log_pi,
            first_log_pi=first_log_pi,
            transitions=transitions,
        )

    def _with_observed(
        self,
        contexts: Int64[np.ndarray, " drawn"],
        rows: Int64[np.ndarray, " batch"],
        weights: Float64[np.ndarray, " batch"],
        importance: Float64[np.ndarray, " drawn"],
    ) -> TokenBatch:
        """Return a batch of action tokens and then of observed ones; the loss is the sum of two means."""
        table = self.source.table
        drawn, places, tokens = self.source.observed(contexts)
        of_observed = importance[drawn] * (self._observed_weight / (len(contexts) * self._mean_observed))
        n_all = len(rows) + len(drawn)
        every = np.concatenate([weights * (n_all / len(rows)), of_observed * n_all])
        return TokenBatch(
            inputs=self.source.inputs(
                np.concatenate([table.context[rows], contexts[drawn]]), np.concatenate([table.place[rows], places])
            ),
            action_bins=torch.cat([self.source.tokens(rows), torch.from_numpy(tokens)[:, None]]),
            weights=torch.from_numpy(every.astype(np.float32)),
            returns=torch.from_numpy(np.concatenate([table.returns[rows], np.zeros(len(drawn), np.float32)])),
        )

    def _transitions(self, rows: Int64[np.ndarray, " batch"], columns: QColumns) -> Transitions:
        table, step = self.source.table, self.source.table.transitions
        next_context, next_place = table.next_context[rows], table.next_place[rows]
        log_pi_next = None
        if "log_pi_next" in columns.needs:
            # pi_phi is cached where something was chosen: both networks must speak of the same state.
            next_rows = step.next_frame[rows]
            next_context, next_place = table.context[next_rows], table.place[next_rows]
            log_pi_next = torch.from_numpy(columns.log_pi.first(next_rows))
        reaches_on = step.bootstrap_mask[rows]
        next_context = np.where(reaches_on, next_context, table.context[rows])
        next_place = np.where(reaches_on, next_place, table.place[rows])
        return Transitions(
            inputs=None,
            next_inputs=self.source.inputs(next_context, next_place),
            reward=torch.from_numpy(step.reward[rows]),
            discount=torch.from_numpy(step.discount[rows]),
            bootstrap_mask=torch.from_numpy(reaches_on),
            log_pi=None,
            log_pi_next=log_pi_next,
        )
