"""`qsft convert SRC DST`: robot logs of a foreign format into the canonical data set, or that one into RLDS."""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_qsft.cli.arguments import CommandParser, one_of, place, positive_integer
from vlm_qsft.cli.progress import ProgressLine
from vlm_qsft.errors import DatasetError, InvalidSetting, UnknownName

if TYPE_CHECKING:
    from qsft_datasets.dataset_conversion import Summary
    from qsft_datasets.mapping import Mapping, OutcomeMapping
    from qsft_datasets.source import Source

OUTCOMES = ("flag", "path", "reward", "csv", "assume-success", "assume-failure")
RULES = ("binary01", "vgps", "recap", "keep")
DECODERS = ("opencv", "tensorflow")
FORMATS = ("lerobot", "rlds")
SHOWN_REFUSALS = 10
FROM_FEATURE = ("flag", "reward")


def build_parser() -> CommandParser:
    """Return the arguments of `qsft convert`."""
    parser = CommandParser(
        "convert",
        description="Convert robot logs (RLDS, LeRobot, HDF5, ROS 2 bags) into the canonical data set. Killed at any "
        "moment, the same command continues. Nothing is guessed: without a mapping, one is proposed for review.",
    )
    parser.add_argument("source", type=place, metavar="SRC", help="folder of the logs")
    parser.add_argument("target", type=place, metavar="DST", help="folder of the new data set")
    parser.add_argument("--mapping", type=place, help="mapping file (default: the one that ships for this data set)")
    parser.add_argument("--workers", type=positive_integer, help="processes (default: one per usable core)")
    parser.add_argument("--ray", metavar="ADDRESS", help="work on a Ray cluster, for example auto or HOST:6379")
    parser.add_argument("--skip-bad", action="store_true", help="leave damaged episodes out and count them")
    parser.add_argument(
        "--outcome",
        nargs="+",
        metavar="HOW",
        help=f"how success is known, instead of the mapping's: {', '.join(OUTCOMES)}; csv is followed by the file",
    )
    parser.add_argument("--rule", type=one_of("reward rule", RULES), default="binary01", help=f"{', '.join(RULES)}")
    parser.add_argument("--gamma", type=float, default=0.97, help="discount per control step of the stored returns")
    parser.add_argument(
        "--decoder",
        type=one_of("decoder", DECODERS),
        default=argparse.SUPPRESS,
        help="whose JPEG pixels the result has: opencv (bytes pass through) or tensorflow (stored as PNG)",
    )
    parser.add_argument("--decode-videos", action="store_true", help="store pictures instead of copying video files")
    parser.add_argument("--to", type=one_of("format", FORMATS), default="lerobot", help="lerobot or rlds")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Convert and print a summary.

    Raises:
        DatasetError: the source cannot be read, has no mapping, or does not fit it.
        InvalidSetting, UnknownName: the mapping or an argument is wrong.
        StorageError: disk full; the same command continues.
    """
    from vlm_qsft.processes import usable_cores

    workers = arguments.workers or usable_cores()
    if arguments.to == "rlds":
        write_rlds_from(arguments.source, arguments.target, workers=workers)
        return
    from qsft_datasets.dataset_conversion import ConversionSettings, convert_dataset
    from qsft_datasets.registry import find_source

    source = find_source(arguments.source)
    mapping, origin = chosen_mapping(source, arguments.mapping, arguments.target)
    if arguments.outcome:
        mapping = replace(mapping, outcome=outcome_of(arguments.outcome, mapping.outcome))
    mapping = replace(mapping, jpeg=getattr(arguments, "decoder", mapping.jpeg))
    settings = ConversionSettings(
        reward_rule=arguments.rule,
        gamma=arguments.gamma,
        skip_bad=arguments.skip_bad,
        decode_videos=arguments.decode_videos,
        workers=workers,
    )
    description = source.description
    workplace = f"the Ray cluster at {arguments.ray}" if arguments.ray else f"{workers} processes"
    print(
        f"Converting '{description.name}' ({description.format}) to {arguments.target} by {origin}: "
        f"{float(mapping.fps):g} steps/s, cameras {', '.join(camera.name for camera in mapping.cameras) or 'none'}, "
        f"outcome {mapping.outcome.source}, rewards {arguments.rule}, {workplace}",
        flush=True,
    )
    run_on = None
    if arguments.ray:
        from qsft_datasets.ray_cluster import run_on_ray

        run_on = partial(run_on_ray, address=arguments.ray, workers=arguments.workers)
    summary = convert_dataset(
        source,
        mapping,
        arguments.target,
        settings=settings,
        progress=ProgressLine("episodes", shows_rate=True),
        run=run_on,
    )
    print(summary_text(summary, arguments.target))


def write_rlds_from(root: Path, out: Path, *, workers: int) -> None:
    """Write a canonical data set as RLDS.

    Raises:
        DatasetError: the source is no canonical data set, or the target holds something.
    """
    from qsft_datasets.rlds.writer import write_rlds

    print(f"Writing {root} as RLDS to {out}, {workers} processes", flush=True)
    write_rlds(root, out, workers=workers, progress=ProgressLine("episodes", shows_rate=True))
    print(f"Wrote {out}")


def chosen_mapping(source: Source, given: Path | None, target: Path) -> tuple[Mapping, str]:
    """Return the mapping of a conversion and what to call it.

    Raises:
        DatasetError: none is given and none ships; the proposed one has been written for review, the error says where.
        InvalidSetting, UnknownName: the given one is wrong.
    """
    from qsft_datasets.mapping_file import load_mapping
    from qsft_datasets.shipped import find_shipped, find_undecided

    if given is not None:
        return load_mapping(given), str(given)
    shipped = find_shipped(source)
    if shipped is not None:
        return shipped, f"the shipped mapping '{shipped.name}'"
    from qsft_datasets.proposal import propose
    from qsft_datasets.sampling import sample_episodes

    path = target.parent / f"{target.name}.mapping.yaml"
    description = source.description
    what = f"No complete mapping ships for '{description.name}' ({description.format})"
    again = f"qsft convert {source.root} {target} --mapping {path}"
    if path.exists():
        raise DatasetError(f"{what}. {path} stands there already: review it, then run `{again}`; or delete it.")
    text = find_undecided(source) or propose(description, sample_episodes(source))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    raise DatasetError(f"{what}. A proposal is in {path}: review it, then run `{again}`.")


def outcome_of(words: list[str], mapped: OutcomeMapping) -> OutcomeMapping:
    """Return the outcome that --outcome asks for; what it does not say comes from the mapping.

    Raises:
        UnknownName: no such way.
        InvalidSetting: csv without a file, or a way for which the mapping names no feature.
    """
    source, *rest = words
    if source not in OUTCOMES:
        raise UnknownName("outcome", source, OUTCOMES)
    if len(rest) != (source == "csv"):
        raise InvalidSetting(f"--outcome {source} takes {'one file' if source == 'csv' else 'nothing more'}.")
    if source == "csv":
        return replace(mapped, source="csv", path=rest[0])
    if source in (*FROM_FEATURE, "path") and mapped.source != source:
        raise InvalidSetting(
            f"--outcome {source} needs the feature{' or the pattern' if source == 'path' else ''} that says so; the "
            f"mapping has outcome '{mapped.source}'. Write it into a mapping file (`qsft inspect SRC --write-mapping`)."
        )
    return replace(mapped, source=source)  # type: ignore[arg-type]  # checked above


def summary_text(summary: Summary, target: Path) -> str:
    """Return what a conversion did, for people."""
    lines = [
        f"{summary.episodes_in} episodes in, {summary.episodes_out} out ({summary.frames} steps, {summary.successes} "
        f"successes), {len(summary.refused)} refused"
    ]
    lines += [f"  refused {name}: {reason}" for name, reason in summary.refused[:SHOWN_REFUSALS]]
    if len(summary.refused) > SHOWN_REFUSALS:
        lines.append(f"  ... and {len(summary.refused) - SHOWN_REFUSALS} more in {target}/meta/refused.json")
    if summary.without_instruction:
        lines.append(f"  {summary.without_instruction} episodes have an empty instruction")
    if summary.with_gaps:
        lines.append(f"  {summary.with_gaps} episodes have gaps or time stamps at odds with the rate (attributes/gaps)")
    if summary.episodes_out and summary.successes in (0, summary.episodes_out):
        lines.append("  every episode has the same outcome: Q-SFT needs both, see `qsft label`")
    return "\n".join([*lines, f"Wrote {target}"])
