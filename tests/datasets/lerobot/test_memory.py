"""Memory holds one episode, however large the row groups of a converted set are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from .made_sets import camera_entry, write_v3

PICTURE = "observation.images.front"
PICTURE_BYTES, LENGTH, EPISODES = 50_000, 20, 40
READ_ALL = """
import sys
from pathlib import Path
import pyarrow as pa
from qsft_datasets.lerobot import open_source
source = open_source(Path(sys.argv[1]))
for reference in source.references():
    assert len(source.read(reference).steps["observation.images.front"]) == 20
print(pa.default_memory_pool().max_memory())
"""


def test_memory_holds_one_episode_and_not_the_row_group(tmp_path: Path):
    def noise(episode: int, length: int) -> pa.Array:
        generator = np.random.default_rng(episode)
        entries = [{"bytes": b"\xff\xd8" + generator.bytes(PICTURE_BYTES), "path": "x.jpg"} for _ in range(length)]
        return pa.array(entries, pa.struct({"bytes": pa.binary(), "path": pa.string()}))

    write_v3(
        tmp_path,
        files=([LENGTH] * EPISODES,),
        columns={PICTURE: noise},
        declared={PICTURE: camera_entry("image")},
        rows_per_group=LENGTH * EPISODES,
    )
    content = LENGTH * EPISODES * PICTURE_BYTES
    assert (tmp_path / "data/chunk-000/file-000.parquet").stat().st_size > content
    paths = [str(Path(__file__).resolve().parents[3]), str(Path(__file__).resolve().parents[3] / "datasets")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", READ_ALL, str(tmp_path)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    # One episode has 1 MB; batches of 64 rows and their page buffers come on top. The row group has 40 MB.
    assert int(result.stdout) < content / 2
