"""What a checkpoint folder holds: its scorers, what they take and give, and how it came about."""

from __future__ import annotations

from pathlib import Path

from vlm_qsft.cli.table import table
from vlm_qsft.model.checkpoint import load_checkpoint
from vlm_qsft.model.scorer_folder import ROLES
from vlm_qsft.policy import POLICY_FILE
from vlm_qsft.policy.loading import chosen_settings
from vlm_qsft.settings_record import flat


def describe_checkpoint(folder: Path) -> str:
    """Return a description of a checkpoint, after comparing every file with the manifest.

    Raises:
        CheckpointError: the folder is no whole, unaltered checkpoint of this version, or its policy.json is damaged.
    """
    checkpoint = load_checkpoint(folder, "cpu")
    spec, schema, tokenizer = checkpoint.spec, checkpoint.schema, checkpoint.action_tokenizer
    scorers = []
    for role, scorer in zip(ROLES, (checkpoint.behavior, checkpoint.q_model), strict=True):
        parameters = None if scorer is None else sum(weight.numel() for weight in scorer.parameters())
        scorers.append((role, "absent" if scorer is None else type(scorer).__name__, parameters))
    rows = [
        ("identity", checkpoint.identity[:16]),
        ("family", spec.family),
        ("cameras", ", ".join(spec.cameras)),
        ("image size", f"{spec.image_size[0]} x {spec.image_size[1]} pixels"),
        ("state", ", ".join(schema.state_names) or "none"),
        ("action", ", ".join(schema.action_names)),
        ("control rate", f"{float(schema.fps):g} per second"),
        ("tokens", f"{spec.n_tokens} per decision: {tokenizer.chunk} steps x {tokenizer.action_dim} dimensions"),
        ("bins", f"{spec.n_bins} per dimension, {tokenizer.strategy}; the dummy token is {spec.n_bins}"),
        *((name, str(value)) for name, value in flat(checkpoint.metadata).items()),
    ]
    if (folder / POLICY_FILE).is_file():
        rows += [(f"policy.{name}", str(value)) for name, value in chosen_settings(folder).to_json().items()]
    return f"{folder}\n\n{table(('scorer', 'class', 'parameters'), scorers)}\n\n{table(('property', 'value'), rows)}"
