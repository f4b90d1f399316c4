"""A LeRobot data set as a source of episodes."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from qsft_datasets.lerobot.arrow_values import numbers
from qsft_datasets.lerobot.data_file import DataFile
from qsft_datasets.lerobot.description import describe
from qsft_datasets.lerobot.episode_features import episode_values
from qsft_datasets.lerobot.episode_list import ListedEpisode
from qsft_datasets.lerobot.episode_steps import episode_steps
from qsft_datasets.lerobot.layout import Layout, load_layout
from qsft_datasets.lerobot.timing import timing_notes
from qsft_datasets.source import EpisodeReference, SourceDescription, SourceEpisode
from vlm_qsft.errors import DatasetError


class LeRobotSource:
    """Reads format v2.0, v2.1 and v3.0 from a local folder; one data file is open at a time."""

    def __init__(self, root: Path) -> None:
        """Remember the folder; nothing is read before something is asked."""
        self.root = Path(root)
        self._file: DataFile | None = None

    def __reduce__(self) -> tuple[type[LeRobotSource], tuple[Path]]:
        # Worker processes read the metadata themselves and open their own files.
        return type(self), (self.root,)

    @property
    def description(self) -> SourceDescription:
        """What the data set says of itself, and where its files disagree.

        Raises:
            DatasetError: metadata or first files are missing, damaged or of an unknown version.
        """
        return self._description

    @cached_property
    def _description(self) -> SourceDescription:
        return describe(self._layout)

    @cached_property
    def _layout(self) -> Layout:
        return load_layout(self.root)

    @cached_property
    def _numbers(self) -> dict[int, int]:
        return {episode.index: number for number, episode in enumerate(self._layout.episodes)}

    def references(self) -> tuple[EpisodeReference, ...]:
        """Return the listed episodes by number. One whose file is missing is listed too: `read` names the file.

        Raises:
            DatasetError: the metadata is damaged, or there is no data file at all.
        """
        layout = self._layout
        return tuple(
            EpisodeReference(f"episode_{episode.index:06d}", name, (episode.index,), self._split_of(episode.index))
            for episode, name in zip(layout.episodes, layout.data_names, strict=True)
        )

    def missing_files(self, paths: Collection[str] | None = None) -> tuple[str, ...]:
        """Return every data file, and every video file of a camera that has some, that does not exist.

        Args:
            paths: cameras whose videos count; None counts all.
        Returns:
            Names relative to the root.
        Raises:
            DatasetError: as `references`.
        """
        return self._layout.missing_files(paths)

    def read(self, reference: EpisodeReference) -> SourceEpisode:
        """Return one episode. A column or a video that is damaged raises when it is asked for: it may be left out.

        Raises:
            DatasetError: the data file is missing, damaged, or at odds with the metadata; names it.
        """
        index = reference.position[0] if reference.position else None
        number = self._numbers.get(index) if isinstance(index, int) else None
        if number is None:
            raise DatasetError(f"{self.root} lists no episode '{reference.key}'.")
        layout, features = self._layout, self.description.features
        listed = layout.episodes[number]
        rows, notes = self._rows(layout.root / layout.data_names[number], listed)
        steps, video_notes = episode_steps(layout, features, number, rows)
        notes += video_notes
        with suppress(DatasetError, KeyError):  # no column of times, or a damaged one that nobody may ask for
            notes += timing_notes(steps["timestamp"], layout.info.fps)
        return SourceEpisode(reference.key, listed.length, steps, episode_values(listed, features), tuple(notes))

    def _split_of(self, index: int) -> str:
        splits = self._layout.info.splits
        return next((name for name, (first, end) in splits.items() if first <= index < end), "")

    def _rows(self, path: Path, listed: ListedEpisode) -> tuple[pa.Table, list[str]]:
        """Return the rows of an episode, checked against its length and number, and what is odd about them."""
        file = self._opened(path)
        is_alone = self._layout.family == "v2"
        first, n_rows = (0, file.n_rows) if is_alone else self._place(file, listed)
        if n_rows != listed.length:
            raise DatasetError(
                f"{path} has {n_rows} rows of episode {listed.index}; the list of episodes says {listed.length}."
            )
        rows, notes = file.rows(first, n_rows), []
        if "frame_index" in rows.column_names:
            frames = numbers(rows.column("frame_index"), (), f"{path}: frame_index")
            if not np.array_equal(np.diff(frames), np.ones(n_rows - 1)):
                raise DatasetError(f"{path}: the rows of episode {listed.index} are not in the order of frame_index.")
        if is_alone and "episode_index" in rows.column_names:
            said = numbers(rows.column("episode_index"), (), f"{path}: episode_index")
            if (said != listed.index).any():
                notes.append(f"{path.name}: column episode_index says {said[0]}; the name of the file is believed.")
        return rows, notes

    def _opened(self, path: Path) -> DataFile:
        if self._file is None or self._file.path != path:
            if self._file is not None:
                self._file.close()
                self._file = None
            self._file = DataFile(path)
        return self._file

    def _place(self, file: DataFile, listed: ListedEpisode) -> tuple[int, int]:
        """Return first row and number of rows of an episode in a file of several."""
        place = file.place_of(listed.index)
        if place is not None:
            return place
        shared = [
            episode.first_row
            for episode in self._layout.episodes
            if (episode.chunk, episode.file) == (listed.chunk, listed.file) and episode.first_row is not None
        ]
        if listed.first_row is None:
            raise DatasetError(
                f"{file.path} has no column episode_index, and the list of episodes does not say where episode "
                f"{listed.index} begins."
            )
        return listed.first_row - min(shared), listed.length
