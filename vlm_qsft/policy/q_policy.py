"""`QPolicy`: a checkpoint and policy settings become decisions."""

from __future__ import annotations

import math
import time

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from vlm_qsft.errors import InvalidSetting, NotFinite
from vlm_qsft.model import Checkpoint, ModelInputs, RobotScorer, inputs_from_observation, renormalise_bins
from vlm_qsft.policy.decoding import choose_decoding
from vlm_qsft.policy.next_token import TokenLogProbs, next_distribution
from vlm_qsft.policy.settings import PolicySettings
from vlm_qsft.qsft import behavior_value, log_likelihood_ratio
from vlm_qsft.types import Decision, Observation

NAN = float("nan")


class QPolicy:
    """Decides by SFT or by Q-SFT, whatever the settings say; implements `vlm_qsft.types.Policy`.

    One pass over observation and instruction, then one step per action token with what was computed before kept.
    Networks that the extraction does not need are not evaluated, unless `explain` asks for their Q-values.
    """

    def __init__(
        self, checkpoint: Checkpoint, settings: PolicySettings, device: torch.device | str, *, explain: bool = False
    ) -> None:
        """Build the policy.

        Args:
            checkpoint: with the networks that the settings need.
            settings: of the extraction.
            device: where to compute.
            explain: fill `Decision.q_values` and `Decision.value` also when the extraction needs one network and the
                checkpoint has both, at the price of one more pass. Without it they are NaN there.

        Raises:
            InvalidSetting: the extraction needs a network that the checkpoint lacks, or it holds a critic.
        """
        self.settings = settings
        self.checkpoint = checkpoint
        method = checkpoint.metadata.get("train", {}).get("method", "qsft")
        if method != "qsft":
            raise InvalidSetting(
                f"{checkpoint.folder} holds a critic ({method}), a rival on text; robots decide by p_theta."
            )
        self._device = torch.device(device)
        behavior, q_model = (_on(scorer, self._device) for scorer in (checkpoint.behavior, checkpoint.q_model))
        for name, is_needed, scorer in (
            ("behavior policy", settings.needs_behavior, behavior),
            ("likelihood model", settings.needs_q_model, q_model),
        ):
            if is_needed and scorer is None:
                possible = "single" if behavior is None else "sft"
                raise InvalidSetting(
                    f"The extraction '{settings.extraction}' needs a {name}, which {checkpoint.folder} does not hold. "
                    f"Use the extraction '{possible}' or a checkpoint of the Q phase."
                )
        self._decoding = choose_decoding(
            behavior if settings.needs_behavior else None, q_model if settings.needs_q_model else None
        )
        explains_behavior = explain and not settings.needs_behavior
        explains_q_model = explain and not settings.needs_q_model
        self._asked_later = behavior if explains_behavior else q_model if explains_q_model else None
        self._encoder = behavior or q_model
        self._remainder = checkpoint.metadata.get("train", {}).get("remainder", "dummy")
        self._text: tuple[Tensor, Tensor] | None = None
        self._generator = torch.Generator(self._device)

    @property
    def bin_centers(self) -> Float[np.ndarray, "action_dim n_bins"]:
        """What every action bin decodes to, physical units."""
        return self.checkpoint.action_tokenizer.centers

    def reset(self, instruction: str, *, seed: int | None = None) -> None:
        """Begin an episode; `seed` fixes every random draw until the next reset.

        Raises:
            UnknownName, ShapeMismatch: the model has no words for the instruction, or no room for it.
        """
        assert self._encoder is not None
        text, text_mask = self._encoder.encode_instructions([instruction])
        self._text = text, text_mask
        if seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(seed)

    @torch.inference_mode()
    def act(self, observation: Observation) -> Decision:
        """Decide from one observation.

        Raises:
            InvalidSetting: there was no `reset`.
            UnknownName: a camera is missing.
            ShapeMismatch: a picture or the state has another shape or type.
            NotFinite: the state, or what a network computes, holds NaN or infinity.
        """
        begin_s = time.perf_counter()
        if self._text is None:
            raise InvalidSetting("The policy has no instruction: call reset(instruction) before act(observation).")
        text, text_mask = self._text
        spec, tokenizer = self.checkpoint.spec, self.checkpoint.action_tokenizer
        inputs = inputs_from_observation(observation, spec, text=text, text_mask=text_mask).to(self._device)
        state = self._decoding.start(inputs)
        previous: Tensor | None = None
        said: list[TokenLogProbs] = []
        distributions: list[Tensor] = []
        chosen: list[Tensor] = []
        for _ in range(spec.n_tokens):
            token = self._decoding.step(state, previous)
            distribution = next_distribution(token, self.settings)
            previous = torch.multinomial(distribution.exp(), 1, generator=self._generator)[:, 0]
            said.append(token)
            distributions.append(distribution)
            chosen.append(previous)
        bins = torch.stack(chosen, 1)
        log_p, log_pi = self._complete(inputs, bins, said)
        probabilities = torch.cat(distributions).exp()
        rows = (tokenizer.chunk, tokenizer.action_dim)
        action_bins = bins.view(rows).cpu().numpy()
        return Decision(
            action=tokenizer.decode(action_bins),
            action_bins=action_bins,
            q_values=_q_values(log_p, log_pi, like=probabilities).view(*rows, spec.n_bins).cpu().numpy(),
            probabilities=probabilities.view(*rows, spec.n_bins).cpu().numpy(),
            value=self._value(log_p, log_pi),
            entropy=float(torch.special.entr(probabilities).sum(-1).mean()),
            latency_s=time.perf_counter() - begin_s,
        )

    def _complete(
        self, inputs: ModelInputs, bins: Int64[Tensor, "1 token"], said: list[TokenLogProbs]
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return log p_theta and log pi_phi of all tokens, "token ..."; None for a network that is not asked at all."""
        log_p = _joined([token.log_p for token in said])
        log_pi = _joined([token.log_pi for token in said])
        if self._asked_later is None:
            return log_p, log_pi
        later = self._asked_later.log_probs(inputs, bins)[0]
        return (later, log_pi) if log_p is None else (log_p, renormalise_bins(later))

    def _value(self, log_p: Tensor | None, log_pi: Tensor | None) -> float:
        if log_p is None or (log_pi is None and self._remainder == "uniform"):
            return NAN
        value = float(behavior_value(log_p[0], None if log_pi is None else log_pi[0], self._remainder))
        if not math.isfinite(value):
            raise NotFinite(f"The value is {value}: the likelihood model's weights or inputs hold NaN.")
        return value


def _on(scorer: RobotScorer | None, device: torch.device) -> RobotScorer | None:
    return None if scorer is None else scorer.to(device).eval()


def _joined(tokens: list[Tensor | None]) -> Tensor | None:
    given = [token for token in tokens if token is not None]
    return torch.cat(given) if given else None


def _q_values(log_p: Tensor | None, log_pi: Tensor | None, *, like: Tensor) -> Float32[Tensor, "token n_bins"]:
    if log_p is None or log_pi is None:
        return torch.full_like(like, NAN)
    return log_likelihood_ratio(log_p, log_pi, clip=True).exp()
