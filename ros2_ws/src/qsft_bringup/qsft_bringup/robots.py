"""The robots that can be brought up: which nodes, with which parameters, on which topics."""

from __future__ import annotations

from collections.abc import Mapping

from qsft_bringup.launch_data import FALSE, TRUE, Argument, NodeEntry, Robot, Value

CHECKPOINT = Argument("checkpoint", "", "Folder of the trained checkpoint, for example runs/demo/q/policy.")
POLICY_SERVER = Argument("policy_server", "", "Instead of a checkpoint: HOST:PORT of a `qsft serve`.")
TOKEN_FILE = Argument("token_file", "", "File with the token of the policy server, readable by its owner alone.")
TLS_CA = Argument("tls_ca", "", "PEM file of the certificates to trust at the policy server; empty: no TLS.")
DEVICE = Argument("device", "cpu", "Where the policy computes: cpu, cuda, cuda:1.")
PARAMETERS = Argument("parameters", "", "A parameter file of your own, which wins over the robot's; empty for none.")
ACTIVATE = Argument(
    "activate",
    FALSE,
    "Activate the controller once it is configured: from then on it commands the arm. "
    "Otherwise: ros2 lifecycle set /controller activate.",
    (TRUE, FALSE),
)
DIALOGUE = Argument(
    "dialogue",
    FALSE,
    "Start the node that an operator talks with: /dialogue/said, /dialogue/answer, /dialogue/say.",
    (TRUE, FALSE),
)
INSTRUCTIONS_FILE = Argument(
    "instructions_file",
    "",
    "For the dialogue with a policy server: file of what its policy was trained to do, one instruction per line.",
)
RECORD = Argument("record", FALSE, "Record one bag for every marked episode, for `qsft convert`.", (TRUE, FALSE))
BAG = Argument("bag", "qsft_bags", "Folder of the bags, one for every episode.")
JOINT_STATES = Argument("joint_states_topic", "/joint_states", "Topic of the measured joints.")
ROBOT_DESCRIPTION = Argument(
    "urdf", "", "File of the robot's URDF, for limits and kinematics (xacro: expand it first)."
)
POLICY_ARGUMENTS = (CHECKPOINT, POLICY_SERVER, TOKEN_FILE, TLS_CA, DEVICE, DIALOGUE, INSTRUCTIONS_FILE, PARAMETERS)
EITHER_POLICY = (CHECKPOINT.name, POLICY_SERVER.name)
DRIVER_ARGUMENTS = (*POLICY_ARGUMENTS, ACTIVATE, RECORD, BAG, JOINT_STATES)


def command_argument(default: str) -> Argument:
    """Return the argument for the topic of joint commands."""
    return Argument("command_topic", default, "Topic of the arm's commands, as its controller calls it.")


def gripper_argument(default: str) -> Argument:
    """Return the argument for the topic or action of the gripper."""
    return Argument("gripper_topic", default, "Topic or action of the gripper's commands.")


def controller(robot: str, *, remappings: Mapping[str, str], parameters: Mapping[str, Value]) -> NodeEntry:
    """Return the controller node of a robot, with its parameter file."""
    given = {
        "checkpoint": "{checkpoint}",
        "policy_server.address": "{policy_server}",
        "policy_server.token_file": "{token_file}",
        "policy_server.tls_ca": "{tls_ca}",
        "device": "{device}",
        **parameters,
    }
    return NodeEntry(
        "qsft_controller",
        "controller_node",
        "controller",
        (f"{robot}.yaml", "{parameters}"),
        given,
        remappings,
        is_lifecycle=True,
    )


def activation(parameters: Mapping[str, Value]) -> NodeEntry:
    """Return the node that configures the controller and, when asked to, activates it; it ends then."""
    return NodeEntry(
        "qsft_bringup",
        "activate_controller",
        "activate_controller",
        parameters={"node": "/controller", "activate": "{activate}", **parameters},
    )


def dialogue(parameters: Mapping[str, Value]) -> NodeEntry:
    """Return the node that an operator talks with."""
    return NodeEntry(
        "qsft_controller",
        "dialogue_node",
        "dialogue",
        ("{parameters}",),
        {"checkpoint": "{checkpoint}", "instructions_file": "{instructions_file}", **parameters},
        only_if="dialogue",
    )


def recorder(robot: str, parameters: Mapping[str, Value]) -> NodeEntry:
    """Return the recorder."""
    return NodeEntry(
        "qsft_controller",
        "recorder_node",
        "recorder",
        (f"{robot}.recorder.yaml",),
        {"folder": "{bag}", **parameters},
        only_if="record",
    )


COMMAND_TOPIC, GRIPPER_TOPIC, TWIST_TOPIC = "joint_trajectory", "gripper_trajectory", "delta_twist_cmds"


def gripper_action(argument: str) -> dict[str, str]:
    """Return the remappings of the gripper's action; each of its five parts is remapped on its own."""
    parts = ("send_goal", "cancel_goal", "get_result", "feedback", "status")
    return {f"gripper_cmd/_action/{part}": f"{argument}/_action/{part}" for part in parts}


