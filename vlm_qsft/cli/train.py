"""`qsft train`: one phase on a data set: a behavior policy, or the likelihood model on top of one."""

from __future__ import annotations

import argparse

from vlm_qsft.cli.arguments import CommandParser, names, one_of, place, ranges
from vlm_qsft.cli.preset_settings import model_settings, train_settings
from vlm_qsft.cli.progress import NamedProgress
from vlm_qsft.cli.settings_flags import add_settings_flags, flag_name, with_flags
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.model.settings import ModelSettings
from vlm_qsft.model.text_settings import TextModelSettings
from vlm_qsft.presets import PRESETS, preset_named
from vlm_qsft.processes import usable_cores
from vlm_qsft.training.settings import BEHAVIOR_ONLY, Q_ONLY, TokenSettings, TrainSettings

PHASES = ("behavior", "q")
TRAIN_FLAGS = (
    "steps", "batch_size", "accumulation", "learning_rate", "optimizer", "weight_decay", "warmup_fraction",
    "eval_every", "save_every", "patience", "method", "gamma", "backup", "remainder", "target_update_rate", "n_step",
    "support", "priority_share", "augmentation", "colour_jitter", "validation_fraction", "seed", "device", "precision",
)  # fmt: skip
BEHAVIOR_FLAGS = ("source", "allow_download", "gripper", "limits", "successes_only")
TOKEN_FLAGS = ("n_bins", "strategy", "chunk")
SMALL_MODEL_FLAGS = ("channels", "width", "layers")
OF_TEXT_MODEL = ("head_width", "rope_theta", "learned_positions")
TEXT_BEHAVIOR_FLAGS = ("observed_weight", *OF_TEXT_MODEL)
TEXT_FLAGS = ("task", "augmented_copies", *TEXT_BEHAVIOR_FLAGS)
MODEL_FLAGS = ("family", *SMALL_MODEL_FLAGS, "lora_rank")


