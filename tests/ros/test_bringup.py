"""What the launch files bring up: nodes, parameters and topics, read as plain data."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from pathlib import Path

import pytest
import yaml

from qsft_bringup.launch_data import Robot
from qsft_bringup.resolution import ResolvedNode, resolve
from qsft_bringup.robots import ROBOTS
from qsft_bringup.start import arguments_text, parse_arguments
from qsft_datasets.mapping_file import load_mapping
from qsft_sim.environment import ACTION_NAMES, STATE_NAMES
from qsft_sim.recording import RecordingSettings

WORKSPACE = Path(__file__).resolve().parents[2] / "ros2_ws" / "src"
BRINGUP = WORKSPACE / "qsft_bringup"
CONFIG = BRINGUP / "config"

GIVEN = {"checkpoint": "policy"}
ARMS = [name for name in ROBOTS if (CONFIG / f"{name}.yaml").is_file()]
has_launch = importlib.util.find_spec("launch_ros") is not None
has_ros = importlib.util.find_spec("rclpy") is not None


def resolved(robot: Robot, **given: str) -> dict[str, ResolvedNode]:
    needed = {} if "policy_server" in given else dict.fromkeys(robot.either[:1], "something")
    return {node.name: node for node in resolve(robot, needed | given, CONFIG)}


def parameters(path: Path) -> dict[str, object]:
    return yaml.safe_load(path.read_text())["/**"]["ros__parameters"]


@pytest.mark.parametrize("robot", ROBOTS.values(), ids=lambda robot: robot.name)
def test_every_robot_has_a_launch_file_that_names_it_and_does_nothing_else(robot: Robot) -> None:
    tree = ast.parse((BRINGUP / "launch" / f"{robot.name}.launch.py").read_text())
    (function,) = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert function.name == "generate_launch_description"
    assert ast.unparse(function.body[-1]) == f"return describe('{robot.name}')"


def test_every_launch_file_belongs_to_a_robot() -> None:
    files = {path.name.removesuffix(".launch.py") for path in (BRINGUP / "launch").glob("*.launch.py")}
    assert files == ROBOTS.keys()


@pytest.mark.parametrize("robot", ROBOTS.values(), ids=lambda robot: robot.name)
def test_every_node_can_be_started_and_every_file_is_there(robot: Robot) -> None:
    everything = {argument.name: "true" for argument in robot.arguments if argument.choices == ("true", "false")}
    for node in resolved(robot, **everything).values():
        assert all(file.is_file() for file in node.files)
        entries = (WORKSPACE / node.package / "setup.py").read_text()
        assert f'"{node.executable} = {node.package}.{node.executable}:main"' in entries
        assert not re.search(r"[{}]", " ".join(node.arguments())), "an argument was not filled in"


@pytest.mark.parametrize("robot", ROBOTS.values(), ids=lambda robot: robot.name)
def test_every_argument_is_described_for_show_args(robot: Robot) -> None:
    text = arguments_text(robot)
    for argument in robot.arguments:
        assert f"{argument.name}:=" in text
        assert len(argument.description.split()) > 3 and argument.description.endswith(".")


def test_the_simulator_and_its_controller_share_simulated_time() -> None:
    nodes = resolved(ROBOTS["simulator"], checkpoint="runs/demo/q/policy", real_time_factor="2.5", episode="7")
    assert set(nodes) == {"sim_robot", "controller", "activate_controller"}
    assert nodes["controller"].parameters["use_sim_time"] is True
    assert nodes["controller"].parameters["checkpoint"] == "runs/demo/q/policy"
    assert nodes["sim_robot"].parameters["real_time_factor"] == 2.5
    assert nodes["sim_robot"].parameters["episode"] == 7
    assert nodes["activate_controller"].parameters["activate"] is True


def test_an_arm_is_not_activated_unless_someone_asks() -> None:
    for name in ARMS:
        if name == "simulator":
            continue
        assert resolved(ROBOTS[name])["activate_controller"].parameters["activate"] is False, name
        assert resolved(ROBOTS[name], activate="true")["activate_controller"].parameters["activate"] is True


def test_the_command_topic_of_an_arm_is_an_argument() -> None:
    nodes = resolved(ROBOTS["ur"], command_topic="/other/joint_trajectory", gripper_topic="/hand/cmd")
    remappings = nodes["controller"].remappings
    assert remappings["joint_trajectory"] == "/other/joint_trajectory"
    assert remappings["gripper_cmd/_action/send_goal"] == "/hand/cmd/_action/send_goal"
    default = resolved(ROBOTS["ur"])["controller"].remappings["joint_trajectory"]
    assert default == "/scaled_joint_trajectory_controller/joint_trajectory"


def test_parameters_of_your_own_win_over_those_of_the_robot(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("/**:\n  ros__parameters:\n    control_period_s: 0.1\n")
    nodes = resolved(ROBOTS["franka"], parameters=str(mine))
    assert nodes["controller"].files == (CONFIG / "franka.yaml", mine)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "'simulator' needs exactly one of checkpoint:=, policy_server:=; given: none."),
        ({**GIVEN, "policy_server": "gpu:7007"}, "given: checkpoint and policy_server."),
        ({"chekpoint": "x"}, "no launch argument 'chekpoint'"),
        ({**GIVEN, "activate": "yes"}, "Valid: true, false"),
        ({**GIVEN, "parameters": "/nowhere.yaml"}, "does not exist"),
    ],
    ids=["missing", "both", "unknown", "choice", "file"],
)
def test_wrong_launch_arguments_are_refused_with_what_is_valid(given: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        resolve(ROBOTS["simulator"], given, CONFIG)


def test_words_that_are_no_launch_arguments_are_refused() -> None:
    assert parse_arguments(["checkpoint:=a:=b"]) == {"checkpoint": "a:=b"}
    with pytest.raises(ValueError, match="NAME:=VALUE"):
        parse_arguments(["--checkpoint"])


@pytest.mark.skipif(not has_ros, reason="rclpy is not installed: the declarations of the controller need its types")
@pytest.mark.parametrize("name", ARMS)
def test_every_parameter_of_an_arm_is_one_that_the_controller_declares(name: str) -> None:
    from qsft_controller.controller_parameters import DECLARATIONS, axis_declarations, camera_declarations

    given = parameters(CONFIG / f"{name}.yaml")
    declared = list(DECLARATIONS)
    for axis in given["axes"]:  # type: ignore[attr-defined]
        declared += axis_declarations(axis)
    for camera in given["cameras"]:  # type: ignore[attr-defined]
        declared += camera_declarations(camera)
    kinds = {each.name: type(each.default) for each in declared}
    assert set(given) - set(kinds) == set()
    wrong = {key: value for key, value in given.items() if not isinstance(value, kinds[key])}
    assert wrong == {}, "ROS refuses an integer for a floating-point parameter"


@pytest.mark.skipif(not has_ros, reason="rclpy is not installed: the declarations of the nodes need its types")
@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.recorder.yaml")), ids=lambda path: path.name)
def test_every_recorder_records_topics_and_nothing_it_does_not_declare(path: Path) -> None:
    from qsft_controller.recorder_node import DECLARATIONS

    given = parameters(path)
    assert set(given) <= {each.name for each in DECLARATIONS}
    assert all(topic.startswith("/") for topic in given["topics"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ARMS)
def test_a_policy_server_takes_the_place_of_a_checkpoint(name: str) -> None:
    nodes = resolved(ROBOTS[name], policy_server="gpu.lan:7007", token_file="~/token", tls_ca="ca.pem")
    given = nodes["controller"].parameters
    assert given["checkpoint"] == ""
    assert given["policy_server.address"] == "gpu.lan:7007"
    assert given["policy_server.token_file"] == "~/token" and given["policy_server.tls_ca"] == "ca.pem"
    assert resolved(ROBOTS[name], checkpoint="policy")["controller"].parameters["policy_server.address"] == ""


@pytest.mark.parametrize("name", ARMS)
def test_an_operator_can_talk_with_every_arm_and_must_ask_for_it(name: str) -> None:
    assert "dialogue" not in resolved(ROBOTS[name])
    node = resolved(ROBOTS[name], checkpoint="runs/q/policy", dialogue="true")["dialogue"]
    assert (node.package, node.executable) == ("qsft_controller", "dialogue_node")
    assert node.parameters["checkpoint"] == "runs/q/policy" and node.parameters["instructions_file"] == ""
    served = resolved(ROBOTS[name], policy_server="gpu:7007", dialogue="true", instructions_file="trained.txt")
    assert served["dialogue"].parameters["checkpoint"] == ""
    assert served["dialogue"].parameters["instructions_file"] == "trained.txt"


@pytest.mark.skipif(not has_ros, reason="rclpy is not installed: the declarations of the nodes need its types")
def test_dialogue_and_controller_declare_what_the_launch_files_give_them() -> None:
    from qsft_controller import controller_parameters, dialogue_node

    nodes = resolved(ROBOTS["ur"], dialogue="true")
    assert set(nodes["dialogue"].parameters) <= {each.name for each in dialogue_node.DECLARATIONS}
    assert set(nodes["controller"].parameters) <= {each.name for each in controller_parameters.DECLARATIONS}


@pytest.mark.skipif(not has_ros, reason="rclpy is not installed: the declarations of the nodes need its types")
def test_the_simulated_robot_declares_what_the_launch_files_give_it() -> None:
    from qsft_controller.sim_robot_parameters import DECLARATIONS

    declared = {each.name for each in DECLARATIONS}
    assert set(parameters(CONFIG / "simulator.sim_robot.yaml")) <= declared
    for name in ("simulator", "simulator_demonstrations"):
        assert set(resolved(ROBOTS[name])["sim_robot"].parameters) <= declared


def test_the_simulator_is_driven_as_its_own_recordings_were() -> None:
    given = parameters(CONFIG / "simulator.yaml")
    robot = parameters(CONFIG / "simulator.sim_robot.yaml")
    schema = RecordingSettings(episodes=1).schema
    assert len(given["state_sources"]) == len(STATE_NAMES)  # type: ignore[arg-type]
    assert tuple(robot["cameras"]) == tuple(given["cameras"]) == tuple(schema.cameras)  # type: ignore[arg-type]
    assert (robot["image_height"], robot["image_width"]) == schema.cameras["front"]
    used = {*given["tool.move"], *given["tool.turn"], given["axis.finger_joint.action"]}  # type: ignore[misc]
    assert used - {"-"} == set(ACTION_NAMES[5])


@pytest.mark.parametrize("name", ["simulator", "simulator_demonstrations"])
def test_bags_of_the_simulator_become_the_data_set_that_it_records_directly(name: str) -> None:
    mapping = load_mapping(CONFIG / f"{name}.mapping.yaml")
    schema = RecordingSettings(episodes=1).schema
    assert mapping.fps == schema.fps
    assert tuple(camera.name for camera in mapping.cameras) == tuple(schema.cameras)
    assert tuple(word for part in mapping.state for word in part.names) == schema.state_names
    assert tuple(word for part in mapping.action for word in part.names) == schema.action_names
    recorded = set(parameters(CONFIG / f"{name}.recorder.yaml")["topics"])  # type: ignore[call-overload]
    used = {part.path.partition(":")[0] for part in (*mapping.cameras, *mapping.state, *mapping.action)}
    assert used <= recorded


def test_the_foxglove_layout_shows_topics_that_the_nodes_have_and_panels_that_it_configures() -> None:
    layout = json.loads((CONFIG / "foxglove.json").read_text())

    def panels(part: object) -> set[str]:
        return {str(part)} if isinstance(part, str) else panels(part["first"]) | panels(part["second"])  # type: ignore

    assert panels(layout["layout"]) == set(layout["configById"])
    topics = set(re.findall(r'"(/[a-z_/]+)', json.dumps(layout)))
    assert topics == {
        "/controller/annotated_image",
        "/controller/action_scores",
        "/controller/instruction",
        "/controller/emergency_stop",
        "/controller/resume",
        "/camera/front/image_raw",
        "/camera/wrist/image_raw",
        "/joint_states",
        "/diagnostics",
    }


@pytest.mark.skipif(not has_launch, reason="launch and launch_ros come with a ROS installation only")
@pytest.mark.parametrize("name", ROBOTS)
def test_launch_accepts_the_description(name: str) -> None:
    from qsft_bringup.launching import describe

    declared = {action.name for action in describe(name).get_launch_arguments()}
    assert declared == {argument.name for argument in ROBOTS[name].arguments}
