"""`qsft label`: outcomes, rewards, returns and counterfactual negatives of an existing data set."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_qsft.cli.arguments import CommandParser, place
from vlm_qsft.cli.outcome_words import SEPARATOR, joined_outcomes
from vlm_qsft.cli.progress import NamedProgress
from vlm_qsft.errors import InvalidSetting

if TYPE_CHECKING:
    from qsft_datasets.labeling import LabelRequest, LabelSummary


class LabelParser(CommandParser):
    """Arguments of `qsft label`."""

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return the parsed arguments. Raises as `CommandParser.parse`."""
        return super().parse(joined_outcomes(arguments))


def build_parser() -> LabelParser:
    """Return the arguments of `qsft label`."""
    parser = LabelParser(
        "label",
        description="Label a data set in place, by a named rule. Pictures and videos are not touched; the same command "
        "twice changes nothing; interrupted, it continues. What is not given stays as the data set has it.",
        epilog="--outcome may be given several times: flag, path, reward, csv FILE, review, assume-success or "
        "assume-failure; for each episode the first of these that knows decides.",
    )
    parser.add_argument("folder", type=place, help="data set: canonical, or any LeRobotDataset v3.0")
    parser.add_argument("--rule", help="binary01, vgps, recap or keep")
    parser.add_argument("--gamma", type=float, help="discount per control step, up to 1 (0.97 where there is none yet)")
    parser.add_argument("--outcome", action="append", default=[], metavar="SOURCE", help="who decides on success")
    parser.add_argument("--flag", metavar="COLUMN", help="column for `--outcome flag`, instead of what was recorded")
    parser.add_argument("--pattern", help="for `--outcome path`: paths that match are successes, all others failures")
    parser.add_argument("--threshold", type=float, default=0.5, help="smallest reward (or flag) of a success")
    parser.add_argument("--where", choices=("last", "any"), default="last", help="step on which the threshold counts")
    parser.add_argument("--failure-penalty", type=float, help="C of rule recap, in steps (the longest episode)")
    parser.add_argument(
        "--counterfactual",
        type=float,
        metavar="SHARE",
        help="copy this share of the successes under a wrong instruction, as failures; 0 removes the copies",
    )
    parser.add_argument("--seed", type=int, help="of the counterfactual copies")
    parser.add_argument("--port", type=int, default=0, help="of the page of `--outcome review`; 0 takes a free one")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Label the data set.

    Raises:
        DatasetError: no data set of format v3.0, or outcomes that it does not have; names episodes.
        UnknownName, InvalidSetting, TargetOutOfRange: a rule or a number that does not fit.
        StorageError: disk full; the same command continues.
    """
    from qsft_datasets.labeling import label_dataset

    root, request = arguments.folder, label_request(arguments)
    if "review" in request.outcome.sources:
        from qsft_datasets.labeling.review.session import review_episodes

        review_episodes(root, request.outcome, port=arguments.port, announce=lambda line: print(line, flush=True))
    print(f"Labelling {root}", flush=True)
    print(described(label_dataset(root, request, progress=NamedProgress()), root))


def label_request(arguments: argparse.Namespace) -> LabelRequest:
    """Return the request that the arguments make.

    Raises:
        UnknownName, InvalidSetting: see `LabelRequest`.
    """
    from qsft_datasets.labeling import LabelRequest, OutcomeRequest

    sources, files = [], []
    for word in arguments.outcome:
        name, separator, file = word.partition(SEPARATOR)
        is_csv = name == "csv" and bool(separator)
        sources.append("csv" if is_csv else word)
        files += [Path(file)] if is_csv else []
    if len(files) > 1:
        raise InvalidSetting(f"`--outcome csv` is given twice ({files[0]}, {files[1]}): join the files.")
    for flag, source in (("flag", "flag"), ("pattern", "path")):
        if getattr(arguments, flag) is not None and source not in sources:
            raise InvalidSetting(f"`--{flag}` belongs to `--outcome {source}`, which is not given.")
    return LabelRequest(
        rule=arguments.rule,
        gamma=arguments.gamma,
        outcome=OutcomeRequest(
            sources=tuple(dict.fromkeys(sources)),
            csv=files[0] if files else None,
            flag=arguments.flag,
            pattern=arguments.pattern,
            threshold=arguments.threshold,
            where=arguments.where,
        ),
        failure_penalty=arguments.failure_penalty,
        counterfactual=arguments.counterfactual,
        seed=arguments.seed,
    )


def described(summary: LabelSummary, root: Path) -> str:
    """Return what was done, for people."""
    settings, mapping = summary.settings, summary.settings.return_mapping
    by_source = ", ".join(f"{count} by {source}" for source, count in sorted(summary.by_source.items()))
    copies = f", and {summary.copies} counterfactual failures" if summary.copies else ""
    lines = [
        f"{summary.episodes} episodes, {summary.successes} successes ({by_source}){copies}",
        f"Rule {settings.reward_rule}, gamma {settings.gamma:g}; "
        f"stored return = {mapping.offset:g} + {mapping.scale:g} x return",
    ]
    if summary.overruled:
        lines.append(f"{summary.overruled} episodes have another outcome than was recorded")
    lines.append(f"Wrote {root}/meta and {root}/data" if summary.changed else f"{root} had these labels already")
    return "\n".join(lines)
