"""What the fuzz tests share: how many inputs they try, and bytes that were changed in a few places."""

from __future__ import annotations

import os

from hypothesis import strategies as st

INPUTS = int(os.environ.get("QSFT_FUZZ_INPUTS", "2000"))
"""Inputs that the fuzz tests of RLDS, of LeRobot and of mapping files try, each; `make fuzz` tries 100,000.

A fifth of it for HDF5 files and for ROS 2 bags, of which an input takes longer.
"""
Mutation = tuple[str, float, int, int]
MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["set", "insert", "remove", "copy", "number"]),
        st.floats(0.0, 1.0, exclude_max=True),
        st.integers(1, 64),
        st.integers(0, 2**64 - 1),
    ),
    min_size=1,
    max_size=8,
)
"""(what is done, where as a share of the length, how many bytes, noise)."""


def mutated(content: bytes, mutations: list[Mutation]) -> bytes:
    """Return the content after its mutations."""
    changed = bytearray(content)
    for kind, place, length, number in mutations:
        at = int(place * len(changed))
        noise = (number.to_bytes(8, "little") * 8)[:length]
        if kind == "set":
            changed[at : at + 1] = noise[:1]
        elif kind == "insert":
            changed[at:at] = noise
        elif kind == "remove":
            del changed[at : at + length]
        elif kind == "copy":
            changed[at : at + length] = changed[number % (len(changed) or 1) :][:length]
        else:
            changed[at : at + 8] = number.to_bytes(8, "little")
    return bytes(changed)
