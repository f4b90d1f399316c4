"""The policy in a thread of its own: the control loop never waits for it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from vlm_qsft.control import DecisionRequest
from vlm_qsft.control.instruction import Instruction
from vlm_qsft.policy.interface import DescribedPolicy
from vlm_qsft.remote import RemotePolicy
from vlm_qsft.types import Decision, Observation


@dataclass(frozen=True)
class Answer:
    """What came of a question.

    Attributes:
        request: the question.
        observation_s: stamp of the oldest part of the observation, seconds on the control clock.
        decision: None where the policy raised.
        error: None where the policy decided.
    """

    request: DecisionRequest
    observation_s: float
    decision: Decision | None
    error: BaseException | None


class PolicyThread:
    """Asks the policy one question at a time."""

    def __init__(self, policy: DescribedPolicy, *, seed: int | None) -> None:
        """Start the thread.

        Args:
            policy: used by this thread alone from now on.
            seed: of every instruction; None for another one each time.
        """
        self._policy = policy
        self._seed = seed
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="policy")
        self._instruction: Instruction | None = None
        self._asked: tuple[DecisionRequest, float, Future[Decision]] | None = None

    @property
    def is_busy(self) -> bool:
        """Tell whether a question is being answered, or its answer was not taken yet."""
        return self._asked is not None

    def ask(
        self,
        request: DecisionRequest,
        instruction: Instruction,
        observe: Callable[[], Observation],
        observation_s: float,
    ) -> None:
        """Hand over a question; only when not busy.

        Args:
            request: the question.
            instruction: a new one, told by its time, begins a new episode of the policy.
            observe: makes the observation, in the policy's thread: pictures are decoded there.
            observation_s: stamp of the oldest part of the observation, seconds on the control clock.
        """
        begins = instruction is not self._instruction
        self._instruction = instruction
        future = self._executor.submit(self._decide, instruction.text if begins else None, observe)
        self._asked = (request, observation_s, future)

    def take(self) -> Answer | None:
        """Return the answer once it is there, else None; never waits."""
        if self._asked is None or not self._asked[2].done():
            return None
        request, observation_s, future = self._asked
        self._asked = None
        error = future.exception()
        if error is not None:
            # Whatever the policy had begun is unknown now: the next question begins its episode again.
            self._instruction = None
            return Answer(request, observation_s, None, error)
        return Answer(request, observation_s, future.result(), None)

    def close(self) -> None:
        """End the thread after the question under way, and leave a policy server; waits for neither."""
        if self._asked is not None:
            self._asked[2].cancel()
        if isinstance(self._policy, RemotePolicy):
            self._executor.submit(self._policy.close)
        self._executor.shutdown(wait=False)

    def _decide(self, beginning: str | None, observe: Callable[[], Observation]) -> Decision:
        if beginning is not None:
            self._policy.reset(beginning, seed=self._seed)
        return self._policy.act(observe())
