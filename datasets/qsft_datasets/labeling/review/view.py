"""ReviewView: what the page shows: the episodes to decide on, their facts, and their pictures as JPEG."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from qsft_datasets.labeling.recorded import episode_keys
from qsft_datasets.labeling.review.decisions import Decision, Decisions
from vlm_qsft.data.reader import DatasetReader
from vlm_qsft.errors import InvalidSetting
from vlm_qsft.images import encode_jpeg

JPEG_QUALITY = 85


@dataclass(frozen=True)
class ShownEpisode:
    """One episode of the page.

    Attributes:
        episode: its number in the data set.
        length: frames.
        key: its name at its source, "" where unknown.
        decision: so far.
    """

    episode: int
    length: int
    instruction: str
    key: str
    decision: Decision | None


class ReviewView:
    """Everything that the server answers with; safe to use from several threads."""

    def __init__(self, reader: DatasetReader, episodes: Sequence[int], decisions: Decisions) -> None:
        """Begin a review.

        Args:
            episodes: those that are shown, in this order.
            decisions: so far; every new one is written through.
        """
        self._reader, self._episodes, self._decisions = reader, list(episodes), decisions
        self._keys = episode_keys(reader, decisions.n_episodes)
        self._lock = threading.Lock()
        self.cameras = list(reader.schema.cameras)
        self.fps = float(reader.schema.fps)

    def shown(self) -> list[ShownEpisode]:
        """Return the episodes and what was decided on each."""
        table = self._reader.episodes
        return [
            ShownEpisode(
                episode=episode,
                length=int(table.length[episode]),
                instruction=table.instruction[episode],
                key=self._keys[episode],
                decision=self._decisions.of.get(episode),
            )
            for episode in self._episodes
        ]

    def picture(self, episode: int, camera: int, frame: int) -> bytes:
        """Return a picture as JPEG.

        Raises:
            InvalidSetting: there is no such episode, camera or frame on the page.
            DatasetError: the picture cannot be decoded.
        """
        table = self._reader.episodes
        if (
            episode not in self._episodes
            or not 0 <= camera < len(self.cameras)
            or not 0 <= frame < int(table.length[episode])
        ):
            raise InvalidSetting(f"Episode {episode} shows no frame {frame} of camera {camera}.")
        name = self.cameras[camera]
        with self._lock:
            picture = self._reader.images(int(table.first_frame[episode]) + frame, [name])[name]
        return encode_jpeg(picture, quality=JPEG_QUALITY)

    def decide(self, episode: int, decision: Decision | None) -> None:
        """Note a decision durably; None takes it back.

        Raises:
            InvalidSetting: the episode is not on the page.
            StorageError: disk full or no permission.
        """
        if episode not in self._episodes:
            raise InvalidSetting(f"Episode {episode} is not on this page.")
        with self._lock:
            self._decisions.decide(episode, decision)
