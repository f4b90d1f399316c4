"""`qsft evaluate`: a checkpoint, or the policy of a server, on seeded scenes or in seeded games of its task."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from vlm_qsft.cli.arguments import CommandParser, one_of, place, positive_integer
from vlm_qsft.cli.progress import ProgressLine
from vlm_qsft.cli.remote_flags import add_remote_flags, remote_settings
from vlm_qsft.cli.settings_flags import POLICY_FLAGS, add_settings_flags, flag_name, with_flags
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.policy.settings import PolicySettings
from vlm_qsft.processes import usable_cores
from vlm_qsft.training.settings import DEVICES

if TYPE_CHECKING:
    from qsft_sim.environment import EnvironmentSettings
    from qsft_sim.results import Setting
    from vlm_qsft.remote import RemoteSettings
    from vlm_qsft.types import Policy

SCENES = ("evaluation", "tuning")


def build_parser() -> CommandParser:
    """Return the arguments of `qsft evaluate`."""
    parser = CommandParser(
        "evaluate",
        description="Evaluate a checkpoint. Equal scenes for every policy; interrupted, the same command continues.",
    )
    parser.add_argument(
        "checkpoint",
        type=place,
        nargs="?",
        help="checkpoint folder, for example runs/demo/q/policy; or --policy-server",
    )
    parser.add_argument("--out", type=place, required=True, help="JSON Lines file, one line per episode")
    parser.add_argument("--task", default=argparse.SUPPRESS, help="task of the simulator (default: pick)")
    parser.add_argument("--episodes", type=positive_integer, default=100)
    parser.add_argument("--scenes", type=one_of("set of scenes", SCENES), default="evaluation", help="or tuning")
    parser.add_argument(
        "--variant", default=argparse.SUPPRESS, help="scene variant, for example camera_shift (default: standard)"
    )
    devices = ", ".join(DEVICES)
    parser.add_argument("--device", type=one_of("device", DEVICES), default="cpu", help=f"for the policy: {devices}")
    parser.add_argument("--workers", type=positive_integer, help="processes (default: one per usable core)")
    add_policy_flags(parser)
    add_remote_flags(parser)
    return parser


def add_policy_flags(parser: CommandParser) -> None:
    """Add one flag for each setting of the policy."""
    group = parser.add_argument_group("policy", "instead of what policy.json beside the checkpoint says")
    add_settings_flags(group, PolicySettings, POLICY_FLAGS)


def run(arguments: argparse.Namespace) -> None:
    """Evaluate the checkpoint, or the policy of a server, and print its success rate.

    Raises:
        CheckpointError: the folder is no whole checkpoint.
        PolicyServerError: the server is gone, late, full, of another version, or does not take the token.
        InvalidSetting: a setting outside its range, a checkpoint of another robot, or a results file of other settings.
        UnknownName: a task, variant or extraction that does not exist.
    """
    from vlm_qsft.dialogue.checkpoint import is_text_checkpoint

    if arguments.checkpoint is not None and is_text_checkpoint(arguments.checkpoint):
        from vlm_qsft.cli.evaluate_games import run_games

        run_games(arguments)
        return
    from qsft_sim.evaluation import evaluate
    from qsft_sim.seeds import EVALUATION, TUNING
    from qsft_sim.statistics import summarise

    evaluated = _policy(arguments)
    print(f"Evaluating {evaluated.title} on {arguments.episodes} scenes", flush=True)
    results = evaluate(
        evaluated.make,
        task=getattr(arguments, "task", "pick"),
        episodes=arguments.episodes,
        base=TUNING if arguments.scenes == "tuning" else EVALUATION,
        out=arguments.out,
        environment=evaluated.environment,
        settings=evaluated.settings,
        identity=evaluated.identity,
        workers=arguments.workers or usable_cores(),
        progress=ProgressLine("episodes"),
    )
    rates = summarise(results)
    print(
        f"Success {rates.success_rate:.1%} (95 % interval {rates.interval[0]:.1%} to {rates.interval[1]:.1%}), "
        f"wrong object {rates.wrong_object_rate:.1%}, {rates.mean_steps:.1f} steps, {rates.episodes} episodes"
    )
    print(f"Wrote {arguments.out}")


@dataclass(frozen=True)
class _Evaluated:
    """What is evaluated, from wherever it comes.

    Attributes:
        title: for people.
        make: gives the policy, in every process.
        environment: what the policy was trained on.
        settings: stored with every result.
        identity: of the checkpoint, likewise.
    """

    title: str
    make: Callable[[], Policy]
    environment: EnvironmentSettings
    settings: Mapping[str, Setting]
    identity: str


def _policy(arguments: argparse.Namespace) -> _Evaluated:
    remote = remote_settings(arguments)
    if (arguments.checkpoint is None) == (remote is None):
        raise InvalidSetting("Name either a checkpoint folder or --policy-server.")
    return _of_checkpoint(arguments) if remote is None else _of_server(arguments, remote)


def _of_checkpoint(arguments: argparse.Namespace) -> _Evaluated:
    from qsft_sim.environment import EnvironmentSettings
    from vlm_qsft.model import load_checkpoint
    from vlm_qsft.policy import QPolicy
    from vlm_qsft.policy.loading import chosen_settings, describe, policy_maker
    from vlm_qsft.training.device import resolve_device

    checkpoint = load_checkpoint(arguments.checkpoint, "cpu")
    environment = EnvironmentSettings.of_robot(
        checkpoint.schema, cameras=checkpoint.spec.cameras, variant=_variant(arguments)
    )
    settings = with_flags(chosen_settings(arguments.checkpoint), arguments, POLICY_FLAGS)
    QPolicy(checkpoint, settings, "cpu")  # what the settings lack is found before anything is written
    device = str(resolve_device(arguments.device))
    return _Evaluated(
        title=f"{arguments.checkpoint} ({describe(settings)})",
        make=policy_maker(arguments.checkpoint, settings, device=device),
        environment=environment,
        settings=settings.to_json(),
        identity=checkpoint.identity,
    )


def _of_server(arguments: argparse.Namespace, remote: RemoteSettings) -> _Evaluated:
    from qsft_sim.environment import EnvironmentSettings
    from vlm_qsft.data.schema import DatasetSchema
    from vlm_qsft.policy.loading import describe
    from vlm_qsft.remote import RemotePolicy

    for name in POLICY_FLAGS:
        if hasattr(arguments, name):
            raise InvalidSetting(f"{flag_name(name)} is a setting of the server: give it to `qsft serve`.")
    with RemotePolicy(remote) as policy:
        description = policy.description
    interface = description.interface
    schema = DatasetSchema(
        cameras=dict(zip(interface.cameras, description.recorded_sizes, strict=True)),
        state_names=interface.state_names,
        action_names=interface.action_names,
        fps=description.fps,
    )
    settings = PolicySettings.from_json(description.settings)
    return _Evaluated(
        title=f"the policy at {remote.address} ({describe(settings)})",
        make=partial(RemotePolicy, remote),
        environment=EnvironmentSettings.of_robot(schema, cameras=interface.cameras, variant=_variant(arguments)),
        settings=settings.to_json() | ({} if remote.pictures == "raw" else {"pictures": remote.pictures}),
        identity=description.identity,
    )


def _variant(arguments: argparse.Namespace) -> str:
    return getattr(arguments, "variant", "standard")
