"""The frames of one camera as a single JPEG that a script cuts tiles from."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from vlm_qsft.images import encode_jpeg, resize

MCU = 16  # JPEG shares colour over blocks of 16 pixels: tiles begin on such a border so that none bleeds into the next
LARGEST_SIDE = 256  # pixels of a tile; larger frames are shrunk so that a page of six episodes stays below 20 MB
QUALITY = 88


@dataclass(frozen=True)
class Sprite:
    """Tiles of `width` x `height` pixels, `columns` in a row, `pitch_x` and `pitch_y` pixels apart, as a data URI."""

    uri: str
    width: int
    height: int
    columns: int
    pitch_x: int
    pitch_y: int


def make_sprite(frames: UInt8[np.ndarray, "step height width 3"]) -> Sprite:
    """Return the frames as a sprite, row by row."""
    steps, height, width = frames.shape[:3]
    if max(height, width) > LARGEST_SIDE:
        shrink = LARGEST_SIDE / max(height, width)
        size = (max(round(height * shrink), 1), max(round(width * shrink), 1))
        frames = np.stack([resize(frame, size) for frame in frames])
        height, width = size
    columns = math.ceil(math.sqrt(steps))
    rows = math.ceil(steps / columns)
    pitch_y, pitch_x = (math.ceil(side / MCU) * MCU for side in (height, width))
    sheet = np.zeros((rows * pitch_y, columns * pitch_x, 3), dtype=np.uint8)
    for step in range(steps):
        top, left = step // columns * pitch_y, step % columns * pitch_x
        tile = np.pad(frames[step], ((0, pitch_y - height), (0, pitch_x - width), (0, 0)), mode="edge")
        sheet[top : top + pitch_y, left : left + pitch_x] = tile
    encoded = base64.b64encode(encode_jpeg(sheet, quality=QUALITY)).decode("ascii")
    return Sprite(f"data:image/jpeg;base64,{encoded}", width, height, columns, pitch_x, pitch_y)
