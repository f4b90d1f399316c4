"""A folder of scorers, whole or absent: what the checkpoints of robots and of text are made of. No pickle is ever read.

    manifest.json           format, version, size and SHA-256 of every file below; written last
    metadata.json           how it came about: settings, seeds, steps, results
    behavior/  q_model/     either or both: scorer.json, weights.safetensors, for transformers also config and tokenizer
    *.json                  documents of the kind of checkpoint

Other files in the folder, such as policy.json, are not part of the checkpoint and may change.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model

from vlm_qsft.data.storage import partial_path, storage_errors, sync_path, write_durably
from vlm_qsft.errors import CheckpointError, NotFinite
from vlm_qsft.model.loading import load_scorer_files
from vlm_qsft.model.manifest import MANIFEST_NAME, read_manifest, write_manifest
from vlm_qsft.model.scorer import TokenScorer, TokenSpec
from vlm_qsft.model.weight_files import weight_storage_errors

METADATA_NAME = "metadata.json"
WEIGHTS_NAME = "weights.safetensors"
ROLES = ("behavior", "q_model")


@dataclass(frozen=True)
class ScorerFolder:
    """What a folder of scorers held; the scorers are in evaluation mode.

    Attributes:
        behavior: pi_phi; None in a checkpoint of the likelihood model alone.
        q_model: p_theta; None after SFT.
        metadata: JSON values of whoever wrote it.
        identity: hash over all files, the key of what is cached from this checkpoint.
    """

    behavior: TokenScorer[Any] | None
    q_model: TokenScorer[Any] | None
    metadata: Mapping[str, Any]
    identity: str


def write_scorer_folder(
    folder: Path,
    *,
    behavior: TokenScorer[Any] | None,
    q_model: TokenScorer[Any] | None,
    documents: Mapping[str, str],
    write_more: Callable[[Path], None] | None = None,
    metadata: Mapping[str, Any],
) -> None:
    """Write a folder of scorers that is either whole or absent; an older one is replaced.

    Args:
        documents: further files by name, their text.
        write_more: called with the folder while it is made, for what writes itself.

    Raises:
        CheckpointError: the scorers differ in what they give, or `folder` holds something that is no checkpoint.
        NotFinite: a weight is NaN or infinite: no robot may ever load it.
        StorageError: disk full or no permission.
    """
    specification(behavior, q_model)
    for role, scorer in zip(ROLES, (behavior, q_model), strict=True):
        if scorer is not None:
            _refuse_not_finite(role, scorer)
    if folder.exists() and not (folder / MANIFEST_NAME).is_file() and any(folder.iterdir()):
        raise CheckpointError(f"{folder} exists and is no checkpoint: it is not replaced. Choose another folder.")
    partial = partial_path(folder)
    with storage_errors(folder):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            for name, text in documents.items():
                write_durably(partial / name, text.encode())
            if write_more is not None:
                write_more(partial)
            write_durably(partial / METADATA_NAME, json.dumps(dict(metadata), indent=2).encode())
            for role, scorer in zip(ROLES, (behavior, q_model), strict=True):
                if scorer is not None:
                    _write_scorer(partial / role, scorer)
            write_manifest(partial)
            sync_path(partial)
            _put_in_place(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def read_scorer_folder(folder: Path, device: torch.device | str) -> ScorerFolder:
    """Read the scorers and the metadata after comparing every file with the manifest.

    Raises:
        CheckpointError: partial, altered, foreign, of another version, or its scorers do not fit together.
    """
    manifest = read_manifest(folder)
    scorers = {role: _read_scorer(folder / role, device) for role in ROLES if f"{role}/scorer.json" in manifest.files}
    specification(scorers.get("behavior"), scorers.get("q_model"))
    try:
        metadata = json.loads((folder / METADATA_NAME).read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} cannot be read: {error}") from error
    return ScorerFolder(scorers.get("behavior"), scorers.get("q_model"), metadata, manifest.identity)


def specification(behavior: TokenScorer[Any] | None, q_model: TokenScorer[Any] | None) -> TokenSpec:
    """Return what both scorers take and give.

    Raises:
        CheckpointError: there is no scorer, or the two differ.
    """
    specs = [scorer.spec for scorer in (behavior, q_model) if scorer is not None]
    if not specs:
        raise CheckpointError("A checkpoint needs a behavior policy, a likelihood model, or both; got neither.")
    if specs[0] != specs[-1]:
        raise CheckpointError(f"The behavior policy and the likelihood model differ: {specs[0]} and {specs[-1]}.")
    return specs[0]


def _refuse_not_finite(role: str, scorer: TokenScorer) -> None:
    for name, weights in scorer.named_parameters():
        if not torch.isfinite(weights).all():
            raise NotFinite(
                f"The weights '{name}' of {role} hold NaN or infinity: the training diverged. Lower the learning rate "
                "and train into another folder."
            )


def _write_scorer(folder: Path, scorer: TokenScorer) -> None:
    folder.mkdir()
    scorer.save_files(folder)
    with weight_storage_errors(folder):
        save_model(scorer, str(folder / WEIGHTS_NAME))
    for path in (*folder.iterdir(), folder):
        sync_path(path)


def _read_scorer(folder: Path, device: torch.device | str) -> TokenScorer:
    scorer = load_scorer_files(folder)
    try:
        load_model(scorer, folder / WEIGHTS_NAME, strict=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(f"The weights in {folder} do not fit the model its files describe: {error}") from error
    return scorer.to(device).eval()


def _put_in_place(partial: Path, folder: Path) -> None:
    replaced = folder.with_name(f".{folder.name}.{os.getpid()}.replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():
        os.rename(folder, replaced)
    os.rename(partial, folder)
    sync_path(folder.parent)
    shutil.rmtree(replaced, ignore_errors=True)
