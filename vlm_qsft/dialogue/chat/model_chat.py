"""ModelChat: a conversation with a language model, in the room that its context has."""

from __future__ import annotations

from collections.abc import Iterator

from vlm_qsft.dialogue.chat.chat import Fragment
from vlm_qsft.dialogue.chat.spoken import TokenSource, spoken
from vlm_qsft.dialogue.conversation import Conversation, Message
from vlm_qsft.dialogue.plain_text import LONGEST_TEXT, plain_text
from vlm_qsft.dialogue.rendering import Renderer, prompt_tokens
from vlm_qsft.errors import InvalidSetting


class ModelChat:
    """Answers as a model answers; see `Chat`.

    What the model remembers is bounded: the system text and the newest message always count, the oldest question is
    forgotten first, with its answer, until what is left and an answer of `answer_tokens` fit into `context_tokens`. A
    message that does not even fit alone is refused, never cut.
    """

    def __init__(
        self,
        source: TokenSource,
        renderer: Renderer,
        *,
        name: str,
        context_tokens: int,
        answer_tokens: int,
        system: str | None = None,
    ) -> None:
        """Begin a conversation.

        Args:
            source: of the model.
            renderer: by its chat template.
            name: of the model, for people.
            context_tokens: that the model can read.
            answer_tokens: the longest answer.
            system: text that stands before everything; None leaves it to the template.

        Raises:
            InvalidSetting: no room for a question beside the system text and an answer.
        """
        self._source, self._renderer, self._name = source, renderer, name
        self._room, self._answer_tokens = context_tokens - answer_tokens, answer_tokens
        self._system = () if system is None else (Message("system", plain_text(system)),)
        self._exchanges: list[tuple[Message, Message]] = []
        if self._room < 1 or self._length((*self._system, Message("user", "?"))) > self._room:
            raise InvalidSetting(
                f"A context of {context_tokens} tokens has no room for a question beside the system text and an answer "
                f"of {answer_tokens}. Shorten one of them."
            )

    @property
    def greeting(self) -> str:
        """Return with whom one talks."""
        return f"{self._name}. It remembers {self._room} tokens; then it forgets the oldest question with its answer."

    @property
    def messages(self) -> tuple[Message, ...]:
        """Return what the model remembers."""
        return (*self._system, *(message for exchange in self._exchanges for message in exchange))

    def hear(self, text: str) -> Iterator[Fragment]:
        """Yield the answer. Left before its end, what was said until then is remembered as the answer."""
        if len(text) > LONGEST_TEXT:
            yield Fragment(f"Too long: {len(text)} characters; {LONGEST_TEXT} at most.", is_notice=True)
            return
        question = Message("user", plain_text(text))
        alone = self._length((*self._system, question))
        if alone > self._room:
            yield Fragment(f"Too long: {alone} tokens; the context has room for {self._room}.", is_notice=True)
            return
        forgotten = self._forget(question)
        if forgotten:
            yield Fragment(f"(forgot the oldest {forgotten} of the questions, with their answers)", is_notice=True)
        conversation = Conversation((*self.messages, question))
        self._source.begin(prompt_tokens(conversation, self._renderer).tolist())
        answered = ""
        try:
            for fragment in spoken(self._source, self._renderer, most_tokens=self._answer_tokens):
                answered += "" if fragment.is_notice else fragment.text
                yield fragment
        finally:
            self._exchanges.append((question, Message("assistant", answered)))

    def begin_anew(self) -> str:
        """Forget everything but the system text."""
        self._exchanges = []
        self._source.forget()
        return "Forgotten."

    def _forget(self, question: Message) -> int:
        forgotten = 0
        while self._exchanges and self._length((*self.messages, question)) > self._room:
            del self._exchanges[0]
            forgotten += 1
        return forgotten

    def _length(self, messages: tuple[Message, ...]) -> int:
        return len(prompt_tokens(Conversation(messages), self._renderer))
