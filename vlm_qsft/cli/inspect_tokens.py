"""Actions as tokens: ranges, bins and masks with their physical values, and logged frames encoded and decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vlm_qsft.cli.inspect_episode import episode_frames
from vlm_qsft.cli.preset_settings import GRIPPER_DIMENSIONS
from vlm_qsft.cli.table import table
from vlm_qsft.data.reader import DatasetReader
from vlm_qsft.data.schema import ACTION_KEY
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.model.checkpoint import Checkpoint, load_checkpoint
from vlm_qsft.model.manifest import MANIFEST_NAME
from vlm_qsft.model.robot_scorer import RobotScorer
from vlm_qsft.tokens import ActionTokenizer


def describe_tokens(folder: Path, *, data: Path | None, episode: int, frames: int) -> str:
    """Return the bins of every dimension and, where there is a data set, its frames as tokens.

    Args:
        folder: a checkpoint, whose tokenizer is shown, or a data set, to which a tokenizer is fitted as training does.
        data: data set to take frames from when `folder` is a checkpoint.
        episode: whose frames.
        frames: how many of them.

    Raises:
        DatasetError, CheckpointError: a folder cannot be read.
        InvalidSetting: there is no such episode, or `data` is given beside a data set.
    """
    if (folder / MANIFEST_NAME).is_file():
        checkpoint = load_checkpoint(folder, "cpu")
        parts = [f"{folder}: the action tokenizer of a checkpoint", bins_table(checkpoint.action_tokenizer)]
        if data is not None:
            reader = DatasetReader(data)
            instruction = reader.instruction(episode_frames(reader, episode).start)
            parts.append(instruction_table(_scorer(checkpoint), instruction))
            parts.append(frames_table(checkpoint.action_tokenizer, reader, episode=episode, frames=frames))
        return "\n\n".join(parts)
    if data is not None:
        raise InvalidSetting(f"--data goes with a checkpoint, and {folder} has no {MANIFEST_NAME}: it is none.")
    reader = DatasetReader(folder)
    names = reader.schema.action_names
    gripper = [name for name in names if name in GRIPPER_DIMENSIONS]
    tokenizer = ActionTokenizer.fit(reader.column(ACTION_KEY), action_names=names, gripper=gripper)
    head = f"{folder}: a tokenizer fitted to this data set ({reader.n_frames} frames), as training does by default"
    return "\n\n".join([head, bins_table(tokenizer), frames_table(tokenizer, reader, episode=episode, frames=frames)])


def bins_table(tokenizer: ActionTokenizer) -> str:
    """Return one line per dimension: its range and the width of its bins, physical units."""
    rows = []
    for column, name in enumerate(tokenizer.action_names):
        widths = np.diff(tokenizer.edges[column])
        kind = "gripper" if name in tokenizer.gripper else tokenizer.strategy
        low, high = float(tokenizer.low[column]), float(tokenizer.high[column])
        rows.append((name, kind, low, high, float(widths.min()), float(widths.max())))
    head = (
        f"{tokenizer.n_tokens} tokens per decision, bins 0 to {tokenizer.n_bins - 1}; "
        f"token {tokenizer.n_bins} is the dummy token, which is never an action"
    )
    return f"{head}\n{table(('dimension', 'bins', 'low', 'high', 'narrowest', 'widest'), rows)}"


def instruction_table(scorer: RobotScorer, instruction: str) -> str:
    """Return the text tokens of an instruction and their mask."""
    text, text_mask = scorer.encode_instructions([instruction])
    rows = [
        (position, token, "read" if is_read else "masked")
        for position, (token, is_read) in enumerate(zip(text[0].tolist(), text_mask[0].tolist(), strict=True))
    ]
    return f"instruction '{instruction}'\n{table(('position', 'text token', 'mask'), rows)}"


def frames_table(tokenizer: ActionTokenizer, reader: DatasetReader, *, episode: int, frames: int) -> str:
    """Return logged frames as tokens: value, bin, its edges, what it decodes to, and whether it was clipped."""
    shown = episode_frames(reader, episode)[:frames]
    action = reader.column(ACTION_KEY)
    rows = []
    for frame in shown:
        # A chunk may reach past the end of the episode; the bins of one control step do not depend on its place in it.
        repeated = np.repeat(action[frame][None], tokenizer.chunk, axis=0)
        bins = tokenizer.encode(repeated).bins
        decoded = tokenizer.decode(bins)[0]
        for column, name in enumerate(tokenizer.action_names):
            value, chosen = float(action[frame, column]), int(bins[0, column])
            low, high = tokenizer.edges[column, chosen : chosen + 2]
            clipped = not tokenizer.low[column] <= value <= tokenizer.high[column]
            rows.append(
                (
                    frame - shown.start,
                    name,
                    value,
                    chosen,
                    f"[{low:.4g}, {high:.4g}]",
                    float(decoded[column]),
                    "clipped" if clipped else "",
                )
            )
    head = f"episode {episode}, '{reader.instruction(shown.start)}'"
    return f"{head}\n{table(('frame', 'dimension', 'value', 'bin', 'edges', 'decoded', ''), rows)}"


def _scorer(checkpoint: Checkpoint) -> RobotScorer:
    scorer = checkpoint.q_model if checkpoint.behavior is None else checkpoint.behavior
    assert scorer is not None  # a checkpoint without either is refused when it is loaded
    return scorer
