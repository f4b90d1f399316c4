"""From settings and a data set's description to a scorer that fits it."""

from __future__ import annotations

from collections.abc import Iterable

from vlm_qsft.data.schema import DatasetSchema
from vlm_qsft.errors import InvalidSetting, ShapeMismatch, UnknownName
from vlm_qsft.model.robot_scorer import RobotScorer, ScorerSpec
from vlm_qsft.model.settings import ModelSettings
from vlm_qsft.model.state_statistics import StateStatistics
from vlm_qsft.tokens import ActionTokenizer


def build_scorer(
    settings: ModelSettings,
    schema: DatasetSchema,
    action_tokenizer: ActionTokenizer,
    instructions: Iterable[str],
    state_statistics: StateStatistics,
) -> RobotScorer:
    """Build a scorer with fresh action tokens, on the CPU; seed torch before for the same weights.

    Args:
        instructions: every instruction of the data set; the small model's vocabulary is made of them.
        state_statistics: over the training frames.
    Raises:
        UnknownName: a camera that the data set lacks, or a source of a family without support.
        ShapeMismatch: the statistics are of another state.
        InvalidSetting: no camera, or a source that cannot be loaded or take such pictures.
    """
    cameras = choose_cameras(settings, schema)
    if len(state_statistics.mean) != len(schema.state_names):
        raise ShapeMismatch(
            f"State statistics have {len(state_statistics.mean)} dimensions; "
            f"the data set has {len(schema.state_names)}: {', '.join(schema.state_names)}."
        )

    def specify(family: str, image_size: tuple[int, int]) -> ScorerSpec:
        return ScorerSpec(
            n_bins=action_tokenizer.n_bins,
            n_tokens=action_tokenizer.n_tokens,
            cameras=cameras,
            image_size=settings.image_size or image_size,
            state_dim=len(schema.state_names),
            family=family,
        )

    if settings.source is None:
        from vlm_qsft.model.small import IMAGE_SIZE, SmallVLM
        from vlm_qsft.model.word_tokenizer import WordTokenizer

        return SmallVLM(specify("small", IMAGE_SIZE), settings, WordTokenizer.fit(instructions), state_statistics)

    # transformers takes seconds to import: a policy on the small model never waits for it.
    from vlm_qsft.model.families import FAMILIES_BY_MODEL_TYPE
    from vlm_qsft.model.pretrained import load_pretrained
    from vlm_qsft.model.transformers_vlm import TransformersVLM

    source = load_pretrained(settings.source, allow_download=settings.allow_download)
    model_type = source.model.config.model_type
    own_size = FAMILIES_BY_MODEL_TYPE[model_type](source.model).own_image_size
    scorer = TransformersVLM(specify(model_type, own_size), source, state_statistics, lora_rank=settings.lora_rank)
    scorer.initialise()
    return scorer


def choose_cameras(settings: ModelSettings, schema: DatasetSchema) -> tuple[str, ...]:
    """Return the cameras to show, in order.

    Raises:
        UnknownName: one that the data set lacks.
        InvalidSetting: none at all.
    """
    cameras = tuple(schema.cameras) if settings.cameras is None else settings.cameras
    for camera in cameras:
        if camera not in schema.cameras:
            raise UnknownName("camera", camera, schema.cameras, where="this data set")
    if not cameras:
        raise InvalidSetting(
            "A vision-language model needs at least one camera; the data set or the settings have none."
        )
    return cameras
