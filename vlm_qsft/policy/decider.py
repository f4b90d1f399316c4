"""Decisions of a checkpoint, for one robot or for several at once; each robot has an episode of its own."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from vlm_qsft.errors import InvalidSetting, NotFinite, QsftError
from vlm_qsft.model import Checkpoint, ModelInputs, RobotScorer, inputs_from_observation, renormalise_bins
from vlm_qsft.policy.candidates import Candidates
from vlm_qsft.policy.decoding import choose_decoding
from vlm_qsft.policy.interface import PolicyInterface
from vlm_qsft.policy.next_token import TokenLogProbs, next_distribution
from vlm_qsft.policy.settings import PolicySettings
from vlm_qsft.qsft import behavior_value, log_likelihood_ratio
from vlm_qsft.types import Decision, Observation

NAN = float("nan")


@dataclass(frozen=True)
class Episode:
    """What one robot was told, and where its own random draws come from.

    Attributes:
        text: the instruction as the model reads it.
        text_mask: True where `text` holds a token.
        generator: of every draw of this episode; it advances with every decision.
    """

    text: Int64[Tensor, "1 text_len"]
    text_mask: Bool[Tensor, "1 text_len"]
    generator: torch.Generator


@dataclass(frozen=True)
class Question:
    """What one robot sees, in its episode."""

    episode: Episode
    observation: Observation


class Decider:
    """The networks of a checkpoint, read out as the settings say.

    One pass over observations and instructions, then one step per action token with what was computed before kept.
    Networks that the extraction does not need are not evaluated, unless `explain` asks for their Q-values.

    A decision made alone is always the same; one made together with others may differ from it in the last digits,
    because matrix products of another size are summed in another order.
    """

    def __init__(
        self, checkpoint: Checkpoint, settings: PolicySettings, device: torch.device | str, *, explain: bool = False
    ) -> None:
        """See `QPolicy`.

        Raises:
            InvalidSetting: the extraction needs a network that the checkpoint lacks, it holds a critic, or a setting
                is one of text games.
        """
        self.settings = settings
        self.checkpoint = checkpoint
        method = checkpoint.metadata.get("train", {}).get("method", "qsft")
        if method != "qsft":
            raise InvalidSetting(
                f"{checkpoint.folder} holds a critic ({method}), a rival on text; robots decide by p_theta."
            )
        if settings.of_games is not None:
            raise InvalidSetting(f"{settings.of_games} is a setting of text games; a robot has no use for it.")
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
        asked = (behavior if settings.needs_behavior else None, q_model if settings.needs_q_model else None)
        self.decoding = choose_decoding(*asked, fuse=settings.candidates == 1)
        self._decoding_of_several = choose_decoding(*asked, fuse=False)
        explains_behavior = explain and not settings.needs_behavior
        explains_q_model = explain and not settings.needs_q_model
        self._asked_later = behavior if explains_behavior else q_model if explains_q_model else None
        encoder = behavior or q_model
        assert encoder is not None
        self._encoder = encoder
        self._remainder = checkpoint.metadata.get("train", {}).get("remainder", "dummy")

    @property
    def interface(self) -> PolicyInterface:
        """What the checkpoint's data set declares, less the cameras that its model does not look through."""
        schema = self.checkpoint.schema
        cameras = tuple(self.checkpoint.spec.cameras)
        return PolicyInterface(cameras, schema.state_names, schema.action_names, float(1 / schema.fps))

    def begin(self, instruction: str, *, seed: int | None) -> Episode:
        """Return a new episode; `seed` fixes every random draw in it.

        Raises:
            UnknownName, ShapeMismatch: the model has no words for the instruction, or no room for it.
        """
        text, text_mask = self._encoder.encode_instructions([instruction])
        generator = torch.Generator(self._device)
        if seed is None:
            generator.seed()
        else:
            generator.manual_seed(seed)
        return Episode(text, text_mask, generator)

    def warm_up(self) -> None:
        """Decide twice on black pictures, in an episode of its own.

        The first passes of a process load and choose the kernels of a GPU, for longer than a control loop waits for a
        decision. A checkpoint that lists no instructions, as older ones, is left cold.
        """
        for instruction in self.checkpoint.metadata.get("instructions", ())[:1]:
            schema, cameras = self.checkpoint.schema, self.checkpoint.spec.cameras
            black = {name: np.zeros((*schema.cameras[name], 3), np.uint8) for name in cameras}
            observation = Observation(black, np.zeros(len(schema.state_names), np.float32))
            question = Question(self.begin(instruction, seed=0), observation)
            for _pass in range(2):
                self.decide(question)

    def decide(self, question: Question) -> Decision:
        """Decide for one robot.

        Raises:
            UnknownName: a camera is missing.
            ShapeMismatch: a picture or the state has another shape or type.
            NotFinite: the state, or what a network computes, holds NaN or infinity.
        """
        begin_s = time.perf_counter()
        return self._decide([question.episode], self._inputs(question), begin_s)[0]

    def decide_together(self, questions: Sequence[Question]) -> list[Decision | QsftError]:
        """Decide for several robots in one pass; where one cannot be answered, its error stands in its place."""
        begin_s = time.perf_counter()
        read = [self._inputs_or_error(question) for question in questions]
        fitting = [
            (question.episode, inputs)
            for question, inputs in zip(questions, read, strict=True)
            if isinstance(inputs, ModelInputs)
        ]
        decided = iter(self._decide_fitting(fitting, begin_s))
        return [inputs if isinstance(inputs, QsftError) else next(decided) for inputs in read]

    def _inputs(self, question: Question) -> ModelInputs:
        episode = question.episode
        return inputs_from_observation(
            question.observation, self.checkpoint.spec, text=episode.text, text_mask=episode.text_mask
        )

    def _inputs_or_error(self, question: Question) -> ModelInputs | QsftError:
        try:
            return self._inputs(question)
        except QsftError as error:
            return error

    def _decide_fitting(
        self, fitting: Sequence[tuple[Episode, ModelInputs]], begin_s: float
    ) -> Sequence[Decision | QsftError]:
        if len(fitting) < 2:
            return [self._decide_or_say(episode, inputs, begin_s) for episode, inputs in fitting]
        episodes = [episode for episode, _ in fitting]
        before = [episode.generator.get_state() for episode in episodes]
        try:
            return self._decide(episodes, ModelInputs.concat([inputs for _, inputs in fitting]), begin_s)
        except NotFinite:
            # What one robot sent let a network overflow. The others shall not pay for it: each decides alone.
            for episode, state in zip(episodes, before, strict=True):
                episode.generator.set_state(state)
            return [self._decide_or_say(episode, inputs, begin_s) for episode, inputs in fitting]

    def _decide_or_say(self, episode: Episode, inputs: ModelInputs, begin_s: float) -> Decision | QsftError:
        try:
            return self._decide([episode], inputs, begin_s)[0]
        except QsftError as error:
            return error

    @torch.inference_mode()
    def _decide(self, episodes: Sequence[Episode], inputs: ModelInputs, begin_s: float) -> list[Decision]:
        """Return one decision per row of `inputs`. Raises NotFinite: a row cannot be decided."""
        spec, tokenizer = self.checkpoint.spec, self.checkpoint.action_tokenizer
        decoding = self.decoding if len(episodes) == 1 else self._decoding_of_several
        inputs = inputs.to(self._device)
        state = decoding.start(inputs)
        previous: Tensor | None = None
        said: list[TokenLogProbs] = []
        distributions: list[Tensor] = []
        chosen: list[Tensor] = []
        candidates = Candidates(self.settings, len(episodes)) if self.settings.candidates > 1 else None
        for position in range(spec.n_tokens):
            token = decoding.step(state, previous)
            if position == 0 and candidates is not None:
                token = token.of(candidates.rows)
                decoding.select(state, candidates.rows.to(self._device))
            distribution = next_distribution(token, self.settings)
            previous = _draw(distribution.exp(), episodes)
            if candidates is not None:
                candidates.add(token, previous)
            said.append(token)
            distributions.append(distribution)
            chosen.append(previous)
        bins, probabilities = torch.stack(chosen, 1), torch.stack(distributions, 1).exp()
        if candidates is not None:
            taken = candidates.likeliest().to(self._device)
            bins, probabilities, said = bins[taken], probabilities[taken], [token.of(taken) for token in said]
        log_p, log_pi = self._complete(inputs, bins, said)
        q_values = _q_values(log_p, log_pi, like=probabilities)
        values = self._values(log_p, log_pi, count=len(episodes))
        rows = (tokenizer.chunk, tokenizer.action_dim)
        decisions = []
        for row, value in enumerate(values):
            action_bins = bins[row].view(rows).cpu().numpy()
            decisions.append(
                Decision(
                    action=tokenizer.decode(action_bins),
                    action_bins=action_bins,
                    q_values=q_values[row].view(*rows, spec.n_bins).cpu().numpy(),
                    probabilities=probabilities[row].view(*rows, spec.n_bins).cpu().numpy(),
                    value=value,
                    entropy=float(torch.special.entr(probabilities[row]).sum(-1).mean()),
                    latency_s=time.perf_counter() - begin_s,
                )
            )
        return decisions

    def _complete(
        self, inputs: ModelInputs, bins: Int64[Tensor, "batch token"], said: list[TokenLogProbs]
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return log p_theta and log pi_phi, "batch token ..."; None for a network that is not asked at all."""
        log_p = _joined([token.log_p for token in said])
        log_pi = _joined([token.log_pi for token in said])
        if self._asked_later is None:
            return log_p, log_pi
        later = self._asked_later.log_probs(inputs, bins)
        return (later, log_pi) if log_p is None else (log_p, renormalise_bins(later))

    def _values(self, log_p: Tensor | None, log_pi: Tensor | None, *, count: int) -> list[float]:
        if log_p is None or (log_pi is None and self._remainder == "uniform"):
            return [NAN] * count
        first_log_pi = None if log_pi is None else log_pi[:, 0]
        values = behavior_value(log_p[:, 0], first_log_pi, self._remainder).tolist()
        for value in values:
            if not math.isfinite(value):
                raise NotFinite(f"The value is {value}: the likelihood model's weights or inputs hold NaN.")
        return values


def _on(scorer: RobotScorer | None, device: torch.device) -> RobotScorer | None:
    return None if scorer is None else scorer.to(device).eval()


def _draw(probabilities: Float32[Tensor, "batch n_bins"], episodes: Sequence[Episode]) -> Int64[Tensor, " batch"]:
    """Draw one bin per row, each with the generator of its own episode; every episode has as many rows."""
    of_each = probabilities.view(len(episodes), -1, probabilities.shape[-1])
    drawn = [
        torch.multinomial(rows, 1, generator=episode.generator)[:, 0]
        for rows, episode in zip(of_each, episodes, strict=True)
    ]
    return torch.cat(drawn)


def _joined(tokens: list[Tensor | None]) -> Tensor | None:
    given = [token for token in tokens if token is not None]
    return torch.stack(given, 1) if given else None


def _q_values(log_p: Tensor | None, log_pi: Tensor | None, *, like: Tensor) -> Float32[Tensor, "batch token n_bins"]:
    if log_p is None or log_pi is None:
        return torch.full_like(like, NAN)
    return log_likelihood_ratio(log_p, log_pi, clip=True).exp()
