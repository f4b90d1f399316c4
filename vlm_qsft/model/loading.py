"""Which class rebuilds which family of scorer from a checkpoint folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from vlm_qsft.errors import CheckpointError
from vlm_qsft.model.scorer import TokenScorer, TokenSpec

SCORER_NAME = "scorer.json"
TEXT_FAMILY = "text"


def read_scorer_record[Spec: TokenSpec](folder: Path, kind: type[Spec]) -> tuple[Spec, dict[str, Any]]:
    """Return the specification and the whole record in a scorer's folder.

    Args:
        kind: of the specification.

    Raises:
        CheckpointError: the file is missing or no such record.
    """
    try:
        record = json.loads((folder / SCORER_NAME).read_bytes())
        return cast(Spec, kind.from_json(record["spec"])), record
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / SCORER_NAME} does not describe a scorer: {error!r}.") from error


def load_scorer_files(folder: Path) -> TokenScorer:
    """Rebuild the scorer of any family; its weights are not loaded yet.

    Raises:
        CheckpointError: the family is unknown to this version, or a file is missing.
    """
    family = _family(folder)
    if family == "small":
        from vlm_qsft.model.small import SmallVLM

        return SmallVLM.load_files(folder)
    if family == TEXT_FAMILY:
        from vlm_qsft.model.text_scorer import TextScorer

        return TextScorer.load_files(folder)
    from vlm_qsft.model.families import FAMILIES_BY_MODEL_TYPE
    from vlm_qsft.model.transformers_vlm import TransformersVLM

    if family in FAMILIES_BY_MODEL_TYPE:
        return TransformersVLM.load_files(folder)
    known = ", ".join(["small", TEXT_FAMILY, *sorted(FAMILIES_BY_MODEL_TYPE)])
    raise CheckpointError(f"{folder} is a scorer of family '{family}'; this version knows {known}.")


def _family(folder: Path) -> str:
    try:
        return str(json.loads((folder / SCORER_NAME).read_bytes())["spec"]["family"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / SCORER_NAME} does not describe a scorer: {error!r}.") from error
