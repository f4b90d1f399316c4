"""What must hold in a mapping whatever the source is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from qsft_datasets.mapping import Mapping, OutcomeMapping, VectorPart
from qsft_datasets.source_columns import SOURCE_REWARD, SOURCE_TERMINATED
from vlm_qsft.data.schema import is_kept_key
from vlm_qsft.errors import InvalidSetting

TURNS_DEG = (0, 90, 180, 270)
MAX_SIDE = 16_384
CAMERA_NAME = re.compile(r"[A-Za-z0-9_][\w.\-]*")
ATTRIBUTE_NAME = re.compile(r"[A-Za-z_][\w.\-]*")
OWN_ATTRIBUTES = ("source_key", "source_file", "source_split", "outcome_source", "gaps")
"""Attributes that every conversion writes itself."""

OWN_COLUMNS = (SOURCE_REWARD, SOURCE_TERMINATED)
"""Kept columns that every conversion of a source with such features has."""


def check_mapping(mapping: Mapping) -> None:
    """Refuse a mapping that contradicts itself.

    Raises:
        InvalidSetting: names the field and what would be right.
    """
    _refuse(not mapping.name, "name is empty")
    _refuse(mapping.fps <= 0, f"fps is {mapping.fps}; expected control steps per second above 0")
    _refuse_repeated("cameras", [camera.name for camera in mapping.cameras])
    for camera in mapping.cameras:
        _refuse(
            CAMERA_NAME.fullmatch(camera.name) is None,
            f"camera '{camera.name}': a name is letters, digits, '_', '-' and '.'",
        )
        _refuse(camera.turn_deg not in TURNS_DEG, f"camera '{camera.name}': turn_deg is one of 0, 90, 180, 270")
        if camera.size is not None:
            _refuse(
                not all(1 <= side <= MAX_SIDE for side in camera.size),
                f"camera '{camera.name}': size is (height, width) in pixels, 1 to {MAX_SIDE}",
            )
    _refuse(not mapping.action, "action has no part: there is nothing to learn")
    for kind, parts in (("state", mapping.state), ("action", mapping.action)):
        _refuse_repeated(kind, [name for part in parts for name in part.names])
        for part in parts:
            _check_part(kind, part)
    _check_grippers(mapping)
    _refuse(
        (mapping.instruction is None) == (mapping.instruction_text is None),
        "exactly one of instruction (a feature) and instruction_text (a sentence) is given",
    )
    _refuse(
        mapping.terminal_rule == "flag" and mapping.terminated is None,
        "terminal_rule 'flag' needs the feature 'terminated'",
    )
    _check_outcome(mapping.outcome)
    for name in mapping.keep:
        _refuse(
            not is_kept_key(name) or name in OWN_COLUMNS,
            f"keep '{name}': a name of letters, digits, '_', '-' and '.' that no other column of the data set has",
        )
    for name in mapping.attributes:
        _refuse(
            ATTRIBUTE_NAME.fullmatch(name) is None or name in OWN_ATTRIBUTES,
            f"attributes '{name}': letters, digits, '_', '-' and '.', and none of {', '.join(OWN_ATTRIBUTES)}",
        )
    for path, reason in mapping.ignore.items():
        _refuse(not reason.strip(), f"ignore '{path}' gives no reason")


def _check_part(kind: str, part: VectorPart) -> None:
    where = f"{kind} part '{part.path}'"
    _refuse(not part.names or not all(part.names), f"{where}: every number has a name")
    _refuse((part.meaning is None) == (kind == "action"), f"{where}: meaning is given for action and only there")
    _refuse(
        not (math.isfinite(part.scale) and math.isfinite(part.offset)) or part.scale == 0,
        f"{where}: scale and offset are finite numbers, scale is not 0",
    )
    if part.columns is not None:
        _refuse(
            len(part.columns) != len(part.names) or min(part.columns, default=0) < 0,
            f"{where}: {len(part.columns)} columns for {len(part.names)} names; columns count from 0",
        )
        _refuse_repeated(f"{where}: columns", [str(column) for column in part.columns])


def _check_grippers(mapping: Mapping) -> None:
    names = [name for part in mapping.action for name in part.names]
    _refuse_repeated("gripper", [gripper.name for gripper in mapping.gripper])
    for gripper in mapping.gripper:
        _refuse(
            gripper.name not in names,
            f"gripper '{gripper.name}' is no number of the action; those are {', '.join(names)}",
        )
        _refuse(
            not (math.isfinite(gripper.open) and math.isfinite(gripper.closed)) or gripper.open == gripper.closed,
            f"gripper '{gripper.name}': open and closed are two different numbers",
        )


def _check_outcome(outcome: OutcomeMapping) -> None:
    _refuse(
        outcome.source in ("flag", "reward", "csv") and outcome.path is None,
        f"outcome '{outcome.source}' needs a path: {'the CSV file' if outcome.source == 'csv' else 'the feature'}",
    )
    _refuse(not math.isfinite(outcome.threshold), "outcome: threshold is a finite number")
    if outcome.source == "path":
        _refuse(not outcome.pattern, "outcome 'path' needs a pattern: a match in the file's path is a success")
    if outcome.pattern is not None:
        try:
            re.compile(outcome.pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise InvalidSetting(f"Outcome: pattern is no regular expression: {error}.") from error


def _refuse_repeated(kind: str, names: Iterable[str]) -> None:
    names = list(names)
    repeated = sorted({name for name in names if names.count(name) > 1})
    _refuse(bool(repeated), f"{kind}: {', '.join(repeated)} stands there more than once")


def _refuse(wrong: bool, text: str) -> None:
    if wrong:
        raise InvalidSetting(f"{text[0].upper()}{text[1:]}.")
