"""Does the graph of a robot fit what its controller will use: pure functions from what was seen to findings."""

from __future__ import annotations

import math
from collections.abc import Iterator
from difflib import get_close_matches

from qsft_controller.robot_graph import ExpectedCamera, ExpectedJoint, ExpectedRobot, Finding, GraphFacts, TopicFacts

JOINT_STATE, POSE = "sensor_msgs/msg/JointState", "geometry_msgs/msg/PoseStamped"
CLOCK = "/clock"
CLOCK_AHEAD_S = 0.05
"""Stamps this much in the future come from another clock; less is the time between two readings of one."""
ASPECT_RATIO = 1.05
"""Pictures whose ratio of width to height differs by more look stretched to a policy."""


def examine(expected: ExpectedRobot, facts: GraphFacts) -> list[Finding]:
    """Return every finding, in the order in which someone would look for the cause."""
    findings = list(check_clock(expected, facts))
    findings += check_input(expected.joint_states, JOINT_STATE, expected.max_age_s, facts)
    if facts.topic(expected.joint_states).n_messages:
        findings += check_joints(expected.joints, facts)
    for camera in expected.cameras:
        findings += check_input(camera.topic, camera.type_name, camera.max_age_s, facts)
        findings += check_picture(camera, facts)
    if expected.pose is not None:
        findings += check_input(expected.pose, POSE, expected.max_age_s, facts)
        findings += check_frame(expected.pose, expected.frame_id, facts)
    for topic, type_name in expected.commands.items():
        findings += check_command(topic, type_name, expected.controller, facts)
    return findings


def check_clock(expected: ExpectedRobot, facts: GraphFacts) -> Iterator[Finding]:
    """Check that simulated time has a clock, and that nobody forgot to use it."""
    has_clock = bool(facts.topic(CLOCK).publishers)
    if expected.uses_sim_time and not has_clock:
        yield Finding(CLOCK, "fault", "use_sim_time is set and nothing publishes /clock: no timer would ever fire.")
    elif has_clock and not expected.uses_sim_time:
        yield Finding(
            CLOCK, "fault", "A simulation publishes /clock: set use_sim_time, or its stamps look decades old."
        )
    elif has_clock:
        yield Finding(CLOCK, "ok", "simulated time, and a clock")


def check_input(name: str, type_name: str, max_age_s: float, facts: GraphFacts) -> Iterator[Finding]:
    """Check that a topic is published, with its type, often enough, by this clock."""
    topic = facts.topic(name)
    if not topic.publishers:
        yield Finding(name, "fault", f"Nothing publishes it.{_suggestion(name, type_name, facts)}")
        return
    if topic.types != (type_name,):
        yield Finding(name, "fault", f"Its type is {', '.join(topic.types)}; expected {type_name}.")
        return
    if topic.n_messages == 0:
        nodes = ", ".join(publisher.node for publisher in topic.publishers)
        yield Finding(name, "fault", f"{nodes} publishes it and nothing arrived in {facts.listened_s:.1f} s.")
        return
    rate_hz = topic.n_messages / facts.listened_s
    if topic.longest_gap_s > max_age_s:
        text = (
            f"{rate_hz:.1f} per second with a gap of {topic.longest_gap_s:.3f} s; the arm holds after {max_age_s:g} s."
        )
        yield Finding(name, "fault", text)
    else:
        yield Finding(name, "ok", f"{rate_hz:.1f} per second, longest gap {topic.longest_gap_s:.3f} s")
    if len(topic.publishers) > 1 and type_name != JOINT_STATE:
        nodes = ", ".join(publisher.node for publisher in topic.publishers)
        yield Finding(name, "fault", f"Several nodes publish it: {nodes}.")
    yield from _check_stamps(topic, max_age_s)


def check_joints(joints: tuple[ExpectedJoint, ...], facts: GraphFacts) -> Iterator[Finding]:
    """Check that every joint is measured, finite, and inside its limits in the right unit."""
    missing = [joint.name for joint in joints if joint.name not in facts.positions]
    if missing:
        there = ", ".join(sorted(facts.positions)) or "none"
        yield Finding("joints", "fault", f"Joint {', '.join(missing)} is in no joint state. There are: {there}.")
    for name in facts.not_finite:
        yield Finding("joints", "fault", f"Joint {name} was measured as NaN or infinite.")
    outside = []
    for joint in joints:
        low, high = facts.positions.get(joint.name, (math.nan, math.nan))
        if low < joint.lower - joint.tolerance or high > joint.upper + joint.tolerance:
            outside.append((joint, low if low < joint.lower - joint.tolerance else high))
    for joint, position in outside:
        text = (
            f"Joint {joint.name} is measured at {position:.4g} {joint.unit}, outside of "
            f"[{joint.lower:.4g}, {joint.upper:.4g}]."
        )
        if joint.unit == "rad" and math.radians(abs(position)) <= max(abs(joint.lower), abs(joint.upper)):
            text += " That would fit in degrees; ROS measures in rad (REP-103)."
        yield Finding("joints", "fault", text)
    if not missing and not outside and not facts.not_finite:
        yield Finding("joints", "ok", f"all {len(joints)} measured, inside their limits")


