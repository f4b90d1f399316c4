"""`SymmetricReader`: a state is read in every way in which its game can be seen; what counts are the means."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from vlm_qsft.dialogue.tasks import language_task
from vlm_qsft.dialogue.text_format import TextFormat
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.model.text_scorer import TextScorer
from vlm_qsft.policy.next_token import NOT_SAID, TokenLogProbs
from vlm_qsft.policy.settings import PolicySettings
from vlm_qsft.policy.text_reader import ReaderState, TextReader, padded


@dataclass
class SymmetricState(ReaderState):
    """What the networks keep of all views of each conversation, which stand beside each other.

    Attributes:
        n_views: of each conversation.
        is_begun: something was read.
    """

    n_views: int
    is_begun: bool = False

    def select(self, rows: Int64[Tensor, " chosen"]) -> None:
        """Keep these conversations alone, in their order."""
        super().select((rows[:, None] * self.n_views + torch.arange(self.n_views, device=rows.device)).flatten())


class SymmetricReader(TextReader):
    """Reads what is observed as it is and as it would be seen otherwise, and returns the normalised means.

    For games whose state is one observation and whose action texts are one token each: what is said in a view is one
    token of it for each of the state. The errors of a network differ from view to view, what is right does not. A token
    that is not said in a view, as what begins no text of the game, has the mean of the others.
    """

    def __init__(
        self,
        behavior: TextScorer | None,
        q_model: TextScorer | None,
        settings: PolicySettings,
        text_format: TextFormat,
        *,
        is_critic: bool = False,
    ) -> None:
        """Prepare the views.

        Raises:
            InvalidSetting: the extraction needs a network that is not there, the game has no symmetries, its states are
                more than one observation, or the model has a tokenizer of its own.
        """
        super().__init__(behavior, q_model, settings, is_critic=is_critic)
        self._symmetries = language_task(text_format.task).symmetries()
        if len(self._symmetries) == 1 or text_format.context_turns != 1:
            raise InvalidSetting(f"A state of '{text_format.task}' can be seen in one way: set symmetries=False.")
        self._tokenizer = text_format.tokenizer
        number = {text: token for token, text in enumerate(self._tokenizer.vocabulary)}
        said = [[number.get(symmetry.said(text) or "", NOT_SAID) for text in number] for symmetry in self._symmetries]
        self._said: Int64[Tensor, "view token"] = torch.tensor(said)
        self._said[0] = torch.arange(len(number))

    def begin(self, batch: int) -> SymmetricState:
        """Return the state of conversations of which nothing was read."""
        state = super().begin(batch * len(self._symmetries))
        return SymmetricState(state.behavior, state.q_model, len(self._symmetries))

    def read(
        self, state: ReaderState, token_ids: Int64[Tensor, "batch token"], is_token: Bool[Tensor, "batch token"]
    ) -> TokenLogProbs:
        """Read an observation, and say something about the action text; see `TextReader.read`.

        Whatever is read behind it, as the rest of a text that is none of the game, is read in the state as it is.
        """
        assert isinstance(state, SymmetricState)
        if state.is_begun:
            rows = torch.arange(len(token_ids)).repeat_interleave(state.n_views)
            said = super().read(state, token_ids[rows.to(token_ids.device)], is_token[rows.to(is_token.device)])
            return said.of(torch.arange(0, len(rows), state.n_views))
        state.is_begun = True
        views = [
            self._tokenizer.encode(symmetry.observed(self._tokenizer.decode(tokens[there].tolist())))
            for tokens, there in zip(token_ids, is_token, strict=True)
            for symmetry in self._symmetries
        ]
        return super().read(state, *padded(views)).mean_of_views(self._said)
