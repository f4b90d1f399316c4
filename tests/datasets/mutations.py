"""What the fuzz tests share: how many inputs they try, within which memory, and bytes changed in a few places."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import Parameter, signature
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, Phase, given, settings
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


def fuzzed(share: float, batch: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test, which takes fixtures and `random`, on its share of the inputs.

    Args:
        share: of INPUTS.
        batch: inputs per seed, as drawing a seed costs hypothesis more than reading an input costs us. A failure names
            its seed.
    """

    def decorated(test: Callable[..., None]) -> Callable[..., None]:
        def one_batch(seed: int, **fixtures: object) -> None:
            random = Random(seed)
            for _ in range(batch):
                test(**fixtures, random=random)

        own = signature(test)
        names = ["seed", *(name for name in own.parameters if name != "random")]
        parameters = [Parameter(name, Parameter.KEYWORD_ONLY) for name in names]
        one_batch.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        one_batch.__name__ = test.__name__
        limits = settings(
            max_examples=max(1, round(INPUTS * share / batch)),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        )
        return limits(given(seed=st.integers(0, 2**63))(one_batch))

    return decorated


@contextmanager
def limited_memory(n_bytes: int) -> Iterator[None]:
    """Let every allocation beyond what the process has now and `n_bytes` fail."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + n_bytes, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)
