"""`qsft evaluate`: a checkpoint on seeded scenes of the simulator, or in seeded games of its language task."""

from __future__ import annotations

import argparse

from vlm_qsft.cli.arguments import CommandParser, one_of, place, positive_integer
from vlm_qsft.cli.progress import ProgressLine
from vlm_qsft.cli.settings_flags import with_flags
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.processes import usable_cores
from vlm_qsft.training.settings import DEVICES

SCENES = ("evaluation", "tuning")
POLICY_FLAGS = ("extraction", "temperature", "inverse_temperature", "support")


def build_parser() -> CommandParser:
    """Return the arguments of `qsft evaluate`."""
    parser = CommandParser(
        "evaluate",
        description="Evaluate a checkpoint. Equal scenes for every policy; interrupted, the same command continues.",
    )
    parser.add_argument("checkpoint", type=place, help="checkpoint folder, for example runs/demo/q/policy")
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
    for name in POLICY_FLAGS:
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            type=str if name == "extraction" else float,
            default=argparse.SUPPRESS,
            help="of the policy, instead of what policy.json beside the checkpoint says",
        )
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Evaluate the checkpoint and print its success rate.

    Raises:
        CheckpointError: the folder is no whole checkpoint.
        InvalidSetting: a setting outside its range, a checkpoint of another robot, or a results file of other settings.
        UnknownName: a task, variant or extraction that does not exist.
    """
    from vlm_qsft.dialogue.checkpoint import is_text_checkpoint

    if is_text_checkpoint(arguments.checkpoint):
        run_games(arguments)
        return
    from qsft_sim.environment import EnvironmentSettings
    from qsft_sim.evaluation import evaluate
    from qsft_sim.seeds import EVALUATION, TUNING
    from qsft_sim.statistics import summarise
    from vlm_qsft.cli.policy_loading import chosen_settings, describe, policy_maker
    from vlm_qsft.model import load_checkpoint
    from vlm_qsft.policy import QPolicy
    from vlm_qsft.training.device import resolve_device

    checkpoint = load_checkpoint(arguments.checkpoint, "cpu")
    environment = EnvironmentSettings.of_robot(
        checkpoint.schema, cameras=checkpoint.spec.cameras, variant=getattr(arguments, "variant", "standard")
    )
    settings = with_flags(chosen_settings(arguments.checkpoint), arguments, POLICY_FLAGS)
    QPolicy(checkpoint, settings, "cpu")  # what the settings lack is found before anything is written
    device = resolve_device(arguments.device)
    print(f"Evaluating {arguments.checkpoint} ({describe(settings)}) on {arguments.episodes} scenes", flush=True)
    results = evaluate(
        policy_maker(arguments.checkpoint, settings, device=str(device)),
        task=getattr(arguments, "task", "pick"),
        episodes=arguments.episodes,
        base=TUNING if arguments.scenes == "tuning" else EVALUATION,
        out=arguments.out,
        environment=environment,
        settings=settings.to_json(),
        identity=checkpoint.identity,
        workers=arguments.workers or usable_cores(),
        progress=ProgressLine("episodes"),
    )
    rates = summarise(results)
    print(
        f"Success {rates.success_rate:.1%} (95 % interval {rates.interval[0]:.1%} to {rates.interval[1]:.1%}), "
        f"wrong object {rates.wrong_object_rate:.1%}, {rates.mean_steps:.1f} steps, {rates.episodes} episodes"
    )
    print(f"Wrote {arguments.out}")


def run_games(arguments: argparse.Namespace) -> None:
    """Evaluate a text policy and print its mean return and its normalised score.

    Raises:
        InvalidSetting: a flag that belongs to robots, a setting outside its range, or results of another policy.
    """
    from vlm_qsft.cli.policy_loading import chosen_settings, describe
    from vlm_qsft.dialogue.checkpoint import load_text_checkpoint
    from vlm_qsft.dialogue.evaluation import evaluate_text, summarise_returns
    from vlm_qsft.dialogue.tasks import EVALUATION, TUNING
    from vlm_qsft.training.device import resolve_device, set_threads

    checkpoint = load_text_checkpoint(arguments.checkpoint, resolve_device(arguments.device))
    task = checkpoint.text_format.task
    if hasattr(arguments, "variant"):
        raise InvalidSetting(f"--variant belongs to robots; {arguments.checkpoint} plays '{task}'.")
    if getattr(arguments, "task", task) != task:
        raise InvalidSetting(f"{arguments.checkpoint} plays '{task}', not '{arguments.task}'.")
    set_threads()
    settings = with_flags(chosen_settings(arguments.checkpoint), arguments, POLICY_FLAGS)
    checkpoint.reader(settings)  # what the settings lack is found before anything is written
    print(
        f"Evaluating {arguments.checkpoint} ({describe(settings)}) in {arguments.episodes} games of {task}", flush=True
    )
    results = evaluate_text(
        checkpoint,
        settings,
        episodes=arguments.episodes,
        purpose=TUNING if arguments.scenes == "tuning" else EVALUATION,
        out=arguments.out,
        progress=ProgressLine("episodes"),
    )
    summary = summarise_returns(task, results)
    low, high = summary.interval
    print(
        f"Mean return {summary.mean_return:.3f} (95 % interval {low:.3f} to {high:.3f}), score {summary.score:.1f}, "
        f"success {summary.success_rate:.1%}, {summary.mean_turns:.1f} turns, {summary.episodes} episodes"
    )
    print(f"Wrote {arguments.out}")
