"""One episode of a source -> one episode of the canonical data set. Pure: files are touched only to decode videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qsft_datasets.coverage import width_of
from qsft_datasets.mapping import Mapping
from qsft_datasets.outcome import OutcomeTable, is_success, label_source
from qsft_datasets.pictures import camera_pictures, camera_values, source_size
from qsft_datasets.source import EpisodeReference, SourceDescription, SourceEpisode
from qsft_datasets.source_columns import SOURCE_REWARD, SOURCE_TERMINATED
from qsft_datasets.vectors import column_type, exact, joined_parts, kept_type, step_numbers
from vlm_qsft.data import DatasetSchema, Episode, KeptColumn
from vlm_qsft.data.episode import Attribute
from vlm_qsft.data.schema import CameraStorage
from vlm_qsft.errors import DatasetError, InvalidSetting

ATTRIBUTE_TYPES: dict[str, type[bool] | type[int] | type[float]] = {
    "b": bool,
    "i": int,
    "u": int,
    "f": float,
    "V": float,
}


def schema_of(
    mapping: Mapping, description: SourceDescription, first: SourceEpisode, *, storage: CameraStorage
) -> DatasetSchema:
    """Return the schema of the canonical data set.

    Args:
        first: the episode whose pictures tell their size; sources often do not declare it.
        storage: "video" where the files of all cameras are copied.
    Raises:
        DatasetError: a camera is missing from the episode, or its pictures cannot be read.
    """
    sizes = {
        camera.name: camera.size or source_size(camera_values(first, camera), camera) for camera in mapping.cameras
    }
    kept = {name: description.feature(path) for name, path in kept_features(mapping).items()}
    return DatasetSchema(
        cameras=sizes,
        state_names=tuple(name for part in mapping.state for name in part.names),
        action_names=tuple(name for part in mapping.action for name in part.names),
        fps=mapping.fps,
        robot_type=mapping.robot_type,
        camera_storage=storage,
        state_dtype=column_type(mapping.state, description),
        action_dtype=column_type(mapping.action, description),
        kept={name: KeptColumn(kept_type(feature.dtype), width_of(feature)) for name, feature in kept.items()},
    )


def kept_features(mapping: Mapping) -> dict[str, str]:
    """Return name -> feature of the kept columns: the mapping's, and what the source itself says of its labels.

    The label columns follow a rule; the source's own rewards and flags must not be lost by that.
    """
    own = {SOURCE_REWARD: mapping.reward, SOURCE_TERMINATED: mapping.terminated}
    kept = dict(mapping.keep)
    return kept | {name: path for name, path in own.items() if path is not None and path not in kept.values()}


@dataclass(frozen=True)
class EpisodeConversion:
    """Everything that is decided before the first episode is converted.

    Attributes:
        schema: of the result.
        reward_rule: whose rewards the result has.
        outcomes: table of the user, for the outcome "csv".
    """

    mapping: Mapping
    description: SourceDescription
    schema: DatasetSchema
    reward_rule: str
    outcomes: OutcomeTable | None = None

    def __call__(self, source_episode: SourceEpisode, reference: EpisodeReference) -> Episode:
        """Return the canonical episode.

        Raises:
            DatasetError, ShapeMismatch: a feature is absent, damaged or of another size.
            InvalidSetting: rule `keep` without rewards.
        """
        mapping, episode = self.mapping, source_episode
        steps = episode.length - (mapping.last_step == "padding")
        if steps < 1:
            raise DatasetError(f"The episode has {episode.length} steps, none of them with an action.")
        success = is_success(mapping, episode, reference, self.outcomes)
        terminated = self._is_terminated(episode, success=success)
        widths = {feature.path: width_of(feature) for feature in self.description.features}
        schema = self.schema
        return Episode(
            images={
                camera.name: camera_pictures(
                    episode, camera, storage=schema.camera_storage, decoder=mapping.jpeg, steps=steps
                )
                for camera in mapping.cameras
            },
            state=joined_parts(episode, mapping.state, widths, schema.state_dtype)[:steps],
            action=joined_parts(episode, mapping.action, widths, schema.action_dtype)[:steps],
            reward=self._reward(episode, steps),
            terminated=terminated,
            truncated=not terminated,
            success=success,
            instruction=self._instruction(episode, steps),
            attributes=self._attributes(episode, reference),
            kept={
                name: exact(step_numbers(episode, path, widths[path]), schema.kept[name].dtype, path)[:steps]
                for name, path in kept_features(mapping).items()
            },
        )

    def _is_terminated(self, episode: SourceEpisode, *, success: bool) -> bool:
        if self.mapping.outcome.source == "csv" and self.outcomes is not None:
            ending = self.outcomes[episode.key].terminated
            if ending is not None:
                return ending
        rule = self.mapping.terminal_rule
        if rule == "flag" and self.mapping.terminated is not None:
            # The flag of the source's last step, also where that step is padding: there it stands in RLDS.
            return bool(step_numbers(episode, self.mapping.terminated, 1)[-1, 0])
        return rule == "outcome" and success

    def _reward(self, episode: SourceEpisode, steps: int) -> np.ndarray | None:
        if self.reward_rule != "keep":
            return None  # the rule computes it
        if self.mapping.reward is None:
            raise InvalidSetting("Rule 'keep' takes the rewards of the source; the mapping names none (reward).")
        return step_numbers(episode, self.mapping.reward, 1)[:steps, 0].astype(np.float64)

    def _instruction(self, episode: SourceEpisode, steps: int) -> str | list[str]:
        path = self.mapping.instruction
        if path is None:
            return self.mapping.instruction_text or ""
        if path in episode.episode:
            return _text(episode.episode[path], path)
        values = episode.steps.get(path)
        if not isinstance(values, Sequence) or len(values) != episode.length:
            raise DatasetError(f"Feature '{path}', the instruction, is not in every step of this episode.")
        told = [_text(value, path) for value in values[:steps]]
        return told[0] if len(set(told)) == 1 else told

    def _attributes(self, episode: SourceEpisode, reference: EpisodeReference) -> dict[str, Attribute]:
        attributes: dict[str, Attribute] = {
            "source_key": reference.key,
            "source_file": reference.file,
            "outcome_source": label_source(self.mapping.outcome),
        }
        if reference.split:
            attributes["source_split"] = reference.split
        if episode.gaps:
            attributes["gaps"] = "; ".join(episode.gaps)
        for name, path in self.mapping.attributes.items():
            if path in episode.episode:
                attributes[name] = self._attribute(path, episode.episode[path])
        return attributes

    def _attribute(self, path: str, value: object) -> Attribute:
        feature = self.description.feature(path)
        if feature.kind == "text":
            return _text(value, path)
        number = np.asarray(value)
        if number.size != 1 or number.dtype.kind not in ATTRIBUTE_TYPES:
            raise DatasetError(f"Feature '{path}' is {value!r:.80}; expected one number per episode.")
        # One type for the whole data set, whatever type this episode's number happens to have.
        kind = "V" if feature.dtype == "bfloat16" else np.dtype(feature.dtype).kind
        return ATTRIBUTE_TYPES[kind](number.reshape(-1)[0])


def _text(value: object, path: str) -> str:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise DatasetError(f"Feature '{path}' is no text in UTF-8: {value[:40]!r}.") from error
    if isinstance(value, str):
        return str(value)
    raise DatasetError(f"Feature '{path}' holds {type(value).__name__}; expected text.")
