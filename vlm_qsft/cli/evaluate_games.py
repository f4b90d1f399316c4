"""Evaluation of a text policy in seeded games of its language task."""

from __future__ import annotations

import argparse

from vlm_qsft.cli.progress import ProgressLine
from vlm_qsft.cli.settings_flags import POLICY_FLAGS, with_flags
from vlm_qsft.errors import InvalidSetting


def run_games(arguments: argparse.Namespace) -> None:
    """Evaluate a text policy and print its mean return and its normalised score.

    Raises:
        InvalidSetting: a flag that belongs to robots, a setting outside its range, or results of another policy.
    """
    from vlm_qsft.dialogue.checkpoint import load_text_checkpoint
    from vlm_qsft.dialogue.evaluation import evaluate_text, summarise_returns
    from vlm_qsft.dialogue.tasks import EVALUATION, TUNING
    from vlm_qsft.policy.loading import chosen_settings, describe
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
