"""The doctor's findings on graphs that are written down by hand; no ROS is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from qsft_controller.graph_checks import examine
from qsft_controller.robot_graph import (
    Endpoint,
    ExpectedCamera,
    ExpectedJoint,
    ExpectedRobot,
    Finding,
    GraphFacts,
    PictureFacts,
    TopicFacts,
)

IMAGE, JOINTS, TRAJECTORY = "sensor_msgs/msg/Image", "sensor_msgs/msg/JointState", "trajectory_msgs/msg/JointTrajectory"
EXPECTED = ExpectedRobot(
    joint_states="/joint_states",
    max_age_s=0.2,
    joints=(ExpectedJoint("elbow", "rad", -1.5, 1.5, 0.01), ExpectedJoint("finger", "m", 0.0, 0.04, 0.005)),
    cameras=(ExpectedCamera("front", "/camera/front/image_raw", IMAGE, 0.3, (64, 64)),),
    commands={"/joint_trajectory": TRAJECTORY},
    pose=None,
    frame_id="base_link",
    uses_sim_time=False,
)
TOPICS = {
    "/joint_states": TopicFacts(
        "/joint_states", (JOINTS,), (Endpoint("driver"),), (), 300, 0.02, ages_s=(0.001, 0.004), frames=("",)
    ),
    "/camera/front/image_raw": TopicFacts(
        "/camera/front/image_raw",
        (IMAGE,),
        (Endpoint("camera", "best_effort"),),
        (),
        90,
        0.05,
        ages_s=(0.01, 0.03),
        frames=("camera_front",),
    ),
    "/joint_trajectory": TopicFacts("/joint_trajectory", (TRAJECTORY,), (), (Endpoint("arm_controller"),)),
}
GOOD = GraphFacts(
    listened_s=3.0,
    topics=TOPICS,
    pictures={"front": PictureFacts("rgb8", (480, 480))},
    positions={"elbow": (0.1, 0.2), "finger": (0.0, 0.04)},
)


def with_topic(name: str, **changes: object) -> GraphFacts:
    topics: Mapping[str, TopicFacts] = {**TOPICS, name: replace(TOPICS[name], **changes)}  # type: ignore[arg-type]
    return replace(GOOD, topics=topics)


def without_topic(name: str, *others: TopicFacts) -> GraphFacts:
    kept = {key: facts for key, facts in TOPICS.items() if key != name}
    return replace(GOOD, topics=kept | {facts.name: facts for facts in others})


def faults(facts: GraphFacts, expected: ExpectedRobot = EXPECTED) -> list[Finding]:
    return [finding for finding in examine(expected, facts) if finding.state == "fault"]


def only_fault(facts: GraphFacts, expected: ExpectedRobot = EXPECTED) -> str:
    found = faults(facts, expected)
    assert len(found) == 1, found
    return f"{found[0].subject}: {found[0].text}"


def test_a_robot_that_fits_has_no_fault_and_says_what_was_seen() -> None:
    findings = examine(EXPECTED, GOOD)
    assert {finding.state for finding in findings} == {"ok"}
    texts = " | ".join(finding.text for finding in findings)
    assert "100.0 per second" in texts  # 300 messages in 3 s
    assert "480 x 480 pixels, rgb8" in texts
    assert "arm_controller listens" in texts


def test_a_topic_under_another_name_is_suggested() -> None:
    other = TopicFacts("/cam/front/image_raw", (IMAGE,), (Endpoint("camera"),))
    told = only_fault(without_topic("/camera/front/image_raw", other))
    assert told.startswith("/camera/front/image_raw: Nothing publishes it.")
    assert "Did you mean '/cam/front/image_raw'?" in told


def test_another_type_under_the_expected_name_is_a_fault() -> None:
    told = only_fault(with_topic("/camera/front/image_raw", types=("sensor_msgs/msg/CompressedImage",)))
    assert "CompressedImage; expected sensor_msgs/msg/Image" in told


def test_a_publisher_that_sends_nothing_is_a_fault() -> None:
    facts = replace(with_topic("/camera/front/image_raw", n_messages=0), pictures={})
    assert "camera publishes it and nothing arrived in 3.0 s" in only_fault(facts)


def test_messages_that_come_more_seldom_than_the_watchdog_allows_are_a_fault() -> None:
    told = only_fault(with_topic("/camera/front/image_raw", n_messages=6, longest_gap_s=0.5))
    assert "2.0 per second" in told and "0.500 s; the arm holds after 0.3 s" in told


@pytest.mark.parametrize("ages_s", [(-3600.0, -3599.9), (1.7e9, 1.7e9 + 1)], ids=["ahead", "decades"])
def test_stamps_of_another_clock_are_a_fault(ages_s: tuple[float, float]) -> None:
    assert "the sender's clock is another one" in only_fault(with_topic("/camera/front/image_raw", ages_s=ages_s))


def test_messages_that_are_sometimes_too_old_are_a_fault_of_their_own() -> None:
    assert "up to 0.450 s old" in only_fault(with_topic("/camera/front/image_raw", ages_s=(0.02, 0.45)))


def test_a_missing_stamp_and_a_missing_frame_are_only_noted() -> None:
    findings = examine(EXPECTED, with_topic("/camera/front/image_raw", ages_s=None, frames=("",)))
    assert [finding.state for finding in findings].count("note") == 2
    assert not [finding for finding in findings if finding.state == "fault"]


def test_joints_in_degrees_are_recognised() -> None:
    told = only_fault(replace(GOOD, positions={"elbow": (45.0, 45.2), "finger": (0.0, 0.04)}))
    assert "Joint elbow is measured at 45.2 rad" in told and "degrees" in told


def test_a_joint_outside_of_its_limits_in_no_unit_is_not_taken_for_degrees() -> None:
    told = only_fault(replace(GOOD, positions={"elbow": (0.0, 0.1), "finger": (0.0, 0.08)}))
    assert "Joint finger" in told and "degrees" not in told


def test_a_missing_joint_lists_those_that_are_there() -> None:
    told = only_fault(replace(GOOD, positions={"elbow": (0.0, 0.1), "gripper": (0.0, 0.01)}))
    assert "Joint finger is in no joint state. There are: elbow, gripper." in told


def test_a_joint_that_was_nan_is_a_fault() -> None:
    assert "elbow was measured as NaN" in only_fault(replace(GOOD, not_finite=("elbow",)))


def test_pictures_of_another_shape_than_those_of_training_are_a_fault() -> None:
    facts = replace(GOOD, pictures={"front": PictureFacts("rgb8", (480, 640))})
    assert "640 x 480 pixels, rgb8; the policy was trained with 64 x 64" in only_fault(facts)


def test_pictures_that_cannot_be_read_say_why() -> None:
    facts = replace(GOOD, pictures={"front": PictureFacts("32FC1", (0, 0), "Encoding '32FC1' is not known.")})
    assert "Encoding '32FC1' is not known." in only_fault(facts)


def test_commands_that_nobody_hears_are_a_fault() -> None:
    assert "Nothing listens to the commands." in only_fault(without_topic("/joint_trajectory"))


def test_a_listener_that_asks_for_transient_local_hears_nothing() -> None:
    listener = Endpoint("arm_controller", durability="transient_local")
    assert "asks for transient local" in only_fault(with_topic("/joint_trajectory", subscribers=(listener,)))


def test_two_senders_of_commands_are_a_fault_and_the_controller_itself_is_none() -> None:
    senders = (Endpoint("teleoperation"), Endpoint("controller"))
    assert "teleoperation sends commands too" in only_fault(with_topic("/joint_trajectory", publishers=senders))
    assert faults(with_topic("/joint_trajectory", publishers=(Endpoint("controller"),))) == []


def test_simulated_time_needs_a_clock_and_a_clock_needs_simulated_time() -> None:
    simulated = replace(EXPECTED, uses_sim_time=True)
    assert "nothing publishes /clock" in only_fault(GOOD, simulated)
    clock = TopicFacts("/clock", ("rosgraph_msgs/msg/Clock",), (Endpoint("simulator"),))
    with_clock = replace(GOOD, topics={**TOPICS, "/clock": clock})
    assert faults(with_clock, simulated) == []
    assert "set use_sim_time" in only_fault(with_clock)


def test_a_pose_in_another_frame_than_the_commands_is_a_fault() -> None:
    pose = TopicFacts(
        "/pose", ("geometry_msgs/msg/PoseStamped",), (Endpoint("driver"),), (), 300, 0.02, (0.0, 0.01), ("world",)
    )
    facts = replace(GOOD, topics={**TOPICS, "/pose": pose})
    assert "Its frame is world; commands are in base_link" in only_fault(facts, replace(EXPECTED, pose="/pose"))
