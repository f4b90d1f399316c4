"""Observations on the wire: pictures at the size that the model looks at, raw or as JPEG, and the state."""

from __future__ import annotations

import json
from typing import Literal

import numpy as np

from vlm_qsft.errors import DatasetError, MessageError, ShapeMismatch
from vlm_qsft.images import decode, encode_jpeg, resize
from vlm_qsft.picture_header import picture_header
from vlm_qsft.remote.description import LONGEST_NAMES, PolicyDescription
from vlm_qsft.remote.message import Message
from vlm_qsft.remote.protocol import ACT
from vlm_qsft.types import Observation

PictureEncoding = Literal["raw", "jpeg"]
JPEG_QUALITY = 95
HEADER_ROOM = 65_536
"""Bytes of a message that are no pictures and no state."""


def pack_observation(observation: Observation, description: PolicyDescription, encoding: PictureEncoding) -> Message:
    """Return the message that asks for a decision; its number comes later.

    Pictures are resized here exactly as the model's own input is, so that no pixel is sent that the model does not see.
    What is missing or of a wrong size is not judged here: the server answers with the error of a local policy.

    Args:
        observation: what the robot sees; further cameras stay here.
        description: of the policy.
        encoding: "raw" keeps every pixel, "jpeg" changes them a little and needs about a tenth of the bytes.
    Raises:
        ShapeMismatch: a picture is not uint8 (height, width, 3), or the state is no row of numbers.
    """
    cameras = [camera for camera in description.interface.cameras if camera in observation.images]
    state = np.asarray(observation.state, np.float32)
    if state.ndim != 1:
        raise ShapeMismatch(f"The state must be one row of numbers; got shape {state.shape}.")
    arrays: dict[str, np.ndarray] = {"state": state}
    for number, camera in enumerate(cameras):
        picture = resize(observation.images[camera], description.picture_size)
        if encoding == "jpeg":
            picture = np.frombuffer(encode_jpeg(picture, quality=JPEG_QUALITY), np.uint8)
        arrays[f"picture{number}"] = picture
    return Message(ACT, {"cameras": json.dumps(cameras), "encoding": encoding}, arrays)


def read_observation(message: Message, description: PolicyDescription) -> Observation:
    """Return the observation in a message.

    Raises:
        MessageError: a picture of another size than the model's, or a camera that the policy does not have.
    """
    cameras = message.names("cameras", longest=LONGEST_NAMES)
    if len(set(cameras)) != len(cameras) or not set(cameras) <= set(description.interface.cameras):
        raise MessageError(f"The observation names cameras that the policy does not have, or one twice: {cameras}.")
    encoding = message.text("encoding", longest=8)
    if encoding not in ("raw", "jpeg"):
        raise MessageError(f"Pictures are encoded as '{encoding}'; valid: jpeg, raw.")
    if len(message.arrays) != len(cameras) + 1:
        raise MessageError(f"{len(cameras)} cameras and a state come in {len(message.arrays)} arrays.")
    height, width = description.picture_size
    images = {}
    for number, camera in enumerate(cameras):
        if encoding == "raw":
            images[camera] = message.array(f"picture{number}", np.uint8, (height, width, 3))
        else:
            images[camera] = _decoded(message.array(f"picture{number}", np.uint8, (None,)), (height, width))
    return Observation(images, message.array("state", np.float32, (None,)))


def largest_observation(description: PolicyDescription) -> int:
    """Return how many bytes the largest message of a client has, with raw pictures."""
    height, width = description.picture_size
    interface = description.interface
    return len(interface.cameras) * height * width * 3 + len(interface.state_names) * 4 + HEADER_ROOM


def _decoded(encoded: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    content = encoded.tobytes()
    header = picture_header(content)
    # Judged before anything is decoded: a few hundred bytes can declare gigabytes of pixels.
    if header is None or header.kind != "jpeg" or (header.height, header.width) != size:
        raise MessageError(f"A picture is no JPEG of {size[0]} x {size[1]} pixels.")
    try:
        picture = decode(content)
    except DatasetError as error:
        raise MessageError(f"A picture is a damaged JPEG: {error}") from error
    if picture.shape != (*size, 3):
        raise MessageError(f"A picture decodes to {picture.shape}, not to what its header says.")
    return picture
