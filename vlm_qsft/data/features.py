"""What the feature descriptions of foreign data sets say, in all the ways in which they are written."""

from __future__ import annotations

import numpy as np


def is_depth(feature: dict) -> bool:
    """Tell whether a camera feature is a depth map."""
    note = feature.get("info") or feature.get("video_info") or {}
    return bool(note.get("is_depth_map") or note.get("video.is_depth_map"))


def picture_size(feature: dict) -> tuple[int, int]:
    """Return (height, width) of a camera feature, whose axes may stand in either order."""
    shape = [int(side) for side in feature["shape"]]
    names = feature.get("names")
    channels_first = names[0] in ("channel", "channels") if isinstance(names, list) and names else shape[-1] != 3
    return (shape[1], shape[2]) if channels_first else (shape[0], shape[1])


def dimension_names(feature: dict | None, kind: str) -> tuple[str, ...]:
    """Return the names of a vector's dimensions: as written, else numbered; repeated ones get their number."""
    if feature is None:
        return ()
    width = int(np.prod(feature["shape"]))
    names = feature.get("names")
    if isinstance(names, dict):
        parts = [part if isinstance(part, list) else [name] for name, part in names.items()]
        names = [name for part in parts for name in part]
    if not isinstance(names, list) or len(names) != width:
        return tuple(f"{kind}_{number}" for number in range(width))
    texts = [str(name) for name in names]
    return tuple(f"{text}_{number}" if texts.count(text) > 1 else text for number, text in enumerate(texts))
