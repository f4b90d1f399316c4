"""Token by token through one scorer, through two, or through two fused into one."""

from __future__ import annotations

from typing import Any, Protocol

from jaxtyping import Int64
from torch import Tensor

from vlm_qsft.model.action_logits import renormalise_bins
from vlm_qsft.model.inputs import ModelInputs
from vlm_qsft.model.robot_scorer import RobotScorer
from vlm_qsft.model.small import SmallVLM
from vlm_qsft.policy.fused_small import can_fuse, fuse
from vlm_qsft.policy.next_token import TokenLogProbs


class Decoding(Protocol):
    """One prefix pass, then one step per token, for a batch of observations."""

    def start(self, inputs: ModelInputs) -> Any:
        """Return where decoding begins."""
        ...

    def step(self, state: Any, previous_bins: Int64[Tensor, " batch"] | None) -> TokenLogProbs:
        """Return the log-probabilities of the next token and advance the state."""
        ...

    def select(self, state: Any, rows: Int64[Tensor, " chosen"]) -> None:
        """Go on with these rows of the batch alone, in their order; a row may be chosen several times."""
        ...


class BehaviorDecoding:
    """pi_phi alone."""

    def __init__(self, behavior: RobotScorer) -> None:
        self._behavior = behavior

    def start(self, inputs: ModelInputs) -> Any:
        """Return where decoding begins."""
        return self._behavior.start(inputs)

    def step(self, state: Any, previous_bins: Int64[Tensor, " batch"] | None) -> TokenLogProbs:
        """Return log pi_phi of the next token."""
        return TokenLogProbs(None, renormalise_bins(self._behavior.next_log_probs(state, previous_bins)))

    def select(self, state: Any, rows: Int64[Tensor, " chosen"]) -> None:
        """Go on with these rows alone."""
        state.select(rows)


class LikelihoodDecoding:
    """p_theta alone."""

    def __init__(self, q_model: RobotScorer) -> None:
        self._q_model = q_model

    def start(self, inputs: ModelInputs) -> Any:
        """Return where decoding begins."""
        return self._q_model.start(inputs)

    def step(self, state: Any, previous_bins: Int64[Tensor, " batch"] | None) -> TokenLogProbs:
        """Return log p_theta of the next token."""
        return TokenLogProbs(self._q_model.next_log_probs(state, previous_bins), None)

    def select(self, state: Any, rows: Int64[Tensor, " chosen"]) -> None:
        """Go on with these rows alone."""
        state.select(rows)


class PairDecoding:
    """pi_phi and p_theta, one after the other; works for every pair of scorers."""

    def __init__(self, behavior: RobotScorer, q_model: RobotScorer) -> None:
        self._behavior, self._q_model = behavior, q_model

    def start(self, inputs: ModelInputs) -> Any:
        """Return where decoding begins, of both."""
        return self._behavior.start(inputs), self._q_model.start(inputs)

    def step(self, state: Any, previous_bins: Int64[Tensor, " batch"] | None) -> TokenLogProbs:
        """Return what both say about the next token."""
        behavior_state, q_state = state
        log_pi = renormalise_bins(self._behavior.next_log_probs(behavior_state, previous_bins))
        return TokenLogProbs(self._q_model.next_log_probs(q_state, previous_bins), log_pi)

    def select(self, state: Any, rows: Int64[Tensor, " chosen"]) -> None:
        """Go on with these rows alone, of both."""
        for of_network in state:
            of_network.select(rows)


class FusedDecoding:
    """pi_phi and p_theta of the small model in one call per layer; for one observation."""

    def __init__(self, behavior: SmallVLM, q_model: SmallVLM) -> None:
        self._both = fuse(behavior, q_model)

    def start(self, inputs: ModelInputs) -> Any:
        """Return where decoding begins, of both."""
        return self._both.start(
            ModelInputs(
                images=inputs.images.expand(2, -1, -1, -1, -1),
                state=inputs.state.expand(2, -1),
                text=inputs.text.expand(2, -1),
                text_mask=inputs.text_mask.expand(2, -1),
            )
        )

    def step(self, state: Any, previous_bins: Int64[Tensor, " batch"] | None) -> TokenLogProbs:
        """Return what both say about the next token."""
        both = self._both.next_log_probs(state, None if previous_bins is None else previous_bins.expand(2))
        return TokenLogProbs(both[1:], renormalise_bins(both[:1]))

    def select(self, state: Any, rows: Int64[Tensor, " chosen"]) -> None:
        """Refuse: the two rows of its batch are the two networks."""
        raise NotImplementedError("The fused networks decide once for one observation; candidates need PairDecoding.")


def choose_decoding(behavior: RobotScorer | None, q_model: RobotScorer | None, *, fuse: bool) -> Decoding:
    """Return a way to ask the networks that are given, at least one.

    Args:
        behavior: pi_phi.
        q_model: p_theta.
        fuse: the fastest way for one observation, and for one only; without it batches of any size.
    """
    if behavior is None:
        if q_model is None:
            raise ValueError("Decoding needs a scorer.")
        return LikelihoodDecoding(q_model)
    if q_model is None:
        return BehaviorDecoding(behavior)
    if fuse and isinstance(behavior, SmallVLM) and isinstance(q_model, SmallVLM) and can_fuse(behavior, q_model):
        return FusedDecoding(behavior, q_model)
    return PairDecoding(behavior, q_model)
