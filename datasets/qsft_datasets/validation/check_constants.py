"""Constants: dimensions that never change."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qsft_datasets.source_columns import SOURCE_PREFIX
from qsft_datasets.validation.finding import Result, error, warning
from qsft_datasets.validation.subject import Subject
from vlm_qsft.data.schema import ACTION_KEY, INDEX_DTYPES, LABEL_DTYPES

OF_ROBOT = "Check the mapping: is this dimension recorded at all? An action that never changes teaches nothing."
OF_SOURCE = "This flag or reward of the source tells nothing: let no outcome or rule depend on it."


def check_constant_dimensions(subject: Subject) -> Iterator[Result]:
    """Look for dimensions of state, action and kept columns that have one value everywhere."""
    for key in subject.widths:
        if key in INDEX_DTYPES or key in LABEL_DTYPES or not subject.has(key):
            continue
        values = subject.column(key)
        constant = np.flatnonzero((values == values[:1]).all(axis=0))
        if len(constant) == 0:
            continue
        names = ", ".join(f"'{subject.dimension(key, place)}' = {values[0, place]:g}" for place in constant[:5])
        more = f" and {len(constant) - 5} more" if len(constant) > 5 else ""
        everything = len(constant) == values.shape[1]
        level = error if everything and key == ACTION_KEY else warning
        yield level(
            f"{'Every' if everything else str(len(constant))} dimension{'s' if len(constant) > 1 else ''} of '{key}' "
            f"never change{'' if len(constant) > 1 else 's'}: {names}{more}.",
            OF_SOURCE if key.startswith(SOURCE_PREFIX) else OF_ROBOT,
            count=len(constant),
        )
