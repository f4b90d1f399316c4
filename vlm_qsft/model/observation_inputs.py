"""From what a robot sees to what a scorer takes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vlm_qsft.errors import NotFinite, ShapeMismatch, UnknownName
from vlm_qsft.images import resize
from vlm_qsft.model.inputs import ModelInputs
from vlm_qsft.model.robot_scorer import ScorerSpec
from vlm_qsft.types import Observation


def inputs_from_observation(
    observation: Observation, spec: ScorerSpec, *, text: Tensor, text_mask: Tensor
) -> ModelInputs:
    """Return a batch of one, on the CPU; pictures are resized exactly as in training. Further cameras are ignored.

    Args:
        text: the instruction, one row of `RobotScorer.encode_instructions`.
        text_mask: likewise.
    Raises:
        UnknownName: a camera is missing; lists those there are.
        ShapeMismatch: a picture is not uint8 (height, width, 3), or the state has another size.
        NotFinite: the state holds NaN or infinity.
    """
    pictures = []
    for camera in spec.cameras:
        if camera not in observation.images:
            raise UnknownName("camera", camera, observation.images, where="this observation")
        pictures.append(resize(observation.images[camera], spec.image_size))
    state = np.asarray(observation.state, np.float32)
    if state.shape != (spec.state_dim,):
        raise ShapeMismatch(f"The state must have {spec.state_dim} numbers; got shape {state.shape}.")
    if not np.isfinite(state).all():
        raise NotFinite(f"The state holds NaN or infinity: {state.tolist()}.")
    return ModelInputs(
        images=torch.from_numpy(np.stack(pictures))[None],
        state=torch.from_numpy(state)[None],
        text=text,
        text_mask=text_mask,
    )
