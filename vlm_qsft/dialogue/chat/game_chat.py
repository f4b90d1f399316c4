"""GameChat: a language task, played by the person who types or watched while a policy plays."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from vlm_qsft.dialogue.chat.chat import Fragment
from vlm_qsft.dialogue.chat.spoken import TokenSource, spoken
from vlm_qsft.dialogue.conversation import Conversation, Message
from vlm_qsft.dialogue.plain_text import one_line
from vlm_qsft.dialogue.rendering import Renderer, prompt_tokens
from vlm_qsft.dialogue.tasks import EVALUATION, StepResult, game_generator, language_task
from vlm_qsft.dialogue.tasks.wordle import WORD_LENGTH, Wordle, guess_text

LONGEST_ACTION = 200
"""Characters, or tokens, of one action text."""


@dataclass(frozen=True)
class Player:
    """A policy that plays.

    Attributes:
        source: of its tokens.
        renderer: of its conversations.
        name: for people.
    """

    source: TokenSource
    renderer: Renderer
    name: str


class GameChat:
    """Plays games of one task, one after the other; see `Chat`. The games are those of evaluation."""

    def __init__(self, task: str, *, first_game: int = 0, player: Player | None = None) -> None:
        """Begin the first game.

        Args:
            task: name of the language task.
            first_game: its number.
            player: plays one turn whenever nothing is typed; None: the person plays alone.

        Raises:
            UnknownName: no such task.
        """
        self._task, self._game, self._player = language_task(task), first_game - 1, player
        self._opening = ""
        self._conversation = Conversation(())
        self.begin_anew()

    @property
    def greeting(self) -> str:
        """Return what is played, and how."""
        how = "Type what you would say"
        if isinstance(self._task, Wordle):
            how = "Type a word of five letters; g: right, y: elsewhere in the word, b: not in it"
        if self._player is not None:
            how += f"; Enter alone lets {self._player.name} play"
        return f"{self._task.name}: {self._task.purpose}. {how}.\n{self._opening}"

    def hear(self, text: str) -> Iterator[Fragment]:
        """Yield what the policy says, where it plays, and what the environment answers."""
        typed = one_line(text)
        if len(typed) > LONGEST_ACTION:
            yield Fragment(f"Too long: {len(typed)} characters; {LONGEST_ACTION} at most.", is_notice=True)
            return
        if typed:
            action = self._action_of(typed)
        elif self._player is None:
            yield Fragment("Nothing was typed.", is_notice=True)
            return
        else:
            action = yield from self._played(self._player)
        result = self._task.step(action)
        self._conversation = Conversation(
            (
                *self._conversation.messages,
                Message("assistant", action, result.reward),
                Message("environment", result.observation),
            )
        )
        yield Fragment(result.observation)
        if not result.observation.strip():
            yield Fragment("(no answer: nothing that is known here; the turn counts)", is_notice=True)
        if result.terminated or result.truncated:
            yield Fragment(self._summary(result), is_notice=True)
            self.begin_anew()
            yield Fragment(self._opening)

    def begin_anew(self) -> str:
        """Leave the game and begin the next."""
        self._game += 1
        if self._player is not None:
            self._player.source.forget()
        self._opening = self._task.reset(game_generator(self._task.name, EVALUATION, self._game))
        self._conversation = Conversation((Message("environment", self._opening),))
        return self._opening

    def _action_of(self, typed: str) -> str:
        """Return what was typed as an action text of the task."""
        word = typed.replace(" ", "").lower()
        if isinstance(self._task, Wordle) and len(word) == WORD_LENGTH:
            return guess_text(word)
        return typed + self._task.end

    def _played(self, player: Player) -> Generator[Fragment, None, str]:
        context_turns = self._task.context_turns
        prompt = prompt_tokens(self._conversation, player.renderer, context_turns=context_turns)
        player.source.begin(prompt.tolist())
        action = ""
        for fragment in spoken(player.source, player.renderer, most_tokens=LONGEST_ACTION):
            action += "" if fragment.is_notice else fragment.text
            yield fragment
        return action if action.endswith(self._task.end) else action + self._task.end

    def _summary(self, result: StepResult) -> str:
        reached = "Solved" if result.success else "Over"
        return f"{reached} in {len(self._conversation.actions)} turns, return {self._conversation.total_reward:g}."
