"""The controller node when all goes well: lifecycle, parameters, topics, services, commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from rigs import Rig, rig_in
from sensor_msgs.msg import Image
from std_msgs.msg import Bool, String

pytestmark = pytest.mark.usefixtures("ros")
PERIOD_S = 0.05


@pytest.fixture
def rig(tmp_path: Path, ros: None) -> Iterator[Rig]:
    with rig_in(tmp_path) as made:
        yield made


def test_the_lifecycle_goes_through_its_states_under_the_services_of_the_standard_tools(rig: Rig) -> None:
    controller, arm = rig.controller, rig.arm
    assert controller.state() == "unconfigured"
    assert not controller.trigger("resume").success
    assert controller.change_state(Transition.TRANSITION_CONFIGURE), controller.log
    assert controller.state() == "inactive"
    assert arm.received == []
    assert controller.change_state(Transition.TRANSITION_ACTIVATE)
    controller.wait_for(state="active")
    assert controller.set_parameter("instruction", "move")
    rig.wait_for_motion()
    assert controller.change_state(Transition.TRANSITION_DEACTIVATE)
    assert controller.state() == "inactive"
    controller.wait_for(state="inactive", instruction="")
    rest = rig.wait_for_rest()
    assert controller.change_state(Transition.TRANSITION_ACTIVATE)
    controller.wait_for(state="active")
    assert arm.position("slide") == pytest.approx(rest, abs=1e-4)  # the measurement it starts from is a message old
    assert controller.change_state(Transition.TRANSITION_DEACTIVATE)
    assert controller.change_state(Transition.TRANSITION_CLEANUP)
    assert controller.state() == "unconfigured"
    assert controller.change_state(Transition.TRANSITION_CONFIGURE)
    controller.try_state(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)  # not from here
    assert controller.state() == "inactive"
    assert controller.change_state(Transition.TRANSITION_INACTIVE_SHUTDOWN)
    assert controller.state() == "finalized"
    assert controller.close() == 0


def test_the_first_command_holds_the_measured_position_and_no_command_steps(rig: Rig) -> None:
    rig.arm.start |= {"slide": 0.123, "turn": -0.7}
    rig.moving()
    slide = rig.arm.slide_ways
    assert slide[0].joints == ("slide", "turn")
    assert slide[0].points[0].positions == pytest.approx((0.123, -0.7), abs=1e-9)
    assert slide[0].points[0].velocities == (0.0, 0.0)
    places = np.array([way.points[0].positions[0] for way in slide])
    assert np.abs(np.diff(places)).max() <= 0.6 * PERIOD_S + 1e-9
    for way in slide:
        assert way.stamp_is_zero
        assert all(len(point.velocities) == 2 for point in way.points)
        assert not any(way.points[-1].velocities)
        assert way.points[0].after_s == pytest.approx(PERIOD_S)


def test_the_gripper_on_its_own_topic_opens_to_its_upper_end(rig: Rig) -> None:
    rig.moving()
    rig.controller.wait(lambda: rig.arm.position("gripper") > 0.0399, "an open gripper")
    last = next(way for way in reversed(rig.arm.received) if way.joints == ("gripper",))
    assert last.points[-1].positions == pytest.approx((0.04,), abs=1e-4)


def test_every_parameter_has_a_description_and_every_number_that_can_have_one_a_range(rig: Rig) -> None:
    names = [
        name
        for name in rig.controller.parameter_names()
        if not name.startswith(("qos_overrides", "use_sim_time", "start_type"))
    ]
    assert {"checkpoint", "axis.slide.velocity", "camera.wrist.transport", "tool.move"} <= set(names)
    described = rig.controller.describe(names)
    assert [entry.name for entry in described if not entry.description] == []
    by_name = {entry.name: entry for entry in described}
    assert by_name["control_period_s"].floating_point_range[0].to_value == 1.0
    assert by_name["camera.front.min_contrast"].integer_range[0].to_value == 255
    assert by_name["checkpoint"].read_only and not by_name["instruction"].read_only
    assert rig.controller.parameter("axis.slide.scale").double_value == 0.02
    assert not rig.controller.set_parameter("control_period_s", 0.2)


def test_a_robot_that_does_not_fit_the_policy_stays_unconfigured_and_the_reason_is_published(tmp_path, ros) -> None:
    with rig_in(tmp_path, "-p", "state_sources:=[joint.slide.position]") as rig:
        assert not rig.controller.change_state(Transition.TRANSITION_CONFIGURE)
        assert rig.controller.state() == "unconfigured"
        said = rig.controller.wait_for(state="unconfigured")
        assert "state has 3 numbers (slide, turn, gripper); state_sources names 1" in said["reason"]


def test_the_emergency_stop_by_topic_brakes_and_only_clear_and_resume_move_again(rig: Rig) -> None:
    rig.moving()
    rig.controller.say(rig.arm.stop, Bool(data=True))
    said = rig.controller.wait_for(state="stopped", fault="emergency_stop")
    assert said["controller level"] == str(int.from_bytes(DiagnosticStatus.ERROR, "little"))
    rest = rig.wait_for_rest()
    rig.controller.say(rig.arm.stop, Bool(data=False))  # letting go of the button changes nothing
    refused = rig.controller.trigger("resume")
    assert not refused.success and "stopped" in refused.message
    assert rig.controller.trigger("clear_stop").success
    rig.controller.wait_for(state="inactive", fault="")
    assert rig.arm.position("slide") == pytest.approx(rest, abs=1e-6)
    assert rig.controller.trigger("resume").success
    rig.controller.wait_for(state="active")
    assert rig.controller.set_parameter("instruction", "move again")
    rig.wait_for_motion()


def test_the_emergency_stop_by_service_works_in_every_state(rig: Rig) -> None:
    assert rig.controller.trigger("emergency_stop").success  # before there is anything to stop
    assert rig.controller.change_state(Transition.TRANSITION_CONFIGURE)
    assert rig.controller.change_state(Transition.TRANSITION_ACTIVATE)
    rig.controller.wait_for(state="stopped")
    assert rig.arm.received == []
    assert rig.controller.trigger("clear_stop").success
    assert not rig.controller.trigger("clear_stop").success
    assert rig.controller.trigger("resume").success
    rig.controller.wait_for(state="active")
    assert rig.controller.trigger("emergency_stop").success
    rig.controller.wait_for(state="stopped")


def test_hold_and_resume_by_service(rig: Rig) -> None:
    rig.moving()
    assert rig.controller.trigger("hold").success
    said = rig.controller.wait_for(state="holding", fault="operator")
    assert "asked to hold" in said["reason"]
    rig.wait_for_rest()
    assert rig.controller.trigger("resume").success
    rig.wait_for_motion()


def test_an_instruction_by_topic_moves_and_a_reported_success_ends_it(rig: Rig) -> None:
    rig.controller.drive()
    rig.controller.say(rig.arm.instruction, String(data="by topic"))
    rig.wait_for_motion()
    rig.controller.wait_for(instruction="by topic", state="active", value="0.7500")
    rig.controller.say(rig.arm.success, Bool(data=True))
    rig.controller.wait_for(instruction="", state="active")
    rig.wait_for_rest()


def test_an_empty_instruction_is_refused_by_topic_and_the_old_one_goes_on(rig: Rig) -> None:
    rig.moving("the old one")
    rig.controller.say(rig.arm.instruction, String(data="  "))
    rig.controller.wait(lambda: "at least one word" in rig.controller.log, "the refusal")
    rig.wait_for_motion()
    rig.controller.wait_for(instruction="the old one", state="active")


def test_the_annotated_picture_shows_values_over_the_camera(rig: Rig) -> None:
    pictures: list[Image] = []

    def keep(message: Image) -> None:
        with rig.arm.changed:
            pictures.append(message)
            rig.arm.changed.notify_all()

    rig.arm.create_subscription(Image, "/controller/annotated_image", keep, 10)
    rig.moving()
    rig.controller.wait(lambda: pictures, "an annotated picture")
    message = pictures[0]
    assert (message.height, message.width, message.encoding) == (240, 320, "rgb8")
    drawn = np.frombuffer(message.data, np.uint8).reshape(240, 320, 3)
    bars = drawn[230:236]
    # Q-values rise from 0 to 1 over five bins; the last is chosen: white at the right, dark at the left.
    assert (bars[:, 260:316] == 255).all()
    assert bars[0, 100, 0] < 130


def test_a_signal_brakes_a_moving_arm_before_the_process_ends(rig: Rig) -> None:
    rig.moving()
    assert rig.controller.close() == 0
    rig.controller.wait(rig.arm.slide_rests, "rest after the end")
