"""What the doctor saw on the topics of a robot, and what it should have seen. Plain records, no rclpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "fault"]
Reliability = Literal["reliable", "best_effort"]
Durability = Literal["volatile", "transient_local"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report.

    Attributes:
        subject: what was looked at.
        state: "ok", "note" (works, but) or "fault" (the robot must not be driven like this).
        text: what was found, and the remedy where there is one.
    """

    subject: str
    state: State
    text: str


@dataclass(frozen=True)
class Endpoint:
    """A publisher or a subscriber of another node."""

    node: str
    reliability: Reliability = "reliable"
    durability: Durability = "volatile"


@dataclass(frozen=True)
class TopicFacts:
    """What was seen of one topic.

    Attributes:
        name: resolved.
        types: "package/msg/Type" of all that use it.
        publishers, subscribers: of other nodes.
        n_messages: that arrived while the doctor listened.
        longest_gap_s: between two of them, or the beginning or end of listening, s.
        ages_s: smallest and largest age of their stamps on arrival, s; None where no stamp was set.
        frames: every frame_id that they named.
    """

    name: str
    types: tuple[str, ...] = ()
    publishers: tuple[Endpoint, ...] = ()
    subscribers: tuple[Endpoint, ...] = ()
    n_messages: int = 0
    longest_gap_s: float = 0.0
    ages_s: tuple[float, float] | None = None
    frames: tuple[str, ...] = ()


@dataclass(frozen=True)
class PictureFacts:
    """What was seen of a camera's pictures.

    Attributes:
        encoding: as the message says.
        size: (height, width) in pixels.
        problem: why the last one could not be read; "" where it could.
    """

    encoding: str
    size: tuple[int, int]
    problem: str = ""


@dataclass(frozen=True)
class GraphFacts:
    """Everything that was seen.

    Attributes:
        listened_s: for how long, s.
        topics: name -> facts; also those that nobody asked about, for suggestions.
        pictures: camera -> facts of its last picture.
        positions: joint -> smallest and largest position seen.
        not_finite: joints of which a position was NaN or infinite.
    """

    listened_s: float
    topics: Mapping[str, TopicFacts]
    pictures: Mapping[str, PictureFacts]
    positions: Mapping[str, tuple[float, float]]
    not_finite: tuple[str, ...] = ()

    def topic(self, name: str) -> TopicFacts:
        """Return what was seen of a topic; nothing at all where nobody uses it."""
        return self.topics.get(name, TopicFacts(name))


@dataclass(frozen=True)
class ExpectedCamera:
    """A camera that the robot's configuration names.

    Attributes:
        name: as the checkpoint calls it.
        topic: resolved, with the ending of its transport.
        type_name: of its messages.
        max_age_s: older than this the arm holds, s.
        size: (height, width) of the pictures the policy was trained with; None where it does not see this camera.
    """

    name: str
    topic: str
    type_name: str
    max_age_s: float
    size: tuple[int, int] | None


@dataclass(frozen=True)
class ExpectedJoint:
    """A joint whose state is read, with the limits of the axis it measures (infinite where it is no axis)."""

    name: str
    unit: str
    lower: float
    upper: float
    tolerance: float


@dataclass(frozen=True)
class ExpectedRobot:
    """What the controller will use.

    Attributes:
        joint_states, max_age_s: topic, and the age above which the arm holds.
        joints: whose state is read.
        cameras: that are watched.
        commands: topic -> type of everything the controller sends.
        pose: topic of the end-effector pose; None where nothing needs it.
        frame_id: of the commands.
        uses_sim_time: of the controller.
        controller: its node name, which is not counted as another sender.
    """

    joint_states: str
    max_age_s: float
    joints: tuple[ExpectedJoint, ...]
    cameras: tuple[ExpectedCamera, ...]
    commands: Mapping[str, str]
    pose: str | None
    frame_id: str
    uses_sim_time: bool
    controller: str = "controller"
