"""Speaking: a text policy draws action texts, one for each conversation, all at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from vlm_qsft.dialogue.rendering import Renderer
from vlm_qsft.dialogue.repeats import Barred, TokenIds
from vlm_qsft.policy.candidates import Candidates
from vlm_qsft.policy.next_token import TokenLogProbs, competing, next_distribution
from vlm_qsft.policy.settings import PolicySettings
from vlm_qsft.policy.text_reader import ReaderState, TextReader
from vlm_qsft.qsft import log_likelihood_ratio


@dataclass
class ActionText:
    """What was drawn.

    Attributes:
        token_ids: at least one; the last is an end, or as many as were allowed have been drawn.
        q_values: of each, in [0, 1]; NaN where one of the two networks is not asked.
    """

    token_ids: list[int] = field(default_factory=list)
    q_values: list[float] = field(default_factory=list)


def speak(
    reader: TextReader,
    state: ReaderState,
    said: TokenLogProbs,
    settings: PolicySettings,
    renderer: Renderer,
    generator: torch.Generator,
    *,
    longest: int,
    barred: Sequence[Barred] | None = None,
) -> list[ActionText]:
    """Draw one action text per conversation. Afterwards `state` has read all of it but its last token.

    Args:
        said: about the first token.
        generator: of every draw, on the CPU.
        longest: tokens after which a text stops as it is.
        barred: of each conversation, what was said in its state before; None lets everything be said.

    Raises:
        NotFinite: a network says NaN.
    """
    n_conversations = next(len(part) for part in said if part is not None)
    candidates = Candidates(settings, n_conversations) if settings.candidates > 1 else None
    if candidates is not None:
        said = said.of(candidates.rows)
        state.select(candidates.rows.to(reader.device))
    texts = [ActionText() for _ in range(n_conversations * settings.candidates)]
    speaking = torch.ones(len(texts), dtype=torch.bool)
    while True:
        if barred is not None:
            said = _without_ends(said, texts, barred, settings)
        drawn = draw(said, settings, generator)
        if candidates is not None:
            candidates.add(said, drawn[:, 0], speaking)
        for row, (token, q_value) in enumerate(zip(drawn[:, 0].tolist(), q_values(said, drawn).tolist(), strict=True)):
            if speaking[row]:
                text = texts[row]
                text.token_ids.append(token)
                text.q_values.append(q_value)
                speaking[row] = not renderer.is_end(token) and len(text.token_ids) < longest
        if not speaking.any():
            break
        said = reader.read(state, drawn, speaking[:, None])
    if candidates is None:
        return texts
    taken = candidates.likeliest()
    state.select(taken.to(reader.device))
    return [texts[row] for row in taken.tolist()]


def _without_ends(
    said: TokenLogProbs, texts: Sequence[ActionText], barred: Sequence[Barred], settings: PolicySettings
) -> TokenLogProbs:
    """Return what is said without the last token of each barred text that has been drawn up to it.

    Where that leaves a conversation nothing in the support, what was merely tried may be said again.
    """
    refused = _ends(texts, (barred[row // settings.candidates].refused for row in range(len(texts))))
    said = said.without(refused) if refused else said
    tried = _ends(texts, (barred[row // settings.candidates].tried for row in range(len(texts))))
    if not tried:
        return said
    left = competing(said, settings)
    left[tuple(zip(*tried, strict=True))] = False
    has_others = left.any(-1).tolist()
    tried = [(row, end) for row, end in tried if has_others[row]]
    return said.without(tried) if tried else said


def _ends(texts: Sequence[ActionText], barred: Iterable[Iterable[TokenIds]]) -> list[tuple[int, int]]:
    """Return the rows and last tokens of barred texts that have been drawn up to these."""
    return [
        (row, end)
        for row, (text, of_row) in enumerate(zip(texts, barred, strict=True))
        for *begun, end in of_row
        if begun == text.token_ids
    ]


def draw(said: TokenLogProbs, settings: PolicySettings, generator: torch.Generator) -> Int64[Tensor, "batch 1"]:
    """Draw the next token of every conversation. Raises NotFinite: a network says NaN."""
    return torch.multinomial(next_distribution(said, settings).exp().cpu(), 1, generator=generator)


def q_values(said: TokenLogProbs, drawn: Int64[Tensor, "batch 1"]) -> Float32[Tensor, " batch"]:
    """Return the Q-values of drawn tokens alone; NaN where one of the two networks is not asked."""
    if said.log_p is None or said.log_pi is None:
        return torch.full((len(drawn),), torch.nan)
    there = drawn.to(said.log_p.device)
    drawn_and_dummy = torch.cat([said.log_p.gather(1, there), said.log_p[:, -1:]], 1)
    return log_likelihood_ratio(drawn_and_dummy, said.log_pi.gather(1, there), clip=True)[:, 0].exp().cpu()
