"""write_rlds: a data set goes to RLDS and comes back the same; a kill loses nothing and leaves nothing half-written."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qsft_datasets.rlds import RldsSource, open_source, recognise
from qsft_datasets.rlds.writer import dataset_name, write_rlds
from vlm_qsft.data import DatasetReader, Episode, write_episodes
from vlm_qsft.data.folder_lock import FolderLock
from vlm_qsft.errors import DatasetError, InUse, StorageError
from vlm_qsft.images import decode, encode_jpeg

from ...data.scripted import LABELS, SCHEMA, pictures_of, scripted_episode

SMALL_SHARDS = 4000


def jpeg_episode(seed: int) -> Episode:
    """The scripted episode with cameras that were JPEG already, and an attribute that only every second episode has."""
    episode = scripted_episode(seed)
    images = {
        camera: [encode_jpeg(picture, quality=90) for picture in pictures_of(seed, camera)] for camera in SCHEMA.cameras
    }
    attributes = {**episode.attributes, **({"operator": f"person {seed} ü", "shift": seed} if seed % 2 else {})}
    return replace(episode, images=images, attributes=attributes)


@pytest.fixture(scope="module")
def canonical(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("canonical") / "set"
    schema = replace(SCHEMA, fps=Fraction(30000, 1001))
    write_episodes(root, schema, list(range(6)), jpeg_episode, labels=LABELS)
    return root


@pytest.fixture(scope="module")
def export(canonical: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "out"
    write_rlds(canonical, out, shard_bytes=SMALL_SHARDS)
    return out


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def episodes_of(source: RldsSource) -> list[Episode]:
    """Our own exports back to episodes, as a mapping would."""
    result = []
    for reference in source.references():
        read = source.read(reference)
        steps = {name: np.asarray(values) for name, values in read.steps.items()}
        prefix = "episode_metadata/attributes/"
        result.append(
            Episode(
                images={camera: list(read.steps[f"observation/{camera}"]) for camera in SCHEMA.cameras},  # type: ignore[arg-type]
                state=steps["observation/state"],
                action=steps["action"],
                reward=steps["reward"],
                terminated=bool(steps["is_terminal"][-1]),
                truncated=bool(steps["truncated"][-1]),
                success=bool(steps["success"][-1]),
                instruction=str(read.steps["language_instruction"][0]),  # type: ignore[index]
                attributes={
                    name.removeprefix(prefix): v for name, v in read.episode.items() if name.startswith(prefix)
                },  # type: ignore[misc]
            )
        )
    return result


def test_the_way_to_rlds_and_back_gives_the_same_data_set_byte_for_byte(
    canonical: Path, export: Path, tmp_path: Path
) -> None:
    source = open_source(export)
    description = source.description
    assert description.fps == Fraction(30000, 1001)
    schema = replace(
        SCHEMA,
        fps=description.fps,
        robot_type=description.robot_type or "",
        state_names=description.feature("observation/state").names,
        action_names=description.feature("action").names,
    )
    episodes = episodes_of(source)
    write_episodes(tmp_path / "back", schema, list(range(len(episodes))), episodes.__getitem__, labels=LABELS)
    assert hashes(tmp_path / "back") == hashes(canonical)


def test_every_number_picture_label_and_instruction_of_the_export_is_the_stored_one(
    canonical: Path, export: Path
) -> None:
    reader, source = DatasetReader(canonical), open_source(export)
    columns = {
        "observation/state": "observation.state",
        "action": "action",
        "reward": "next.reward",
        "is_terminal": "next.terminated",
        "truncated": "next.truncated",
        "success": "next.success",
        "mc_return": "mc_return",
        "timestamp": "timestamp",
    }
    row = 0
    for number, reference in enumerate(source.references()):
        episode = source.read(reference)
        rows = slice(row, row + episode.length)
        for name, key in columns.items():
            found, stored = np.asarray(episode.steps[name]), reader.column(key)[rows]
            assert (found.dtype, found.shape, found.tobytes()) == (stored.dtype, stored.shape, stored.tobytes())
        for frame in range(episode.length):
            assert episode.steps["language_instruction"][frame] == reader.instruction(row + frame)  # type: ignore[index]
            for camera, picture in reader.images(row + frame).items():
                encoded = episode.steps[f"observation/{camera}"][frame]  # type: ignore[index]
                assert encoded == jpeg_episode(number).images[camera][frame]  # type: ignore[index]
                assert np.array_equal(decode(encoded), picture)  # type: ignore[arg-type]
        assert np.asarray(episode.steps["is_first"]).tolist() == [True] + [False] * (episode.length - 1)
        assert np.asarray(episode.steps["is_last"]).tolist() == [False] * (episode.length - 1) + [True]
        expected = np.where(reader.column("next.terminated")[rows], 0, 1)
        assert np.asarray(episode.steps["discount"]).tolist() == expected.tolist()
        assert episode.episode["episode_metadata/episode_index"] == number
        row += episode.length
    assert row == reader.n_frames


def test_an_attribute_that_some_episodes_lack_is_lacking_there_and_nowhere_else(export: Path) -> None:
    source = open_source(export)
    found = [source.read(r).episode.get("episode_metadata/attributes/operator") for r in source.references()]
    assert found == [None, "person 1 ü", None, "person 3 ü", None, "person 5 ü"]


def test_shards_are_bounded_and_announced(export: Path) -> None:
    info = json.loads((export / "1.0.0/dataset_info.json").read_text())
    (split,) = info["splits"]
    shards = sorted((export / "1.0.0").glob("*.tfrecord-*"))
    assert len(shards) == len(split["shardLengths"]) > 2
    assert sum(int(length) for length in split["shardLengths"]) == 6
    assert int(split["numBytes"]) == sum(shard.stat().st_size for shard in shards) - 6 * 16
    largest = max(len(open_source(export).references()[n : n + 1]) for n in range(6))
    assert all(shard.stat().st_size < SMALL_SHARDS or largest == 1 for shard in shards)
    assert recognise(export)
    assert recognise(export / "1.0.0")


@pytest.mark.parametrize("workers", [1, 3])
def test_the_bytes_do_not_depend_on_the_number_of_workers(
    canonical: Path, export: Path, tmp_path: Path, workers: int
) -> None:
    calls: list[tuple[int, int]] = []
    write_rlds(
        canonical, tmp_path / "out", workers=workers, shard_bytes=SMALL_SHARDS, progress=lambda *c: calls.append(c)
    )
    assert hashes(tmp_path / "out") == hashes(export)
    assert calls[-1] == (6, 6)
    assert not (tmp_path / "out/.staging").exists()


def test_a_finished_export_is_not_written_again_and_another_one_is_refused(
    canonical: Path, export: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(export, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert write_rlds(canonical, out) == out / "1.0.0"
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    other = tmp_path / "other"
    write_episodes(other, SCHEMA, [7], scripted_episode, labels=LABELS)
    with pytest.raises(DatasetError, match="holds another data set already"):
        write_rlds(other, out)


def test_an_export_that_was_begun_otherwise_is_not_continued(canonical: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / ".staging").mkdir(parents=True)
    (out / ".staging/plan.json").write_text('{"shards": []}')
    with pytest.raises(DatasetError, match="was begun from another data set or with shards of another size"):
        write_rlds(canonical, out)
    assert not recognise(out)


EXPORT = """
import sys
from pathlib import Path
from qsft_datasets.rlds.writer import write_rlds
show = lambda *counts: print(*counts, flush=True)
write_rlds(Path(sys.argv[1]), Path(sys.argv[2]), shard_bytes=int(sys.argv[3]), progress=show)
"""


@pytest.mark.parametrize("finished", [0, 1, 3])
def test_a_killed_export_continues_to_the_same_bytes_and_shows_nothing_before(
    canonical: Path, export: Path, tmp_path: Path, finished: int
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", EXPORT, str(canonical), str(out), str(SMALL_SHARDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if finished == 0:
            deadline = time.monotonic() + 60
            while not (out / ".staging").exists() and time.monotonic() < deadline:
                pass
        for _ in range(finished):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    if not (out / "1.0.0").exists():
        assert not recognise(out)
        with pytest.raises(DatasetError, match="is no RLDS data set"):
            open_source(out)
    write_rlds(canonical, out, shard_bytes=SMALL_SHARDS)
    assert hashes(out) == hashes(export)


def test_two_exports_to_one_folder_do_not_meet(canonical: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with FolderLock(out), pytest.raises(InUse, match="is being written by another process"):
        write_rlds(canonical, out)


def test_a_full_disk_is_one_clear_error_and_finished_shards_stay(canonical: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(StorageError, match=r"tfrecord.* could not be written"):
            write_rlds(canonical, out, shard_bytes=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [path for path in out.rglob("*") if path.name.endswith(".partial")]
    assert not recognise(out)
    write_rlds(canonical, out, shard_bytes=1)
    assert len(open_source(out).references()) == 6


def test_a_picture_that_is_missing_in_the_data_set_is_named(canonical: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(canonical, root)
    (file,) = (root / "data").rglob("*.parquet")
    table = pq.read_table(file)
    pictures = table.column("observation.images.front").to_pylist()
    pictures[1] = None
    place = table.column_names.index("observation.images.front")
    column = pa.array(pictures, table.schema.field(place).type)
    pq.write_table(table.set_column(place, table.schema.field(place), column), file)
    with pytest.raises(DatasetError, match=r"episode 0: frame 1 of 'observation\.images\.front' is empty"):
        write_rlds(root, tmp_path / "out")


def rewritten(canonical: Path, root: Path, extra: dict[str, tuple[dict, pa.Array]], splits: dict | None = None) -> Path:
    """A copy of the data set with more columns."""
    shutil.copytree(canonical, root)
    (file,) = (root / "data").rglob("*.parquet")
    table = pq.read_table(file)
    info = json.loads((root / "meta/info.json").read_text())
    for key, (feature, column) in extra.items():
        if key in table.column_names:
            table = table.drop_columns([key])
        table = table.append_column(key, column)
        info["features"][key] = feature
    if splits:
        info["splits"] = splits
    pq.write_table(table, file)
    (root / "meta/info.json").write_text(json.dumps(info))
    return root


def test_float64_kept_columns_and_texts_come_back_bit_for_bit(canonical: Path, tmp_path: Path) -> None:
    n_frames = DatasetReader(canonical).n_frames
    generator = np.random.default_rng(0)
    state = generator.normal(size=(n_frames, 3))
    force = generator.normal(size=n_frames).astype(np.float64)
    count = generator.integers(-(2**62), 2**62, (n_frames, 2))
    byte = generator.integers(0, 256, n_frames).astype(np.uint8)
    words = [f"frame {number} ü" for number in range(n_frames)]
    extra = {
        "observation.state": ({"dtype": "float64", "shape": [3], "names": ["x", "y", "z"]}, pa.array(state.tolist())),
        "observation.force": ({"dtype": "float64", "shape": [1], "names": None}, pa.array(force)),
        "count": ({"dtype": "int64", "shape": [2], "names": None}, pa.array(count.tolist())),
        "byte": ({"dtype": "uint8", "shape": [1], "names": None}, pa.array(byte)),
        "note": ({"dtype": "string", "shape": [1], "names": None}, pa.array(words)),
    }
    root = rewritten(canonical, tmp_path / "set", extra)
    write_rlds(root, tmp_path / "out")
    source = open_source(tmp_path / "out")
    episodes = [source.read(reference).steps for reference in source.references()]

    def joined(name: str) -> np.ndarray:
        return np.concatenate([np.asarray(steps[name]) for steps in episodes])

    assert joined("observation/state").tobytes() == state.tobytes()
    assert joined("kept/observation.force").tobytes() == force.tobytes()
    assert joined("kept/count").tobytes() == count.tobytes()
    assert (joined("kept/byte").dtype, joined("kept/byte").tolist()) == (np.uint8, byte.tolist())
    assert joined("kept/note").tolist() == words


def test_splits_of_the_data_set_are_splits_of_the_export(canonical: Path, tmp_path: Path) -> None:
    root = rewritten(canonical, tmp_path / "set", {}, {"train": "0:4", "val": "4:6"})
    write_rlds(root, tmp_path / "out")
    assert [r.split for r in open_source(tmp_path / "out").references()] == ["train"] * 4 + ["val"] * 2


@pytest.mark.parametrize("splits", [{"train": "0:4"}, {"train": "0:4", "val": "3:6"}, {"train": "all"}])
def test_splits_that_lose_or_repeat_episodes_are_refused(canonical: Path, tmp_path: Path, splits: dict) -> None:
    root = rewritten(canonical, tmp_path / "set", {}, splits)
    with pytest.raises(DatasetError, match="split"):
        write_rlds(root, tmp_path / "out")


def test_a_feature_without_a_place_in_rlds_is_refused_by_name(canonical: Path, tmp_path: Path) -> None:
    n_frames = DatasetReader(canonical).n_frames
    column = pa.array([0] * n_frames)
    root = rewritten(canonical, tmp_path / "set", {"z": ({"dtype": "language", "shape": [1], "names": None}, column)})
    with pytest.raises(DatasetError, match="feature 'z' of type 'language' has no place in RLDS"):
        write_rlds(root, tmp_path / "out")


def test_frames_of_a_video_data_set_become_png_of_the_decoded_pixels(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write_episodes(root, SCHEMA, list(range(3)), scripted_episode, labels=LABELS)
    # The same data set with its cameras as mp4, as LeRobot lays them out: one file per camera.
    info = json.loads((root / "meta/info.json").read_text())
    info["video_path"] = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    (episodes,) = (root / "meta/episodes").rglob("*.parquet")
    table = pq.read_table(episodes)
    starts = np.concatenate([[0], np.cumsum(table.column("length").to_numpy())])
    for camera in SCHEMA.cameras:
        key = f"observation.images.{camera}"
        info["features"][key]["dtype"] = "video"
        path = root / f"videos/{key}/chunk-000/file-000.mp4"
        path.parent.mkdir(parents=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=5)
            stream.height, stream.width = SCHEMA.cameras[camera]
            stream.pix_fmt = "yuv420p"
            for seed in range(3):
                for image in pictures_of(seed, camera):
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
        for name, values in {
            "chunk_index": [0] * 3,
            "file_index": [0] * 3,
            "from_timestamp": (starts[:-1] / 5).tolist(),
            "to_timestamp": (starts[1:] / 5).tolist(),
        }.items():
            table = table.append_column(f"videos/{key}/{name}", pa.array(values))
    pq.write_table(table, episodes)
    (data,) = (root / "data").rglob("*.parquet")
    frames = pq.read_table(data)
    pq.write_table(frames.drop_columns([f"observation.images.{camera}" for camera in SCHEMA.cameras]), data)
    (root / "meta/info.json").write_text(json.dumps(info))
    write_rlds(root, tmp_path / "out")
    reader, source = DatasetReader(root), open_source(tmp_path / "out")
    row = 0
    for reference in source.references():
        episode = source.read(reference)
        for frame in range(episode.length):
            for camera, picture in reader.images(row).items():
                encoded = episode.steps[f"observation/{camera}"][frame]  # type: ignore[index]
                assert encoded.startswith(b"\x89PNG")  # type: ignore[union-attr]
                assert np.array_equal(decode(encoded), picture)  # type: ignore[arg-type]
            row += 1
    assert row == reader.n_frames


@pytest.mark.parametrize(
    ("folder", "name"), [("my set-2", "my_set_2"), ("Pick", "pick"), ("7 tasks", "dataset_7_tasks"), ("ü", "dataset")]
)
def test_the_name_of_the_export_is_one_that_tfds_takes(folder: str, name: str) -> None:
    assert dataset_name(Path("/somewhere") / folder) == name


def test_the_source_of_the_export_must_be_finalized(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="is no data set"):
        write_rlds(tmp_path / "empty", tmp_path / "out")
    assert os.listdir(tmp_path) == ["empty"]
