"""Muon for the hidden matrices of a network and AdamW for the rest of it, as one optimiser.

Muon (Jordan et al., 2024) moves a matrix by its momentum made nearly orthogonal; scaled to the size of AdamW's step
(Liu et al., arXiv 2502.16982) it takes the same learning rate. Tables of embeddings, the rows that give logits, vectors
and kernels of convolutions are AdamW's, as the authors have it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from vlm_qsft.model.scorer import TokenScorer


class MuonAdamW(Optimizer):
    """Two optimisers that step together; a learning-rate schedule and a checkpoint see one."""

    def __init__(
        self,
        hidden: Sequence[Tensor],
        decayed: Sequence[Tensor],
        plain: Sequence[Tensor],
        *,
        learning_rate: float,
        weight_decay: float,
    ) -> None:
        """Build it.

        Args:
            hidden: matrices of hidden layers, at least one.
            decayed: other parameters that decay.
            plain: parameters that do not.
            learning_rate: of all of them.
            weight_decay: of `hidden` and `decayed`.
        """
        muon = Muon(hidden, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
        rest = [{"params": list(decayed), "weight_decay": weight_decay}, {"params": list(plain), "weight_decay": 0.0}]
        adamw = AdamW([group for group in rest if group["params"]], lr=learning_rate)
        self._parts = {"muon": muon, "adamw": adamw}
        super().__init__([*muon.param_groups, *adamw.param_groups], {"lr": learning_rate})
        self._share_groups()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts.values():
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the state of both."""
        return {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up a state of `state_dict`."""
        for name, part in self._parts.items():
            part.load_state_dict(state_dict[name])
        self._share_groups()

    def _share_groups(self) -> None:
        """Let a schedule that sets the learning rate of a group set it where it counts."""
        self.param_groups = [group for part in self._parts.values() for group in part.param_groups]


def hidden_matrices(scorer: TokenScorer[Any]) -> dict[str, Tensor]:
    """Return name -> weight of the trained linear layers between a scorer's embeddings and its logits."""
    tables = [module for module in scorer.modules() if isinstance(module, nn.Embedding)]
    outer = {id(weight) for layer in (*tables, *scorer.readout) for weight in layer.parameters()}
    return {
        f"{name}.weight": module.weight
        for name, module in scorer.named_modules()
        if isinstance(module, nn.Linear) and module.weight.requires_grad and id(module.weight) not in outer
    }
