"""Augmentation of the pictures, done on the uint8 batch: random shifts and random light."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, UInt8


def random_shift(
    images: UInt8[np.ndarray, "batch camera height width 3"], shifts: Int64[np.ndarray, "batch 2"]
) -> UInt8[np.ndarray, "batch camera height width 3"]:
    """Move every sample's pictures by its own (rows, columns), all cameras alike; edges are repeated.

    Pixel (y, x) of the result is pixel (y + rows, x + columns) of the picture, clamped to its border. One padded copy
    and one gather of whole rows of pixels: no loop over samples.

    Args:
        shifts: whole pixels, of either sign.
    """
    batch, cameras, height, width, _ = images.shape
    pixels = int(np.abs(shifts).max(initial=0))
    padded = np.pad(images, ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels), (0, 0)), mode="edge")
    rows = padded.reshape(batch, cameras, height + 2 * pixels, (width + 2 * pixels) * 3)
    axes: Any = (2, 3)  # NumPy's types know one axis only
    windows = np.lib.stride_tricks.sliding_window_view(rows, (height, width * 3), axis=axes)
    moved = windows[np.arange(batch), :, shifts[:, 0] + pixels, (shifts[:, 1] + pixels) * 3]
    return moved.reshape(images.shape)


def random_light(
    images: UInt8[np.ndarray, "batch camera height width 3"], gains: Float32[np.ndarray, "batch 3"]
) -> UInt8[np.ndarray, "batch camera height width 3"]:
    """Multiply the colour channels of every sample's pictures by its own factors, all cameras alike, and clip at 255.

    The light and the tint of a table tell one episode from another: without this a value learns to recognise episodes.

    Args:
        gains: factors of red, green and blue, at least 0.
    """
    # Eight bits after the point: the product of two bytes and a bit fits into 32 bits, in half the time of floats.
    fixed = np.rint(gains * 256.0).astype(np.uint32)[:, None, None, None, :]
    brightened = images * fixed
    brightened >>= 8
    return np.minimum(brightened, 255, out=brightened).astype(np.uint8)