def driven_robot(name: str, description: str, arguments: tuple[Argument, ...], remappings: Mapping[str, str]) -> Robot:
    """Return a robot whose drivers are started by their own launch files."""
    nodes = (
        controller(
            name,
            remappings={"joint_states": "{joint_states_topic}", **remappings},
            parameters={"urdf_path": "{urdf}"},
        ),
        activation({}),
        dialogue({}),
        recorder(name, {}),
    )
    return Robot(name, description, (*DRIVER_ARGUMENTS, ROBOT_DESCRIPTION, *arguments), nodes, EITHER_POLICY)


SIMULATED_TIME: dict[str, Value] = {"use_sim_time": True}
SIMULATOR = Robot(
    "simulator",
    "The simulated tabletop: the same nodes and topics as on an arm, for those without one.",
    (
        *POLICY_ARGUMENTS,
        Argument("activate", TRUE, ACTIVATE.description, (TRUE, FALSE)),
        RECORD,
        BAG,
        Argument("task", "pick", "Task of the first scene.", ("pick", "near")),
        Argument("episode", "0", "Number of the first scene."),
        Argument("real_time_factor", "1.0", "Simulated seconds per second; 0: as fast as possible."),
        Argument("wait_for_commands", TRUE, "Simulated time waits for a controller that is late.", (TRUE, FALSE)),
    ),
    (
        NodeEntry(
            "qsft_controller",
            "sim_robot_node",
            "sim_robot",
            ("simulator.sim_robot.yaml",),
            {
                "task": "{task}",
                "episode": "{episode}",
                "real_time_factor": "{real_time_factor}",
                "wait_for_commands": "{wait_for_commands}",
            },
        ),
        controller("simulator", remappings={}, parameters=SIMULATED_TIME),
        activation({}),
        dialogue(SIMULATED_TIME),
        recorder("simulator", SIMULATED_TIME),
    ),
    EITHER_POLICY,
)
DEMONSTRATIONS = Robot(
    "simulator_demonstrations",
    "A scripted demonstrator drives the simulated arm into a bag. Begin with: ros2 service call /sim_robot/reset.",
    (
        BAG,
        Argument("demonstrator", "noisy", "Quality of the demonstrator."),
        Argument("episodes", "20", "How many episodes follow each other."),
        Argument("task", "pick", "Task of the scenes.", ("pick", "near")),
        Argument("real_time_factor", "1.0", "Simulated seconds per second; too fast for the recorder loses messages."),
    ),
    (
        NodeEntry(
            "qsft_controller",
            "recorder_node",
            "recorder",
            ("simulator_demonstrations.recorder.yaml",),
            {"folder": "{bag}", **SIMULATED_TIME},
        ),
        NodeEntry(
            "qsft_controller",
            "sim_robot_node",
            "sim_robot",
            ("simulator.sim_robot.yaml",),
            {
                "task": "{task}",
                "scenes": "recording",
                "autostart": False,
                "demonstrator": "{demonstrator}",
                "episodes": "{episodes}",
                "camera_hz": 5.0,
                "real_time_factor": "{real_time_factor}",
            },
        ),
    ),
)
ROBOTS: dict[str, Robot] = {
    robot.name: robot
    for robot in (
        SIMULATOR,
        DEMONSTRATIONS,
        driven_robot(
            "ros2_control",
            "Any arm with a joint_trajectory_controller of ros2_control: copy its parameter file and fill it in.",
            (
                command_argument("/joint_trajectory_controller/joint_trajectory"),
                gripper_argument("/gripper_controller/joint_trajectory"),
            ),
            {COMMAND_TOPIC: "{command_topic}", GRIPPER_TOPIC: "{gripper_topic}"},
        ),
        driven_robot(
            "franka",
            "Franka Research 3 with franka_ros2 and the Franka Hand.",
            (
                command_argument("/fr3_arm_controller/joint_trajectory"),
                gripper_argument("/franka_gripper/gripper_action"),
            ),
            {COMMAND_TOPIC: "{command_topic}", **gripper_action("{gripper_topic}")},
        ),
        driven_robot(
            "ur",
            "Universal Robots arms with ur_robot_driver and a gripper that takes GripperCommand.",
            (
                command_argument("/scaled_joint_trajectory_controller/joint_trajectory"),
                gripper_argument("/gripper_controller/gripper_cmd"),
            ),
            {COMMAND_TOPIC: "{command_topic}", **gripper_action("{gripper_topic}")},
        ),
        driven_robot(
            "so101",
            "SO-101 with ros2_control; actions as LeRobot records them, in degrees.",
            (
                command_argument("/arm_controller/joint_trajectory"),
                gripper_argument("/gripper_controller/joint_trajectory"),
            ),
            {COMMAND_TOPIC: "{command_topic}", GRIPPER_TOPIC: "{gripper_topic}"},
        ),
        driven_robot(
            "moveit_servo",
            "Any arm behind MoveIt Servo: the policy's tool deltas become velocities of the tool.",
            (
                command_argument("/servo_node/delta_twist_cmds"),
                gripper_argument("/gripper_controller/gripper_cmd"),
                Argument("pose_topic", "/end_effector_pose", "Topic (PoseStamped) of the measured tool pose."),
            ),
            {
                TWIST_TOPIC: "{command_topic}",
                "end_effector_pose": "{pose_topic}",
                **gripper_action("{gripper_topic}"),
            },
        ),
    )
}
