"""PolicyTokens: the policy of a text checkpoint says one token after the other, with its Q-value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from vlm_qsft.dialogue.checkpoint import TextCheckpoint
from vlm_qsft.dialogue.repeats import SaidBefore
from vlm_qsft.dialogue.speaking import draw, q_values, speak
from vlm_qsft.policy.next_token import TokenLogProbs
from vlm_qsft.policy.settings import PolicySettings
from vlm_qsft.policy.text_reader import ReaderState


class PolicyTokens:
    """Draws tokens from the policy; see `spoken.TokenSource`.

    Where it matters how a text ends, because of several candidates or of texts that are not repeated, it is drawn to
    its end before the first token is told.
    """

    def __init__(
        self, checkpoint: TextCheckpoint, settings: PolicySettings, *, longest: int, seed: int, explain: bool
    ) -> None:
        """Build the source.

        Args:
            checkpoint: with the networks that the settings need.
            settings: of the extraction.
            longest: tokens of an answer; no candidate is drawn further.
            seed: of every draw.
            explain: give Q-values also where the extraction needs one network and the checkpoint has both.

        Raises:
            InvalidSetting: the extraction needs a network that the checkpoint lacks.
        """
        checkpoint.reader(settings)  # what the settings lack is an error of theirs
        asks_both = explain and checkpoint.behavior is not None and checkpoint.q_model is not None
        reader_settings = replace(settings, extraction="ratio") if asks_both else settings
        self._reader = checkpoint.reader(reader_settings)
        self._settings, self._longest = settings, longest
        self._text_format = checkpoint.text_format
        self._generator = torch.Generator().manual_seed(seed)
        self._said_before = SaidBefore()
        self._answer: Iterator[tuple[int, float]] | None = None

    def begin(self, prompt: Sequence[int]) -> None:
        """Begin an answer to a prompt, at least one token."""
        self._answer = self._answered(list(prompt))

    def next(self) -> tuple[int, float]:
        """Return the next token and its Q-value; NaN where one of the networks is not asked."""
        assert self._answer is not None, "begin(prompt) comes before next()"
        return next(self._answer)

    def forget(self) -> None:
        """Forget what was said: another game begins."""
        self._said_before = SaidBefore()

    def _answered(self, prompt: list[int]) -> Iterator[tuple[int, float]]:
        state = self._reader.begin(1)
        said = self._read(state, prompt)
        if self._settings.candidates > 1 or not self._settings.repeats:
            barred = None
            if not self._settings.repeats:
                barred = [self._said_before.entered(self._text_format.state_of(prompt))]
            (text,) = speak(
                self._reader,
                state,
                said,
                self._settings,
                self._text_format.renderer,
                self._generator,
                longest=self._longest,
                barred=barred,
            )
            self._said_before.add(text.token_ids)
            yield from zip(text.token_ids, text.q_values, strict=True)
            return
        while True:
            drawn = draw(said, self._settings, self._generator)
            yield int(drawn), float(q_values(said, drawn))
            said = self._read(state, [int(drawn)])

    def _read(self, state: ReaderState, tokens: Sequence[int]) -> TokenLogProbs:
        token_ids = torch.tensor([list(tokens)])
        return self._reader.read(state, token_ids, torch.ones_like(token_ids, dtype=torch.bool))
