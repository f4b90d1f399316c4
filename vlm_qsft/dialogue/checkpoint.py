"""The checkpoint of a text policy: a folder of scorers with the format of its conversations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vlm_qsft.dialogue.symmetric_reader import SymmetricReader
from vlm_qsft.dialogue.text_format import FORMAT_NAME, TextFormat
from vlm_qsft.errors import CheckpointError
from vlm_qsft.model.manifest import read_manifest
from vlm_qsft.model.scorer import TokenScorer
from vlm_qsft.model.scorer_folder import read_scorer_folder, write_scorer_folder
from vlm_qsft.model.text_scorer import TextScorer
from vlm_qsft.policy.settings import PolicySettings
from vlm_qsft.policy.text_reader import TextReader
from vlm_qsft.qsft.critics import CRITICS


@dataclass(frozen=True)
class TextCheckpoint:
    """A loaded checkpoint; the scorers are in evaluation mode.

    Attributes:
        folder: where it was read.
        behavior: pi_phi; None in a checkpoint of the likelihood model alone.
        q_model: p_theta, or a critic (see `qsft.critics`); None after SFT.
        text_format: of the conversations.
        metadata: JSON values of whoever wrote it.
        identity: hash over all files, the key of what is cached from this checkpoint.
    """

    folder: Path
    behavior: TextScorer | None
    q_model: TextScorer | None
    text_format: TextFormat
    metadata: Mapping[str, Any]
    identity: str

    def reader(self, settings: PolicySettings) -> TextReader:
        """Return what reads conversations with the networks that the settings need.

        Raises:
            InvalidSetting: one of them is not there, or the game has not the symmetries that are asked for.
        """
        is_critic = self.metadata.get("train", {}).get("method", "qsft") in CRITICS
        if settings.symmetries:
            return SymmetricReader(self.behavior, self.q_model, settings, self.text_format, is_critic=is_critic)
        return TextReader(self.behavior, self.q_model, settings, is_critic=is_critic)


def save_text_checkpoint(
    folder: Path,
    *,
    behavior: TextScorer | None,
    q_model: TextScorer | None,
    text_format: TextFormat,
    metadata: Mapping[str, Any],
) -> None:
    """Write a checkpoint that is either whole or absent; raises as `write_scorer_folder`."""
    write_scorer_folder(
        folder,
        behavior=behavior,
        q_model=q_model,
        documents={FORMAT_NAME: text_format.to_json()},
        write_more=text_format.save_files,
        metadata=metadata,
    )


def is_text_checkpoint(folder: Path) -> bool:
    """Tell whether a whole checkpoint is one of text.

    Raises:
        CheckpointError: it is no whole checkpoint.
    """
    return FORMAT_NAME in read_manifest(folder).files


def read_text_format(folder: Path) -> TextFormat:
    """Return the format of a checkpoint's conversations, without its networks.

    Raises:
        CheckpointError: it is no whole checkpoint, or none of text.
    """
    if not is_text_checkpoint(folder):
        raise CheckpointError(f"{folder} is no checkpoint of a text policy: it has no {FORMAT_NAME}.")
    return TextFormat.read(folder)


def load_text_checkpoint(folder: Path, device: torch.device | str) -> TextCheckpoint:
    """Read a checkpoint after comparing every file with the manifest.

    Raises:
        CheckpointError: partial, altered, foreign, of another version, or its parts do not fit together.
    """
    text_format = read_text_format(folder)
    scorers = read_scorer_folder(folder, device)
    return TextCheckpoint(
        folder=folder,
        behavior=_of_text(folder, scorers.behavior),
        q_model=_of_text(folder, scorers.q_model),
        text_format=text_format,
        metadata=scorers.metadata,
        identity=scorers.identity,
    )


def _of_text(folder: Path, scorer: TokenScorer[Any] | None) -> TextScorer | None:
    if scorer is not None and not isinstance(scorer, TextScorer):
        raise CheckpointError(f"{folder} holds a scorer of the family '{scorer.spec.family}', which reads no text.")
    return scorer
