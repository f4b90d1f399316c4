"""LanguageModelTokens: a language model says one token after the other; what it has read before is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache

from vlm_qsft.errors import InvalidSetting


class LanguageModelTokens:
    """Draws tokens from a causal language model of transformers.

    A prompt that begins like what was read before costs only its new part: in a conversation that is the last turn.
    """

    def __init__(self, model: Any, *, temperature: float, seed: int) -> None:
        """Build the source.

        Args:
            model: in evaluation mode.
            temperature: 0 always takes the likeliest token.
            seed: of every draw.

        Raises:
            InvalidSetting: a temperature that is no finite number of at least 0.
        """
        if not (math.isfinite(temperature) and temperature >= 0):
            raise InvalidSetting(f"The temperature is {temperature}; expected a finite number of at least 0.")
        self._model, self._temperature = model, temperature
        self._generator = torch.Generator(model.device).manual_seed(seed)
        self._cache = DynamicCache()
        self._read: list[int] = []
        self._unread: list[int] = []

    def begin(self, prompt: Sequence[int]) -> None:
        """Begin an answer to a prompt, at least one token."""
        same = 0
        for known, token in zip(self._read, prompt[:-1], strict=False):
            if known != token:
                break
            same += 1
        self._cache.crop(same)  # also what a token that was interrupted has left behind
        self._read, self._unread = list(prompt[:same]), list(prompt[same:])

    def forget(self) -> None:
        """Forget the conversation, of which keys and values are kept."""
        self.begin(())

    @torch.inference_mode()
    def next(self) -> tuple[int, float]:
        """Return the next token and its Q-value, which a plain language model does not have: NaN."""
        token_ids = torch.tensor([self._unread], device=self._model.device)
        said = self._model(token_ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        self._read += self._unread
        logits = said.logits[0, -1].float()
        if self._temperature == 0:
            token = int(logits.argmax())
        else:
            probabilities = (logits / self._temperature).softmax(-1)
            token = int(torch.multinomial(probabilities, 1, generator=self._generator))
        self._unread = [token]
        return token, math.nan
