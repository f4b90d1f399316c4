"""DatasetWriter: durable recording. A kill at any moment loses at most the episode being written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from vlm_qsft.data.assembly import assemble
from vlm_qsft.data.episode import Episode
from vlm_qsft.data.folder_lock import FolderLock, contents
from vlm_qsft.data.labels import LabelSettings
from vlm_qsft.data.meta_files import write_json, write_meta
from vlm_qsft.data.schema import DatasetSchema
from vlm_qsft.data.source_files import read_json
from vlm_qsft.data.staging import ENCODERS, FOLDER, PLAN_NAME, refused_episodes, stage_episode, staged_indices
from vlm_qsft.data.storage import remove_partials, storage_errors, sync_path, write_durably
from vlm_qsft.errors import DatasetError, UnknownName
from vlm_qsft.settings_record import refuse_other_settings

INFO_PATH = "meta/info.json"
LABELS_PATH = "meta/labels.json"
REFUSED_PATH = "meta/refused.json"
"""Which episodes of the source were left out, and why; absent where none was."""
PARTS = ("data", "videos", "meta")
"""Folders of a data set, in the order in which they appear: the last one makes it readable."""
Recipe = Mapping[str, str | int | float | bool]


class DatasetWriter:
    """Writes episodes durably and turns them into a LeRobotDataset v3.0 at the end.

    Episodes are staged one file each; `finalize` assembles them and removes the staging folder. meta/ appears by one
    rename: before it every reader refuses the folder, after it the data set is complete. Opened again on the same
    folder, with the same schema, labels and recipe, it continues after the last complete episode.

        with DatasetWriter(root, schema, labels=LabelSettings("binary01", 0.99, "simulator")) as writer:
            writer.add_episode(episode)
            writer.finalize()
    """

    def __init__(
        self,
        root: Path,
        schema: DatasetSchema,
        *,
        labels: LabelSettings,
        image_format: str = "png",
        recipe: Recipe | None = None,
    ) -> None:
        """Open a folder for writing and lock it until `close`.

        Args:
            root: the data set's folder; made if absent.
            labels: how rewards and returns come about.
            image_format: "png" (lossless) or "jpeg", for pictures that are not encoded already.
            recipe: whatever decides the content (seed, task, ...): stored, and compared when opened again.
        Raises:
            DatasetError: finalized already, or a folder with other files in it.
            InvalidSetting: begun with other settings.
            InUse: another process writes it.
            StorageError: no permission or disk full.
        """
        if image_format not in ENCODERS:
            raise UnknownName("image format", image_format, ENCODERS)
        self.root, self.schema, self.labels, self.image_format = Path(root), schema, labels, image_format
        self.recipe = dict(recipe or {})
        if is_finalized(self.root):
            raise DatasetError(f"{self.root} is a finalized data set already. Write to another folder.")
        refuse_foreign(self.root)
        self._lock = FolderLock(self.root)
        try:
            staging = self.root / FOLDER
            with storage_errors(staging):
                staging.mkdir(exist_ok=True)
            remove_partials(staging)
            self._agree_on_plan(staging / PLAN_NAME)
        except BaseException:
            self.close()
            raise
        self._staged = set(staged_indices(self.root))
        self._refused = set(refused_episodes(self.root)) - self._staged

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def n_episodes(self) -> int:
        """Complete episodes so far, counted from the first one without a gap."""
        index = 0
        while index in self._staged:
            index += 1
        return index

    @property
    def missing(self) -> list[int]:
        """Indices below the highest staged one, neither complete nor refused: the recording was interrupted."""
        known = self._staged | self._refused
        return [index for index in range(max(self._staged, default=-1) + 1) if index not in known]

    def has_episode(self, index: int) -> bool:
        """Tell whether episode `index` is complete."""
        return index in self._staged

    def add_episode(self, episode: Episode) -> int:
        """Store an episode durably after the last one and return its index.

        Raises:
            DatasetError, UnknownName, ShapeMismatch, NotFinite, TargetOutOfRange: it does not fit; nothing is stored.
            StorageError: disk full; the episodes before it are kept.
        """
        index = self.n_episodes
        stage_episode(self.root, index, episode, schema=self.schema, labels=self.labels, image_format=self.image_format)
        self._staged.add(index)
        return index

    def note_staged(self, index: int) -> None:
        """Count an episode that a worker process has staged."""
        self._staged.add(index)
        self._refused.discard(index)

    def note_refused(self, index: int) -> None:
        """Count an episode that a worker process has refused: it leaves no gap in the numbering."""
        self._refused.add(index)

    def finalize(self, documents: Mapping[str, str] | None = None) -> None:
        """Make the data set complete and readable, then remove the staging folder.

        Interrupted at any moment it can be called again. Nothing readable appears before everything is on the disk.

        Args:
            documents: file name -> text of more files of meta/.
        Raises:
            DatasetError: no episode, or an episode is missing between others.
            StorageError: disk full; the staged episodes are kept.
        """
        if not self._staged:
            raise DatasetError(f"{self.root} has no complete episode: nothing to finalize.")
        if self.missing:
            raise DatasetError(f"{self.root} lacks episodes {self.missing[:5]}: record them, then finalize.")
        target = self.root / FOLDER / "assembled"
        shutil.rmtree(target, ignore_errors=True)
        try:
            assembled = assemble(target, self.root, sorted(self._staged), schema=self.schema)
            write_meta(target, assembled, schema=self.schema, labels=self._labels_record())
            with storage_errors(target):
                for name, text in (documents or {}).items():
                    (target / "meta" / name).write_text(text)
                if self._refused:
                    refused = refused_episodes(self.root)
                    write_json(target / REFUSED_PATH, [refused[index] for index in sorted(self._refused)])
            with storage_errors(target):
                for path in sorted(target.rglob("*")):
                    sync_path(path)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
        with storage_errors(self.root):
            for part in PARTS:
                shutil.rmtree(self.root / part, ignore_errors=True)
                if (target / part).exists():
                    os.replace(target / part, self.root / part)
            sync_path(self.root)
            shutil.rmtree(self.root / FOLDER, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Release the folder; staged episodes stay and can be continued."""
        self._lock.release()

    def _labels_record(self) -> dict[str, object]:
        return {**self.labels.to_record(), "fps": str(self.schema.fps), "recipe": self.recipe}

    def _agree_on_plan(self, path: Path) -> None:
        plan = {
            "schema": json.loads(self.schema.to_json()),
            "labels": self.labels.to_record(),
            "image_format": self.image_format,
            "recipe": self.recipe,
        }
        if not path.exists():
            write_durably(path, json.dumps(plan, indent=2).encode())
            return
        refuse_other_settings(self.root, begun=read_json(path), asked=plan)


def is_finalized(root: Path) -> bool:
    """Tell whether a folder holds a complete data set."""
    return (Path(root) / INFO_PATH).exists()


def refuse_foreign(root: Path) -> None:
    """Refuse a folder that holds something else: finalizing replaces `data/`, `videos/` and `meta/`.

    Raises:
        DatasetError: names what stands there.
    """
    found = [path.name for path in contents(root) if path.name != FOLDER]
    if found and not (root / FOLDER / PLAN_NAME).is_file():
        raise DatasetError(
            f"{root} is not empty ({', '.join(found[:3])}) and holds no data set that this command began. "
            "Write to another folder."
        )
