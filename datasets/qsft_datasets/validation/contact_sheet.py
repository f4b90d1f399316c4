"""Contact sheet: sampled frames of one camera on one small picture, a row per episode."""

from __future__ import annotations

import numpy as np

from qsft_datasets.validation.pictures import CameraSample
from vlm_qsft.images import resize

SHOWN_EPISODES = 6
HEIGHT = 96
GAP = 4
BACKGROUND = 235


def contact_sheet(sample: CameraSample) -> np.ndarray | None:
    """Return the sheet; None where no picture could be read."""
    seen = [episode for episode in sample.episodes if episode.pictures]
    if not seen:
        return None
    chosen = [seen[place] for place in np.unique(np.linspace(0, len(seen) - 1, SHOWN_EPISODES).round().astype(int))]
    rows = [[small(picture) for picture in episode.pictures] for episode in chosen]
    widths = max(sum(picture.shape[1] + GAP for picture in row) for row in rows) + GAP
    sheet = np.full((len(rows) * (HEIGHT + GAP) + GAP, widths, 3), BACKGROUND, np.uint8)
    for number, row in enumerate(rows):
        left, top = GAP, GAP + number * (HEIGHT + GAP)
        for picture in row:
            sheet[top : top + HEIGHT, left : left + picture.shape[1]] = picture
            left += picture.shape[1] + GAP
    return sheet


def small(picture: np.ndarray) -> np.ndarray:
    """Return a picture at the height of the sheet."""
    width = max(1, round(picture.shape[1] * HEIGHT / picture.shape[0]))
    return resize(np.ascontiguousarray(picture), (HEIGHT, width))
