"""One camera of an episode: passed through where nothing has to change, else decoded, turned, resized."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import UInt8

from qsft_datasets.mapping import CameraMapping, JpegDecoder
from qsft_datasets.picture_header import PictureHeader, picture_header
from qsft_datasets.rlds.picture_decoders import DECODERS
from qsft_datasets.source import SourceEpisode, StepValues, VideoStretch
from vlm_qsft.data.episode import Pictures, VideoClip
from vlm_qsft.data.schema import CameraStorage
from vlm_qsft.data.video_stretch import stretch_frames, video_facts
from vlm_qsft.errors import DatasetError, ShapeMismatch
from vlm_qsft.images import decode, encode_png, resize

Picture = UInt8[np.ndarray, "height width 3"]


def camera_values(episode: SourceEpisode, camera: CameraMapping) -> StepValues:
    """Return the values of a camera.

    Raises:
        DatasetError: absent from this episode, or of another length.
    """
    values = episode.steps.get(camera.path)
    if values is None:
        raise DatasetError(f"Camera '{camera.name}' ('{camera.path}') is declared, but not in this episode.")
    length = values.n_frames if isinstance(values, VideoStretch) else len(values)
    if length != episode.length:
        raise DatasetError(f"Camera '{camera.name}' has {length} pictures for {episode.length} steps.")
    return values


def source_size(values: StepValues, camera: CameraMapping) -> tuple[int, int]:
    """Return (height, width) of the first picture, upright.

    Raises:
        DatasetError: no picture that can be read.
    """
    if isinstance(values, VideoStretch):
        facts = video_facts(values.path)
        if facts.is_depth:
            raise DatasetError(
                f"Camera '{camera.name}': {values.path} holds {facts.pixel_format}, a depth map. Ignore this feature."
            )
        height, width = facts.size
    elif isinstance(values, np.ndarray):
        height, width = raw_pictures(values, camera)[0].shape[:2]
    else:
        first = values[0]
        header = picture_header(first) if isinstance(first, bytes) else None
        height, width = (header.height, header.width) if header else decode(_bytes(first, camera)).shape[:2]
    return (width, height) if camera.turn_deg in (90, 270) else (height, width)


def may_be_copied(values: StepValues, camera: CameraMapping) -> bool:
    """Tell whether the mapping leaves a video as it is."""
    return (
        isinstance(values, VideoStretch)
        and camera.turn_deg == 0
        and camera.channels == "rgb"
        and camera.size in (None, video_facts(values.path).size)
    )


def camera_pictures(
    episode: SourceEpisode, camera: CameraMapping, *, storage: CameraStorage, decoder: JpegDecoder, steps: int
) -> Pictures:
    """Return the first `steps` pictures of a camera as the writer takes them.

    Raises:
        DatasetError: absent, damaged, or of a kind that is no 8-bit picture; names the camera and the step.
        ShapeMismatch: raw pictures of another shape.
    """
    values = camera_values(episode, camera)
    if isinstance(values, VideoStretch):
        if storage == "video":
            return VideoClip(values.path, values.from_s)
        frames = stretch_frames(values.path, values.from_s, values.to_s, values.n_frames)
        return [encode_png(picture) for picture in _changed(_first(frames, steps), camera)]
    if isinstance(values, np.ndarray):
        pictures = raw_pictures(values[:steps], camera)
        return pictures if _is_unchanged(camera) else np.stack(list(_changed(pictures, camera)))
    return [_encoded(_bytes(value, camera), camera, step, decoder) for step, value in enumerate(values[:steps])]


def raw_pictures(values: np.ndarray, camera: CameraMapping) -> UInt8[np.ndarray, "step height width 3"]:
    """Return raw pictures with three colours; grey is repeated.

    Raises:
        ShapeMismatch: another type or number of colours.
    """
    if values.dtype == np.uint8 and values.ndim == 3:
        values = values[..., None]
    if values.dtype != np.uint8 or values.ndim != 4 or values.shape[-1] not in (1, 3) or 0 in values.shape:
        raise ShapeMismatch(
            f"Camera '{camera.name}' ('{camera.path}') holds {values.dtype} {values.shape}; expected uint8 pictures "
            "(step, height, width, 3), or grey ones. A depth map is no camera: keep or ignore it."
        )
    return values if values.shape[-1] == 3 else np.repeat(values, 3, axis=-1)


def _encoded(content: bytes, camera: CameraMapping, step: int, decoder: JpegDecoder) -> bytes:
    header = picture_header(content)
    if header is not None and header.bits > 8:
        raise DatasetError(f"Camera '{camera.name}', step {step}: {header.bits} bits per colour; a depth map?")
    if header is not None and _passes(header, camera, decoder):
        return content
    try:
        decoded = DECODERS[decoder](content)
    except DatasetError as error:
        raise DatasetError(f"Camera '{camera.name}', step {step}: {error}") from error
    return encode_png(next(_changed([decoded], camera)))


def _passes(header: PictureHeader, camera: CameraMapping, decoder: JpegDecoder) -> bool:
    """Tell whether the bytes stay: whoever reads them later must see the pixels of the chosen decoder.

    Readers of data sets decode as OpenCV and Pillow do; TensorFlow's pixels are stored as PNG.
    """
    is_size = camera.size is None or camera.size == (header.height, header.width)
    same_pixels = header.kind == "png" or decoder == "opencv"
    return header.is_plain and is_size and same_pixels and camera.turn_deg == 0 and camera.channels == "rgb"


def _is_unchanged(camera: CameraMapping) -> bool:
    return camera.turn_deg == 0 and camera.channels == "rgb" and camera.size is None


def _changed(pictures: Iterable[np.ndarray], camera: CameraMapping) -> Iterator[Picture]:
    for picture in pictures:
        if camera.channels == "bgr":
            picture = picture[..., ::-1]
        if camera.turn_deg:
            picture = np.rot90(picture, k=-(camera.turn_deg // 90))
        picture = np.ascontiguousarray(picture)
        yield picture if camera.size is None else resize(picture, camera.size)


def _first(pictures: Iterator[np.ndarray], steps: int) -> Iterator[np.ndarray]:
    for number, picture in enumerate(pictures):
        if number < steps:
            yield picture


def _bytes(value: bytes | str, camera: CameraMapping) -> bytes:
    if isinstance(value, bytes):
        return value
    raise DatasetError(f"Camera '{camera.name}' ('{camera.path}') holds {type(value).__name__}, no pictures.")