def build_parser() -> CommandParser:
    """Return the arguments of `qsft train`."""
    parser = CommandParser(
        "train",
        description="Train one phase. Interrupted, the same command continues; with other settings it refuses.",
        epilog="First `qsft train behavior`, then `qsft train q --behavior OUT/policy`. What is not given is as the "
        "preset has it.",
    )
    parser.add_argument("phase", type=one_of("phase", PHASES), metavar="{behavior,q}")
    parser.add_argument("--data", type=place, required=True, help="data set folder, or logged conversations")
    parser.add_argument("--task", default=argparse.SUPPRESS, help="language task of logs that do not say it themselves")
    parser.add_argument(
        "--observed-weight",
        type=float,
        default=argparse.SUPPRESS,
        help="weight of the loss on what a conversation's policy observes, beside that on what it says",
    )
    parser.add_argument(
        "--augmented-copies",
        type=int,
        default=argparse.SUPPRESS,
        help="further conversations to make of each logged one, where the language task knows how",
    )
    parser.add_argument("--out", type=place, required=True, help="folder of the phase")
    parser.add_argument("--behavior", type=place, help="checkpoint of the behavior policy; for the q phase")
    parser.add_argument(
        "--successes-only", action="store_true", help="weigh only successful episodes; for the behavior phase"
    )
    parser.add_argument(
        "--preset",
        type=one_of("preset", PRESETS),
        default=argparse.SUPPRESS,
        help=f"one of {', '.join(PRESETS)} (default: demo)",
    )
    parser.add_argument(
        "--source",
        help="hub name or folder of a model of transformers, instead of the small one: image-text-to-text for robots; "
        "for conversations that or a causal one with a chat template, a .gguf file, SmolLM2-135M-Instruct",
    )
    parser.add_argument("--allow-download", action="store_true", help="fetch --source from the hub")
    parser.add_argument(
        "--gripper",
        type=names,
        default=(),
        metavar="NAME,...",
        help="action dimensions that are grippers, commanded at their ends",
    )
    parser.add_argument(
        "--limits",
        type=ranges,
        default=(),
        metavar="NAME=LOW:HIGH,...",
        help="ranges of action dimensions in physical units, instead of measured ones; a constant dimension needs it",
    )
    add_settings_flags(parser, TokenSettings, TOKEN_FLAGS)
    add_settings_flags(parser, TrainSettings, TRAIN_FLAGS)
    add_settings_flags(parser, ModelSettings, MODEL_FLAGS)
    add_settings_flags(parser, TextModelSettings, OF_TEXT_MODEL)
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Train the phase.

    Raises:
        InvalidSetting: flags that contradict each other, or a folder begun with other settings.
        DatasetError, CheckpointError: the data set or the behavior policy cannot be read.
    """
    check_flags(arguments)
    from vlm_qsft.dialogue.logs import is_log

    if is_log(arguments.data):
        from vlm_qsft.cli.train_text import run_text

        print(f"Wrote {run_text(arguments, TRAIN_FLAGS)}")
        return
    of_text = [name for name in TEXT_FLAGS if hasattr(arguments, name)]
    if of_text:
        raise InvalidSetting(
            f"{flag_name(of_text[0])} belongs to logged conversations; {arguments.data} is no such log."
        )
    preset = preset_named(getattr(arguments, "preset", "demo"))
    phase = preset.q if arguments.phase == "q" else preset.behavior
    settings = with_flags(train_settings(phase, seed=preset.seed, device="auto"), arguments, TRAIN_FLAGS)
    model = chosen_model(arguments, model_settings(preset))
    tokens = with_flags(TokenSettings(gripper=arguments.gripper, limits=arguments.limits), arguments, TOKEN_FLAGS)

    # Heavy imports come after everything that flags can be wrong about: on a busy machine they take seconds.
    from vlm_qsft.training import train_behavior, train_q

    progress, workers = NamedProgress(), usable_cores()
    print(f"Training the {arguments.phase} phase on {arguments.data} for {settings.steps} steps.", flush=True)
    if arguments.phase == "q":
        policy = train_q(
            arguments.data, arguments.behavior, settings, arguments.out, workers=workers, progress=progress
        )
    else:
        policy = train_behavior(
            arguments.data,
            model,
            settings,
            arguments.out,
            token_settings=tokens,
            weights="successes" if arguments.successes_only else "all",
            workers=workers,
            progress=progress,
        )
    print(f"Wrote {policy}")


def check_flags(arguments: argparse.Namespace) -> None:
    """Refuse flags of the other phase: without effect they would not be what was asked for.

    Raises:
        InvalidSetting: names the flag and what to do.
    """
    if arguments.phase == "q":
        if arguments.behavior is None:
            raise InvalidSetting("`qsft train q` needs --behavior, the checkpoint that `qsft train behavior` wrote.")
        of_behavior = (*MODEL_FLAGS, *TOKEN_FLAGS, *BEHAVIOR_ONLY, *TEXT_BEHAVIOR_FLAGS)
        given = [name for name in of_behavior if hasattr(arguments, name)]
        given += [name for name in BEHAVIOR_FLAGS if getattr(arguments, name)]
        if given:
            raise InvalidSetting(
                f"{flag_name(given[0])} belongs to `qsft train behavior`: "
                "the likelihood model starts as a copy of the behavior policy."
            )
        return
    given = [name for name in Q_ONLY if hasattr(arguments, name)]
    if arguments.behavior is not None or given:
        raise InvalidSetting(f"{flag_name(min(given, default='behavior'))} belongs to `qsft train q`.")
    if arguments.source is None and arguments.allow_download:
        raise InvalidSetting("--allow-download needs --source, the model to fetch.")


def chosen_model(arguments: argparse.Namespace, of_preset: ModelSettings) -> ModelSettings:
    """Return the model of the flags: a named source, or the preset's small model with changes.

    Raises:
        InvalidSetting: a number outside its range, or flags that contradict each other.
    """
    if arguments.source is None:
        return with_flags(of_preset, arguments, MODEL_FLAGS)
    given = [name for name in SMALL_MODEL_FLAGS if hasattr(arguments, name)]
    if given:
        raise InvalidSetting(f"{flag_name(given[0])} belongs to the small model, not to --source.")
    model = ModelSettings(family="transformers", source=arguments.source, allow_download=arguments.allow_download)
    return with_flags(model, arguments, MODEL_FLAGS)
