"""Which class rebuilds which family of scorer from a checkpoint folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vlm_qsft.errors import CheckpointError
from vlm_qsft.model.scorer import ScorerSpec, TokenScorer

SCORER_NAME = "scorer.json"


def read_scorer_record(folder: Path) -> tuple[ScorerSpec, dict[str, Any]]:
    """Return the specification and the whole record in a scorer's folder.

    Raises:
        CheckpointError: the file is missing or no such record.
    """
    try:
        record = json.loads((folder / SCORER_NAME).read_bytes())
        return ScorerSpec.from_json(record["spec"]), record
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / SCORER_NAME} does not describe a scorer: {error!r}.") from error


def load_scorer_files(folder: Path) -> TokenScorer:
    """Rebuild the scorer of any family; its weights are not loaded yet.

    Raises:
        CheckpointError: the family is unknown to this version, or a file is missing.
    """
    spec, _ = read_scorer_record(folder)
    if spec.family == "small":
        from vlm_qsft.model.small import SmallVLM

        return SmallVLM.load_files(folder)
    from vlm_qsft.model.families import FAMILIES_BY_MODEL_TYPE
    from vlm_qsft.model.transformers_vlm import TransformersVLM

    if spec.family in FAMILIES_BY_MODEL_TYPE:
        return TransformersVLM.load_files(folder)
    known = ", ".join(["small", *sorted(FAMILIES_BY_MODEL_TYPE)])
    raise CheckpointError(f"{folder} is a scorer of family '{spec.family}'; this version knows {known}.")
