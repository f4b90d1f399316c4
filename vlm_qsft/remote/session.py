"""One robot at a policy server, from its first message after the proof to its last."""

from __future__ import annotations

import time
from collections.abc import Callable

from vlm_qsft.errors import InvalidSetting, MessageError, QsftError
from vlm_qsft.policy.decider import Episode, Question
from vlm_qsft.remote.batcher import Batcher
from vlm_qsft.remote.decision_message import pack_decision
from vlm_qsft.remote.description import PolicyDescription, welcome
from vlm_qsft.remote.error_message import pack_error, pack_refusal
from vlm_qsft.remote.health import HealthCounters, ServerHealth, pack_health
from vlm_qsft.remote.message import Message, pack, unpack
from vlm_qsft.remote.observation_message import read_observation
from vlm_qsft.remote.protocol import ACT, HEALTH, HELLO, LONGEST_INSTRUCTION, PROTOCOL, READY, RESET
from vlm_qsft.remote.server_settings import ServerSettings
from vlm_qsft.remote.stream import Stream

LARGEST_HELLO = 4096
LINGER_S = 1.0
"""For a refused client to read why."""
LONGEST_PATIENCE_MS = 600_000


class Session:
    """Answers one client. Its questions are numbered 1, 2, 3 ...: a repeated or skipped number ends the session."""

    def __init__(
        self,
        stream: Stream,
        *,
        batcher: Batcher,
        description: PolicyDescription,
        settings: ServerSettings,
        counters: HealthCounters,
        health: Callable[[], ServerHealth],
    ) -> None:
        self._stream = stream
        self._batcher = batcher
        self._description = description
        self._settings = settings
        self._counters = counters
        self._health = health
        self._episode: Episode | None = None
        self._patience_s = 0.0
        self._last = 0

    def run(self) -> str:
        """Answer until the client leaves or is refused; return why in one sentence, "" where it left.

        Raises:
            TimeoutError: a message, or its taking, lasts too long.
            ConnectionError: the client is gone.
        """
        try:
            self._greet(unpack(self._stream.receive_frame(LARGEST_HELLO, self._deadline_s())))
            while True:
                begun_with = self._stream.wait()
                limit = self._settings.largest_message
                document = self._stream.receive_frame(limit, self._deadline_s(), begun_with=begun_with)
                self._send(self._answer(unpack(document)))
        except MessageError as error:
            return self.refuse(str(error))

    def refuse(self, reason: str) -> str:
        """Say why this connection is closed, and return it."""
        self._counters.add("refused")
        self._send(pack_refusal(reason))
        self._stream.finish(time.monotonic() + LINGER_S)
        return reason

    def _greet(self, message: Message) -> None:
        if message.kind != HELLO:
            raise MessageError(f"The first message is '{message.kind}'; expected '{HELLO}'.")
        protocol = message.integer("protocol")
        if protocol != PROTOCOL:
            raise MessageError(
                f"The client speaks version {protocol} of the wire format, this server version {PROTOCOL}: "
                "install the same version of vlm-qsft on both machines."
            )
        self._patience_s = min(message.integer("patience_ms"), LONGEST_PATIENCE_MS) / 1000
        self._send(welcome(self._description))

    def _answer(self, message: Message) -> Message:
        """Return the answer to one question. Raises MessageError: it is none."""
        answer = {RESET: self._reset, ACT: self._act, HEALTH: self._tell_health}.get(message.kind)
        if answer is None:
            raise MessageError(f"Messages of the kind '{message.kind[:100]}' are not known.")
        sequence = message.integer("sequence")
        if sequence != self._last + 1:
            raise MessageError(f"Question {sequence} follows on question {self._last}.")
        self._last = sequence
        try:
            return answer(message, sequence)
        except MessageError:
            raise
        except QsftError as error:
            self._counters.add("errors")
            return pack_error(error, sequence=sequence)

    def _reset(self, message: Message, sequence: int) -> Message:
        instruction = message.text("instruction", longest=LONGEST_INSTRUCTION)
        seed = message.integer("seed") if "seed" in message.fields else None
        self._episode = None  # where the instruction is not understood, the one before is not followed either
        self._episode = self._batcher.begin(instruction, seed=seed)
        return Message(READY, {"sequence": str(sequence)})

    def _act(self, message: Message, sequence: int) -> Message:
        observation = read_observation(message, self._description)
        if self._episode is None:
            raise InvalidSetting("The policy has no instruction: call reset(instruction) before act(observation).")
        decision = self._batcher.ask(Question(self._episode, observation), patience_s=self._patience_s)
        self._counters.add("decisions")
        return pack_decision(decision, sequence=sequence)

    def _tell_health(self, message: Message, sequence: int) -> Message:
        if message.arrays:
            raise MessageError("A question for the server's health carries no arrays.")
        return pack_health(self._health(), sequence=sequence)

    def _send(self, message: Message) -> None:
        self._stream.send_frame(pack(message), self._deadline_s())

    def _deadline_s(self) -> float:
        return time.monotonic() + self._settings.message_timeout_s
