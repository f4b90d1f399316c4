"""A data set that passes every check, and ways to break it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qsft_datasets.validation import CHECKS, Fact, Finding
from qsft_datasets.validation.subject import Subject
from vlm_qsft.data import DatasetSchema, DatasetWriter, Episode, LabelSettings

SCHEMA = DatasetSchema(
    cameras={"front": (24, 32), "wrist": (16, 16)},
    state_names=("x", "y", "gripper"),
    action_names=("dx", "dy", "gripper"),
    fps=Fraction(10),
)
LENGTH = 24
N_EPISODES = 6
INSTRUCTIONS = ("pick the red cube", "open the drawer", "push the ball")
Change = Callable[[int, Episode], Episode]


def episode(number: int) -> Episode:
    """An arm that goes where it is told, a gripper that closes half-way, pictures that change."""
    generator = np.random.default_rng(number)
    closes = LENGTH // 2 + number % 3
    gripper = np.where(np.arange(LENGTH) < closes, 1.0, -1.0)
    action = np.column_stack([generator.normal(0, 0.02, (LENGTH, 2)), gripper]).astype(np.float32)
    position = np.cumsum(np.vstack([[0.3, 0.1], action[:-1, :2]]), axis=0) + generator.normal(0, 1e-3, (LENGTH, 2))
    finger = np.concatenate([[0.04], 0.02 + 0.02 * gripper[:-1]])
    success = number % 2 == 0
    return Episode(
        images={
            camera: generator.integers(40, 220, (LENGTH, *size, 3), dtype=np.uint8)
            for camera, size in SCHEMA.cameras.items()
        },
        state=np.column_stack([position, finger]).astype(np.float32),
        action=action,
        reward=None,
        terminated=success,
        truncated=not success,
        success=success,
        instruction=INSTRUCTIONS[number % 3],
    )


def write_set(
    root: Path,
    change: Change = lambda number, made: made,
    *,
    schema: DatasetSchema = SCHEMA,
    labels: LabelSettings | None = None,
    n_episodes: int = N_EPISODES,
) -> Path:
    """Write the set, every episode changed as told."""
    with DatasetWriter(root, schema, labels=labels or LabelSettings("binary01", 0.9, "script")) as writer:
        for number in range(n_episodes):
            writer.add_episode(change(number, episode(number)))
        writer.finalize()
    return root


def with_action(made: Episode, dimension: int, values: np.ndarray | float) -> Episode:
    action = made.action.copy()
    action[:, dimension] = values
    return replace(made, action=action)


def with_state(made: Episode, dimension: int, values: np.ndarray | float) -> Episode:
    state = made.state.copy()
    state[:, dimension] = values
    return replace(made, state=state)


def edit_frames(root: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    """Change columns of the data file: `edit` gets name -> list of values of all frames."""
    path = root / "data/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    columns = table.to_pydict()
    edit(columns)
    pq.write_table(pa.table(columns, schema=table.schema), path)
    return root


def edit_episodes(root: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    """Change columns of the episode table."""
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    columns = pq.read_table(path).to_pydict()
    edit(columns)
    pq.write_table(pa.table(columns), path)
    return root


def edit_json(root: Path, place: str, edit: Callable[[dict[str, Any]], None]) -> Path:
    """Change a JSON file of meta/."""
    content = json.loads((root / "meta" / place).read_text())
    edit(content)
    (root / "meta" / place).write_text(json.dumps(content))
    return root


def findings(root: Path, check: str) -> list[Finding]:
    """What one check finds."""
    return [result for result in CHECKS[check](Subject(root)) if isinstance(result, Finding)]


def only(root: Path, check: str) -> Finding:
    """The one thing that a check finds."""
    found = findings(root, check)
    assert len(found) == 1, [finding.message for finding in found]
    return found[0]


def facts(root: Path, check: str) -> dict[str, str]:
    """What one check measures."""
    return {result.name: result.value for result in CHECKS[check](Subject(root)) if isinstance(result, Fact)}
