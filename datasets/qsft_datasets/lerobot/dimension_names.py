"""The names of a vector's numbers, in all the ways in which they are written."""

from __future__ import annotations


def dimension_names(written: object, width: int) -> tuple[str, ...]:
    """Return one name per number, repeated ones with their number; none where they do not fit.

    Seen: ["x", "y"], [["x", "y"]], {"motors": ["x", "y"]}, {"left": ["x"], "right": ["y"]}, {"x": 0, "y": 1}.
    """
    names = _flat(written)
    if len(names) != width:
        return ()
    return tuple(f"{name}_{number}" if names.count(name) > 1 else name for number, name in enumerate(names))


def _flat(written: object, depth: int = 0) -> list[str]:
    if depth > 4:
        return []
    if isinstance(written, dict):
        places = list(written.values())
        if all(type(place) is int for place in places) and sorted(places) == list(range(len(places))):
            return [str(name) for name in sorted(written, key=written.__getitem__)]
        return [name for part in places for name in _flat(part, depth + 1)]
    if isinstance(written, list):
        return [name for part in written for name in (_flat(part, depth + 1) if _is_nested(part) else [str(part)])]
    return []


def _is_nested(part: object) -> bool:
    return isinstance(part, list | dict)
