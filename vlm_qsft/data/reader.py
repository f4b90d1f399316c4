"""DatasetReader: columns, pictures and transitions of a LeRobotDataset v3.0, ours or anyone's, without lerobot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped, UInt8

from vlm_qsft.data.columns import column_values
from vlm_qsft.data.episode_table import EpisodeTable
from vlm_qsft.data.metadata import Metadata, load_metadata, refuse_unknown_tasks
from vlm_qsft.data.parquet_pictures import ParquetPictures
from vlm_qsft.data.returns import check_returns
from vlm_qsft.data.schema import ACTION_KEY, LABEL_DTYPES, STATE_KEY, DatasetSchema
from vlm_qsft.data.source_files import read_table
from vlm_qsft.data.video_pictures import VideoPictures
from vlm_qsft.data.windows import WindowRows, window_rows
from vlm_qsft.errors import DatasetError, InvalidSetting, NotFinite, ShapeMismatch, UnknownName
from vlm_qsft.images import decode

PICTURE_CACHE_BYTES = 256 * 1024**2
Pictures = Mapping[str, UInt8[np.ndarray, "height width 3"]]


@dataclass(frozen=True)
class Transition:
    """What one training example is made of.

    No row holds the observation after the last action: there s' is the last row itself and `next_is_padding` is True.
    Such a transition is kept, because it carries the reward of a success. If it ended by `terminated` nothing is
    bootstrapped and s' does not matter; if it was `truncated`, V is taken at the last row, one step early.

    Attributes:
        index: frame of s in the data set.
        images, next_images: camera -> RGB picture at s and s'; empty where they were not asked for.
        state, next_state: proprioception, physical units.
        actions: the chunk from s on; past the end the last action repeats.
        action_is_padding: True where it repeats.
        rewards: of n steps, 0 past the end and past a termination; None in data sets without labels, as are the flags.
        terminated: the episode ends within these steps, for good: no bootstrap.
        truncated: it is cut off within these steps.
        next_is_padding: s' is the last row, because the wanted one lies past the end.
        steps_to_bootstrap: k <= n, the rewards that count.
    """

    index: int
    images: Pictures
    next_images: Pictures
    state: Float32[np.ndarray, " state_dim"]
    next_state: Float32[np.ndarray, " state_dim"]
    actions: Float32[np.ndarray, "chunk action_dim"]
    action_is_padding: Bool[np.ndarray, " chunk"]
    rewards: Float32[np.ndarray, " n_step"] | None
    terminated: bool | None
    truncated: bool | None
    next_is_padding: bool
    steps_to_bootstrap: int
    instruction: str


class DatasetReader:
    """A finalized data set, opened for reading. Nothing but metadata and footers is read before it is asked for."""

    def __init__(self, root: Path | str, *, picture_cache_bytes: int = PICTURE_CACHE_BYTES) -> None:
        """Open and check a data set.

        Args:
            root: folder that holds meta/ and data/.
            picture_cache_bytes: memory for encoded pictures of image mode.
        Raises:
            DatasetError: not finalized, incomplete, truncated, of another version; names the file.
        """
        self.root = Path(root)
        self._metadata: Metadata = load_metadata(self.root)
        table = self._metadata.episodes
        rows = np.bincount(table.data_file, weights=table.length, minlength=len(self._metadata.data_files))
        self._pictures = ParquetPictures(
            self._metadata.data_files, tuple(int(n) for n in rows), max_bytes=picture_cache_bytes
        )
        self._videos = VideoPictures(self.schema.fps)
        self._columns: dict[str, np.ndarray] = {}

    @property
    def metadata(self) -> Metadata:
        """Everything that meta/ says."""
        return self._metadata

    @property
    def schema(self) -> DatasetSchema:
        """Cameras, state, action, rate."""
        return self._metadata.schema

    @property
    def episodes(self) -> EpisodeTable:
        """Where every episode lies and what is known of it."""
        return self._metadata.episodes

    @property
    def n_episodes(self) -> int:
        """Episodes."""
        return len(self.episodes)

    @property
    def n_frames(self) -> int:
        """Frames of all episodes."""
        return int(self.episodes.length.sum())

    @property
    def has_labels(self) -> bool:
        """Whether rewards, terminals and returns are stored; without them there is only SFT."""
        return all(key in self._metadata.widths for key in LABEL_DTYPES)

    @property
    def fingerprint(self) -> str:
        """Changes when the content changes: what is derived from the data set keeps it."""
        return self._metadata.fingerprint

    def column(self, key: str) -> Shaped[np.ndarray, "frame *dim"]:
        """Return a whole column, read once and kept, not writable: (frame, dim) of state and action, else (frame,).

        State and action are float32, what models take; `stored_column` returns the numbers of the files.

        Raises:
            UnknownName: no such column of numbers.
            NotFinite: NaN or infinity; names frame and dimension.
            ShapeMismatch: entries of another size than meta/info.json declares.
            TargetOutOfRange: `mc_return` leaves [0, 1].
            DatasetError: a file is damaged, or a frame has a task that does not exist.
        """
        if key not in self._columns:
            self._columns[key] = self._read_column(key)
        return self._columns[key]

    def stored_column(self, key: str) -> Shaped[np.ndarray, "frame dim"]:
        """Return a whole column in the type and shape in which it is stored, float64 included. Raises as `column`."""
        widths = self._metadata.widths
        if key not in widths:
            raise UnknownName("column", key, widths, where="this data set")
        parts = []
        for file in self._metadata.data_files:
            table = read_table(file, columns=[key])
            if key not in table.column_names:
                raise DatasetError(f"{file} has no column '{key}'; meta/info.json declares it.")
            try:
                parts.append(column_values(table.column(key), key, widths[key]))
            except (DatasetError, ShapeMismatch) as error:
                raise type(error)(f"{file}: {error}") from error
        values = np.concatenate(parts)
        if np.issubdtype(values.dtype, np.floating):
            self._refuse_not_finite(key, values)
        return values

    def episode_of(self, rows: Int64[np.ndarray, " batch"]) -> Int64[np.ndarray, " batch"]:
        """Return the episode of every frame."""
        return np.searchsorted(self.episodes.first_frame, rows, side="right") - 1

    def frames_of(self, episodes: Sequence[int] | Int64[np.ndarray, " episode"]) -> Int64[np.ndarray, " frame"]:
        """Return all frames of the given episodes, in their order."""
        table = self.episodes
        parts = [np.arange(table.first_frame[e], table.first_frame[e] + table.length[e]) for e in episodes]
        return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, np.int64)

    def instruction(self, index: int) -> str:
        """Return what the robot was told at a frame."""
        return self._metadata.tasks[int(self.column("task_index")[self._checked(index)])]

    def images(self, index: int, cameras: Sequence[str] | None = None) -> Pictures:
        """Return the pictures at a frame.

        Args:
            cameras: names; all when left out.
        Raises:
            UnknownName: no such camera.
            ShapeMismatch: a picture of another size than declared.
            DatasetError: a picture cannot be decoded.
        """
        return self.images_at([index], cameras)[0]

    def images_at(self, rows: Sequence[int], cameras: Sequence[str] | None = None) -> list[Pictures]:
        """Return the pictures at ascending frames; of a video each is decoded once. Raises as `images` does."""
        for row in rows:
            self._checked(row)
        cameras = list(self.schema.cameras) if cameras is None else list(cameras)
        for camera in cameras:
            self.schema.camera(camera)
        of_camera = {camera: self._camera_pictures(camera, rows) for camera in cameras}
        return [{camera: of_camera[camera][place] for camera in cameras} for place in range(len(rows))]

    def window_rows(self, rows: Int64[np.ndarray, " batch"], *, action_chunk: int = 1, n_step: int = 1) -> WindowRows:
        """Return which rows belong to the transitions that start at `rows`: the vectorised part of `window`."""
        table = self.episodes
        episodes = self.episode_of(rows)
        ends = table.first_frame[episodes] + table.length[episodes]
        return window_rows(rows, ends, action_chunk=action_chunk, n_step=n_step)

    def window(self, index: int, *, action_chunk: int = 1, n_step: int = 1, images: bool = True) -> Transition:
        """Return the transition that starts at a frame.

        Args:
            action_chunk: control steps per decision.
            n_step: control steps until s'.
            images: whether pictures are decoded.
        Raises:
            InvalidSetting: an index or a length outside its range.
            As `column` and `images`.
        """
        rows = self.window_rows(np.array([self._checked(index)]), action_chunk=action_chunk, n_step=n_step)
        after = int(rows.next_rows[0])
        pictures: list[Pictures] = [{}, {}]
        if images:
            pictures = self.images_at([index, after]) if after != index else [self.images(index)] * 2
        state = self._state()
        counts = ~rows.reward_is_padding[0]
        rewards, terminated, truncated = None, None, None
        if self.has_labels:
            ends = self.column("next.terminated")[rows.reward_rows[0]] & counts
            # Some rules end the task before the recording ends: what follows does not count.
            counts &= np.cumsum(ends) - ends == 0
            rewards = np.where(counts, self.column("next.reward")[rows.reward_rows[0]], 0.0).astype(np.float32)
            terminated = bool(ends.any())
            truncated = bool((self.column("next.truncated")[rows.reward_rows[0]] & counts).any())
        return Transition(
            index=index,
            images=pictures[0],
            next_images=pictures[1],
            state=state[index],
            next_state=state[after],
            actions=self.column(ACTION_KEY)[rows.action_rows[0]],
            action_is_padding=rows.action_is_padding[0],
            rewards=rewards,
            terminated=terminated,
            truncated=truncated,
            next_is_padding=bool(rows.next_is_padding[0]),
            steps_to_bootstrap=int(counts.sum()),
            instruction=self.instruction(index),
        )

    def _checked(self, index: int) -> int:
        if not 0 <= index < self.n_frames:
            raise InvalidSetting(f"Frame {index} is not in this data set; it has frames 0 to {self.n_frames - 1}.")
        return index

    def _state(self) -> Float32[np.ndarray, "frame state_dim"]:
        if self.schema.state_names:
            return self.column(STATE_KEY)
        return np.zeros((self.n_frames, 0), np.float32)

    def _camera_pictures(self, camera: str, rows: Sequence[int]) -> list[UInt8[np.ndarray, "height width 3"]]:
        key = self._metadata.image_keys[camera]
        if camera in self._metadata.videos:
            pictures = self._video_pictures(camera, rows)
        else:
            pictures = [self._decoded(camera, key, row) for row in rows]
        for row, picture in zip(rows, pictures, strict=True):
            if picture.shape[:2] != self.schema.cameras[camera]:
                raise ShapeMismatch(
                    f"Camera '{camera}', frame {row} is {picture.shape[:2]}; "
                    f"meta/info.json declares {self.schema.cameras[camera]} (height, width)."
                )
        return pictures

    def _decoded(self, camera: str, key: str, row: int) -> UInt8[np.ndarray, "height width 3"]:
        try:
            return decode(self._pictures.encoded(row, key))
        except DatasetError as error:
            raise DatasetError(f"Camera '{camera}', frame {row} of {self.root}: {error}") from error

    def _video_pictures(self, camera: str, rows: Sequence[int]) -> list[UInt8[np.ndarray, "height width 3"]]:
        place = self._metadata.videos[camera]
        episodes = self.episode_of(np.asarray(rows))
        stamps = self.column("timestamp")
        pictures: list[np.ndarray] = []
        for row, episode in zip(rows, episodes, strict=True):
            time_s = place.from_s[episode] + float(stamps[row])
            pictures += self._videos.frames(place.files[episode], [time_s])
        return pictures

    def _read_column(self, key: str) -> np.ndarray:
        values = self.stored_column(key)
        if key in (STATE_KEY, ACTION_KEY):
            values = values.astype(np.float32)
        elif values.shape[1] == 1:
            values = values[:, 0]
        if key == "task_index":
            refuse_unknown_tasks(self.root, values, n_tasks=len(self._metadata.tasks))
        if key == "mc_return":
            check_returns(values, reward_rule=self._metadata.labels.reward_rule if self._metadata.labels else "unknown")
        values.flags.writeable = False
        return values

    def _refuse_not_finite(self, key: str, values: Shaped[np.ndarray, "frame dim"]) -> None:
        bad = ~np.isfinite(values)
        if bad.any():
            frame, column = np.argwhere(bad)[0]
            names = {STATE_KEY: self.schema.state_names, ACTION_KEY: self.schema.action_names}.get(key)
            which = f"'{names[column]}' of '{key}'" if names else f"'{key}'"
            episode = self.episode_of(np.array([frame]))[0]
            raise NotFinite(
                f"{which} is {values[frame, column]} in frame {frame}, episode {episode}, "
                f"of {self.root}; {int(bad.sum())} such numbers in all. Repair or leave out these episodes."
            )
