"""FrameDataset: whole batches of frames by index, from memory-mapped pictures and columns in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor

from vlm_qsft.model.inputs import ModelInputs
from vlm_qsft.training.augmentation import random_light, random_shift
from vlm_qsft.training.batch import TokenBatch, Transitions
from vlm_qsft.training.frame_table import FrameTable
from vlm_qsft.training.q_columns import QColumns
from vlm_qsft.training.sampler import BatchRequest
from vlm_qsft.training.token_dataset import TokenDataset
from vlm_qsft.training.transition_table import TransitionTable


@runtime_checkable
class PictureSource(Protocol):
    """Where pictures come from: a `FrameCache`, or the reader where they do not fit into one."""

    def __call__(self, frames: Int64[np.ndarray, " batch"]) -> UInt8[np.ndarray, "batch camera height width 3"]:
        """Return the pictures of these frames, resized to the model's size."""
        ...


@dataclass(frozen=True)
class FrameSource:
    """Everything a scorer sees of a data set.

    Attributes:
        table: the columns.
        pictures: of any frames.
        text: `encode_instructions` of `table.instructions`, once.
        text_mask: its mask.
    """

    table: FrameTable
    pictures: PictureSource
    text: Int64[Tensor, "instruction text_len"]
    text_mask: Bool[Tensor, "instruction text_len"]

    @property
    def n_rows(self) -> int:
        """Return the number of frames: each is one logged action."""
        return len(self.table)

    def rows(self, begin: int, stop: int) -> tuple[ModelInputs, Int64[Tensor, "batch token"]]:
        """Return observations and tokens of these frames."""
        frames = np.arange(begin, stop)
        return self.inputs(frames), torch.from_numpy(self.table.tokens(frames))

    def inputs(
        self,
        frames: Int64[np.ndarray, " batch"],
        *,
        shifts: Int64[np.ndarray, "batch 2"] | None = None,
        gains: Float32[np.ndarray, "batch 3"] | None = None,
    ) -> ModelInputs:
        """Return observations and instructions of these frames; `shifts` moves the pictures, `gains` colours them."""
        images = self.pictures(frames)
        if shifts is not None:
            images = random_shift(images, shifts)
        if gains is not None:
            images = random_light(images, gains)
        instruction = torch.from_numpy(self.table.instruction[frames])
        return ModelInputs(
            images=torch.from_numpy(images),
            state=torch.from_numpy(self.table.state[frames]),
            text=self.text[instruction],
            text_mask=self.text_mask[instruction],
        )


class FrameDataset(TokenDataset):
    """The frames of one split; `dataset[request]` is a whole batch, fetched without a loop over its frames."""

    def __init__(
        self,
        source: FrameSource,
        frames: Int64[np.ndarray, " chosen"],
        *,
        q_columns: QColumns | None = None,
    ) -> None:
        """Choose frames.

        Args:
            frames: global indices of the split.
            q_columns: given in the Q phase.
        """
        self.source, self.frames = source, frames
        self._q_columns = q_columns

    @property
    def odds(self) -> Float32[np.ndarray, " chosen"]:
        """Return the returns of the frames."""
        # Rewards that are kept as they are may bring a return just below 0, within the tolerance of targets.
        return np.maximum(self.source.table.returns[self.frames], 0.0)

    def __getitems__(self, request: BatchRequest) -> TokenBatch:
        """Return the batch of a request; the DataLoader calls this with what the sampler yields."""
        frames, table = request.frames, self.source.table
        q_columns = self._q_columns
        inputs = self.source.inputs(frames, shifts=request.shifts, gains=request.gains)
        transitions = logged_log_pi = first_log_pi = None
        if q_columns is not None:
            logged_log_pi = torch.from_numpy(q_columns.log_pi.logged(frames))
            if q_columns.value_needs_behavior:
                first_log_pi = torch.from_numpy(q_columns.log_pi.first(frames))
            if q_columns.transitions is not None:
                transitions = self._transitions(request, q_columns, q_columns.transitions, seen=inputs)
        return TokenBatch(
            inputs=inputs,
            action_bins=torch.from_numpy(table.tokens(frames)),
            weights=torch.ones(len(frames)) if request.importance is None else torch.from_numpy(request.importance),
            returns=torch.from_numpy(table.returns[frames]),
            logged_log_pi=logged_log_pi,
            first_log_pi=first_log_pi,
            transitions=transitions,
        )

    def _transitions(
        self,
        request: BatchRequest,
        q_columns: QColumns,
        table: TransitionTable,
        *,
        seen: ModelInputs,
    ) -> Transitions:
        needs, frames = q_columns.needs, request.frames
        next_frames = table.next_frame[frames]
        stored = None
        if "log_p" in needs:
            # log pi_phi was cached on the stored pictures: the target network must look at the same ones.
            stored = self.source.inputs(frames) if request.augments else seen
        log_pi = torch.from_numpy(q_columns.log_pi.whole(frames)) if "log_pi" in needs else None
        log_pi_next = torch.from_numpy(q_columns.log_pi.first(next_frames)) if "log_pi_next" in needs else None
        return Transitions(
            inputs=stored,
            next_inputs=self.source.inputs(next_frames),
            reward=torch.from_numpy(table.reward[frames]),
            discount=torch.from_numpy(table.discount[frames]),
            bootstrap_mask=torch.from_numpy(table.bootstrap_mask[frames]),
            log_pi=log_pi,
            log_pi_next=log_pi_next,
        )