def check_picture(camera: ExpectedCamera, facts: GraphFacts) -> Iterator[Finding]:
    """Check that pictures can be read, and have the shape the policy knows."""
    picture = facts.pictures.get(camera.name)
    if picture is None:
        return
    height, width = picture.size
    if picture.problem:
        yield Finding(camera.topic, "fault", f"Its pictures cannot be read: {picture.problem}")
        return
    text = f"{width} x {height} pixels, {picture.encoding}"
    if camera.size is None:
        yield Finding(camera.topic, "ok", f"{text}; the policy does not look at it")
        return
    ratio = (width / height) / (camera.size[1] / camera.size[0])
    if max(ratio, 1 / ratio) > ASPECT_RATIO:
        trained = f"{camera.size[1]} x {camera.size[0]}"
        yield Finding(
            camera.topic, "fault", f"{text}; the policy was trained with {trained}: it would see them stretched."
        )
    else:
        yield Finding(camera.topic, "ok", text)
    if not any(facts.topic(camera.topic).frames):
        yield Finding(camera.topic, "note", "Its pictures name no frame_id (REP-105).")


def check_frame(name: str, frame_id: str, facts: GraphFacts) -> Iterator[Finding]:
    """Check that the poses of a topic stand in the frame of the commands."""
    frames = facts.topic(name).frames
    if frames and frames != (frame_id,):
        yield Finding(
            name, "fault", f"Its frame is {', '.join(frames)}; commands are in {frame_id} (command.frame_id)."
        )


def check_command(name: str, type_name: str, controller: str, facts: GraphFacts) -> Iterator[Finding]:
    """Check that someone listens to the commands and nobody else sends any."""
    topic = facts.topic(name)
    listeners = [endpoint for endpoint in topic.subscribers if endpoint.node != controller]
    if not listeners:
        yield Finding(name, "fault", f"Nothing listens to the commands.{_suggestion(name, type_name, facts)}")
        return
    if topic.types != (type_name,):
        yield Finding(name, "fault", f"Its type is {', '.join(topic.types)}; the controller sends {type_name}.")
        return
    # The controller sends reliable and volatile: the one mismatch that is left.
    deaf = [endpoint.node for endpoint in listeners if endpoint.durability == "transient_local"]
    if deaf:
        yield Finding(
            name, "fault", f"{', '.join(deaf)} asks for transient local and would not hear volatile commands."
        )
    rivals = [endpoint.node for endpoint in topic.publishers if endpoint.node != controller]
    if rivals:
        yield Finding(name, "fault", f"{', '.join(rivals)} sends commands too: two senders fight over one arm.")
    if not deaf and not rivals:
        yield Finding(name, "ok", f"{', '.join(endpoint.node for endpoint in listeners)} listens")


def _check_stamps(topic: TopicFacts, max_age_s: float) -> Iterator[Finding]:
    if topic.ages_s is None:
        yield Finding(topic.name, "note", "Its messages have no stamp: only their arrival is judged.")
        return
    youngest_s, oldest_s = topic.ages_s
    if youngest_s < -CLOCK_AHEAD_S or youngest_s > max_age_s:
        text = (
            f"Its stamps are {youngest_s:.3f} to {oldest_s:.3f} s old on arrival: the sender's clock is another one. "
        )
        yield Finding(topic.name, "fault", text + "Synchronise the clocks, or set trust_stamps to false.")
    elif oldest_s > max_age_s:
        text = f"Messages are up to {oldest_s:.3f} s old on arrival; the arm holds after {max_age_s:g} s."
        yield Finding(topic.name, "fault", text)


def _suggestion(name: str, type_name: str, facts: GraphFacts) -> str:
    same_type = sorted(topic.name for topic in facts.topics.values() if type_name in topic.types and topic.name != name)
    if not same_type:
        return ""
    near = get_close_matches(name, same_type, n=1, cutoff=0.0)
    return f" Topics of type {type_name}: {', '.join(same_type)}. Did you mean '{near[0]}'? Then remap it."
