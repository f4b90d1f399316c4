"""The checkpoint of a robot: a folder of scorers (`scorer_folder`) with all that the robot needs to decide.

schema.json             cameras, state and action names, control rate of the data it was trained on
action_tokenizer.json   bins and ranges
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vlm_qsft.data.schema import DatasetSchema
from vlm_qsft.errors import CheckpointError, DatasetError, InvalidSetting
from vlm_qsft.model.manifest import read_manifest
from vlm_qsft.model.robot_scorer import RobotScorer, ScorerSpec
from vlm_qsft.model.scorer import TokenScorer
from vlm_qsft.model.scorer_folder import read_scorer_folder, write_scorer_folder
from vlm_qsft.tokens import ActionTokenizer

SCHEMA_NAME = "schema.json"
TOKENIZER_NAME = "action_tokenizer.json"


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint; the scorers are in evaluation mode.

    Attributes:
        folder: where it was read.
        behavior: pi_phi; None in a checkpoint of the likelihood model alone.
        q_model: p_theta; None after SFT.
        action_tokenizer: bins and ranges.
        schema: of the data it was trained on.
        metadata: JSON values of whoever wrote it.
        identity: hash over all files, the key of what is cached from this checkpoint.
    """

    folder: Path
    behavior: RobotScorer | None
    q_model: RobotScorer | None
    action_tokenizer: ActionTokenizer
    schema: DatasetSchema
    metadata: Mapping[str, Any]
    identity: str

    @property
    def spec(self) -> ScorerSpec:
        """Return the specification both scorers share."""
        return specification(self.behavior, self.q_model)


def save_checkpoint(
    folder: Path,
    *,
    behavior: RobotScorer | None,
    q_model: RobotScorer | None,
    action_tokenizer: ActionTokenizer,
    schema: DatasetSchema,
    metadata: Mapping[str, Any],
) -> None:
    """Write a checkpoint that is either whole or absent; an older checkpoint at `folder` is replaced.

    Raises:
        CheckpointError: the parts do not fit together, or `folder` holds something that is no checkpoint.
        NotFinite: a weight is NaN or infinite: no robot may ever load it.
        StorageError: disk full or no permission.
    """
    check_parts(specification(behavior, q_model), action_tokenizer, schema)
    write_scorer_folder(
        folder,
        behavior=behavior,
        q_model=q_model,
        documents={SCHEMA_NAME: schema.to_json(), TOKENIZER_NAME: action_tokenizer.to_json()},
        metadata=metadata,
    )


def load_checkpoint(folder: Path | str, device: torch.device | str) -> Checkpoint:
    """Read a checkpoint after comparing every file with the manifest.

    Raises:
        CheckpointError: partial, altered, foreign, of another version, or its parts do not fit together.
    """
    folder = Path(folder)
    if SCHEMA_NAME not in read_manifest(folder).files:
        raise CheckpointError(f"{folder} is no checkpoint of a robot: it has no {SCHEMA_NAME}.")
    scorers = read_scorer_folder(folder, device)
    try:
        schema = DatasetSchema.from_json((folder / SCHEMA_NAME).read_text())
        action_tokenizer = ActionTokenizer.from_json((folder / TOKENIZER_NAME).read_text())
    except (OSError, ValueError, DatasetError, InvalidSetting) as error:
        raise CheckpointError(f"{folder} cannot be read: {error}") from error
    checkpoint = Checkpoint(
        folder=folder,
        behavior=_of_robot(folder, scorers.behavior),
        q_model=_of_robot(folder, scorers.q_model),
        action_tokenizer=action_tokenizer,
        schema=schema,
        metadata=scorers.metadata,
        identity=scorers.identity,
    )
    check_parts(checkpoint.spec, action_tokenizer, schema)
    return checkpoint


def specification(behavior: RobotScorer | None, q_model: RobotScorer | None) -> ScorerSpec:
    """Return what both scorers take and give.

    Raises:
        CheckpointError: there is no scorer.
    """
    scorer = behavior or q_model
    if scorer is None:
        raise CheckpointError("A checkpoint needs a behavior policy, a likelihood model, or both; got neither.")
    return scorer.spec


def _of_robot(folder: Path, scorer: TokenScorer[Any] | None) -> RobotScorer | None:
    if scorer is not None and not isinstance(scorer, RobotScorer):
        raise CheckpointError(f"{folder} holds a scorer of the family '{scorer.spec.family}', which is no robot's.")
    return scorer


def check_parts(spec: ScorerSpec, action_tokenizer: ActionTokenizer, schema: DatasetSchema) -> None:
    """Check that a scorer, a tokenizer and a schema speak of the same robot.

    Raises:
        CheckpointError: names what differs.
    """
    pairs = {
        "action bins": (spec.n_bins, action_tokenizer.n_bins),
        "action tokens": (spec.n_tokens, action_tokenizer.n_tokens),
        "action names": (schema.action_names, action_tokenizer.action_names),
        "state size": (spec.state_dim, len(schema.state_names)),
        "cameras": ([name for name in spec.cameras if name not in schema.cameras], []),
    }
    for what, (one, other) in pairs.items():
        if one != other:
            raise CheckpointError(f"The parts of this checkpoint do not fit together: {what} {one} against {other}.")
