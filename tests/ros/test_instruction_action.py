"""The action ~/execute_instruction through a real client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rigs import Rig, rig_in

pytest.importorskip("qsft_interfaces", reason="the interfaces are not built: run `make ros`")

from action_msgs.msg import GoalStatus
from qsft_interfaces.action import ExecuteInstruction
from qsft_interfaces.msg import ActionScores
from rclpy.action.client import ActionClient, ClientGoalHandle
from std_msgs.msg import Bool

pytestmark = pytest.mark.usefixtures("ros")


class Client:
    """Sends goals and keeps feedback and scores."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._client = ActionClient(rig.arm, ExecuteInstruction, "/controller/execute_instruction")
        self.feedback: list[ExecuteInstruction.Feedback] = []
        self.scores: list[ActionScores] = []
        rig.arm.create_subscription(ActionScores, "/controller/action_scores", self.scores.append, 10)

    def send(self, instruction: str, *, time_limit_s: float = 0.0) -> ClientGoalHandle:
        assert self._client.wait_for_server(timeout_sec=100)
        goal = ExecuteInstruction.Goal(instruction=instruction, time_limit_s=time_limit_s)
        handle = self._until(self._client.send_goal_async(goal, feedback_callback=self._keep))
        assert isinstance(handle, ClientGoalHandle)
        return handle

    def result(self, handle):
        response = self._until(handle.get_result_async())
        return response.status, response.result

    def cancel(self, handle) -> None:
        self._until(handle.cancel_goal_async())

    def _keep(self, message) -> None:
        with self._rig.arm.changed:
            self.feedback.append(message.feedback)
            self._rig.arm.changed.notify_all()

    def _until(self, future):
        future.add_done_callback(lambda _: self._notify())
        self._rig.controller.wait(future.done, "an answer of the action server")
        return future.result()

    def _notify(self) -> None:
        with self._rig.arm.changed:
            self._rig.arm.changed.notify_all()


@pytest.fixture
def rig(tmp_path: Path, ros: None) -> Iterator[Rig]:
    with rig_in(tmp_path) as made:
        yield made


@pytest.fixture
def client(rig: Rig) -> Client:
    rig.controller.drive()
    return Client(rig)


def test_a_goal_moves_the_arm_gives_feedback_and_ends_with_success(rig: Rig, client: Client) -> None:
    handle = client.send("move", time_limit_s=1000.0)
    assert handle.accepted
    rig.controller.wait(lambda: len(client.feedback) >= 3, "feedback")
    assert [entry.step for entry in client.feedback[:3]] == [1, 2, 3]
    assert client.feedback[0].value == 0.75
    assert list(client.feedback[0].action) == [1.0, 0.0, 1.0]
    assert 0 < client.feedback[0].time_share < client.feedback[2].time_share < 1
    rig.controller.say(rig.arm.success, Bool(data=True))
    status, result = client.result(handle)
    assert (status, result.success) == (GoalStatus.STATUS_SUCCEEDED, True)
    assert "reported as done" in result.reason
    assert result.steps >= 3 and result.final_value == 0.75
    rig.controller.wait_for(state="active", instruction="")


def test_cancelling_brakes_the_arm_and_the_controller_waits_for_the_next_instruction(rig: Rig, client: Client) -> None:
    handle = client.send("move")
    rig.wait_for_motion()
    client.cancel(handle)
    status, result = client.result(handle)
    assert (status, result.success) == (GoalStatus.STATUS_CANCELED, False)
    rig.wait_for_rest()
    rig.controller.wait_for(state="active", instruction="", fault="")


def test_a_time_limit_aborts_the_goal_with_its_reason_and_holds(rig: Rig, client: Client) -> None:
    status, result = client.result(client.send("move", time_limit_s=0.5))
    assert (status, result.success) == (GoalStatus.STATUS_ABORTED, False)
    assert result.reason.startswith("instruction_expired: Instruction 'move' is")
    rig.controller.wait_for(state="holding", fault="instruction_expired")


def test_a_new_goal_replaces_the_one_under_way(rig: Rig, client: Client) -> None:
    first = client.send("first")
    rig.wait_for_motion()
    second = client.send("second")
    status, result = client.result(first)
    assert status == GoalStatus.STATUS_ABORTED and "new goal" in result.reason
    rig.controller.wait_for(instruction="second", state="active")
    client.cancel(second)


def test_goals_without_a_word_and_goals_of_a_holding_controller_are_refused(rig: Rig, client: Client) -> None:
    assert not client.send("   ").accepted
    assert rig.controller.trigger("hold").success
    assert not client.send("move").accepted


def test_a_fault_aborts_the_goal_and_resume_does_not_bring_it_back(rig: Rig, client: Client) -> None:
    handle = client.send("move")
    rig.wait_for_motion()
    rig.arm.faults.black = {"front"}
    status, result = client.result(handle)
    assert status == GoalStatus.STATUS_ABORTED and "blank_picture" in result.reason
    rig.arm.faults.black = set()
    rig.controller.wait(lambda: rig.controller.trigger("resume").success, "resume")
    rig.controller.wait_for(state="active", instruction="", fault="")


def test_scores_say_what_the_policy_computed(rig: Rig, client: Client) -> None:
    handle = client.send("move")
    rig.controller.wait(lambda: client.scores, "scores")
    scores = client.scores[0]
    assert (scores.instruction, list(scores.action_names)) == ("move", ["dx", "dturn", "gripper"])
    assert (scores.chunk, scores.n_bins, list(scores.action_bins)) == (1, 5, [4, 2, 4])
    assert list(scores.q_values) == pytest.approx([0, 0.25, 0.5, 0.75, 1] * 3)
    assert list(scores.action) == [1.0, 0.0, 1.0]
    made = scores.header.stamp.sec + scores.header.stamp.nanosec * 1e-9
    seen = scores.observation_stamp.sec + scores.observation_stamp.nanosec * 1e-9
    assert made - seen == pytest.approx(scores.observation_age_s, abs=1e-3)
    assert scores.observation_age_s > 0
    client.cancel(handle)
