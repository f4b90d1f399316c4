"""`QLogitsProcessor`: `model.generate` of transformers draws from the policy that Q-SFT extracts.

    processor = QLogitsProcessor(behavior, q_model, settings, attention_mask=mask)
    tokens = processor.model.generate(prompt, attention_mask=mask, max_new_tokens=40, **processor.generation_settings)

`generate` runs one network with its own keys and values; the processor reads the same tokens with the other one, which
keeps its own too. An extraction that needs one network costs one.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from vlm_qsft.errors import InvalidSetting, ShapeMismatch
from vlm_qsft.model.action_logits import split_dummy
from vlm_qsft.model.text_scorer import TextMemory, TextScorer
from vlm_qsft.policy.next_token import TokenLogProbs, next_distribution
from vlm_qsft.policy.settings import PolicySettings


class QLogitsProcessor(LogitsProcessor):
    """See the module.

    Attributes:
        model: the network to call `generate` of.
        said: what the networks said about the token that is drawn next; the dummy of log p_theta means nothing where
            `generate` itself runs p_theta, because it computes the words alone.
    """

    def __init__(
        self,
        behavior: TextScorer | None,
        q_model: TextScorer | None,
        settings: PolicySettings,
        *,
        attention_mask: Bool[Tensor, "batch token"] | Int64[Tensor, "batch token"] | None = None,
    ) -> None:
        """Choose who generates and who is asked beside.

        Args:
            attention_mask: of the prompt, as `generate` gets it, where prompts of different lengths are padded on the
                left; None where nothing is padded.

        Raises:
            InvalidSetting: the extraction needs a network that is not there, or the settings ask for several
                candidates, or for what only games have.
        """
        generating = behavior if settings.needs_behavior else q_model
        if generating is None or (settings.needs_q_model and q_model is None):
            raise InvalidSetting(f"The extraction '{settings.extraction}' needs a network that is not there.")
        if settings.candidates > 1:
            raise InvalidSetting(
                f"generate draws one answer per row, not {settings.candidates} candidates: set candidates=1, and use "
                "its own num_return_sequences or num_beams."
            )
        if settings.of_games is not None:
            raise InvalidSetting(f"{settings.of_games} is a setting of games; generate knows one prompt and no game.")
        self._settings = settings
        self._beside = q_model if settings.needs_behavior and settings.needs_q_model else None
        self._prompt_mask = None if attention_mask is None else attention_mask.bool()
        self._memory: TextMemory | None = None
        self._read: Tensor | None = None
        self.model: Any = generating.model
        self.said = TokenLogProbs(None, None)

    @property
    def generation_settings(self) -> dict[str, Any]:
        """Return the arguments of `generate` that draw from the policy as it is, without a filter of their own."""
        return {
            "do_sample": True,
            "temperature": 1.0,
            "top_k": 0,
            "top_p": 1.0,
            "num_beams": 1,
            "logits_processor": LogitsProcessorList([self]),
        }

    @torch.inference_mode()
    def __call__(
        self, input_ids: Int64[Tensor, "batch token"], scores: Float[Tensor, "batch word"]
    ) -> Float[Tensor, "batch word"]:
        """Return the log-probabilities of the policy in the place of the scores.

        Raises:
            ShapeMismatch: the mask is of another prompt.
            NotFinite: a network says NaN.
        """
        log_words = scores.float().log_softmax(-1)
        if not self._settings.needs_behavior:
            self.said = TokenLogProbs(torch.nn.functional.pad(log_words, (0, 1), value=-torch.inf), None)
        elif self._beside is None:
            self.said = TokenLogProbs(None, log_words)
        else:
            self.said = TokenLogProbs(self._log_p(self._beside, input_ids), log_words)
        return next_distribution(self.said, self._settings)

    def _log_p(self, q_model: TextScorer, input_ids: Tensor) -> Tensor:
        done = 0 if self._read is None else self._read.shape[1]
        goes_on = (
            self._read is not None
            and len(self._read) == len(input_ids)
            and done < input_ids.shape[1]
            and bool(torch.equal(self._read, input_ids[:, :done]))
        )
        if self._memory is None or not goes_on:  # the first call, another prompt, or beams that changed places
            self._memory, done = q_model.begin(len(input_ids)), 0
        is_token = torch.ones_like(input_ids, dtype=torch.bool)
        if self._prompt_mask is not None:
            if len(self._prompt_mask) != len(input_ids) or self._prompt_mask.shape[1] > input_ids.shape[1]:
                raise ShapeMismatch(
                    f"The mask has shape {tuple(self._prompt_mask.shape)}, the tokens {tuple(input_ids.shape)}: it is "
                    "of another prompt. Make a processor for every call of generate."
                )
            is_token[:, : self._prompt_mask.shape[1]] = self._prompt_mask
        self._read = input_ids.clone()
        return split_dummy(q_model.read(self._memory, input_ids[:, done:], is_token[:, done:]))
