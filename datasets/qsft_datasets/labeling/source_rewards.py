"""The rewards that the source gave: kept in a column of their own when labels replace them."""

from __future__ import annotations

from qsft_datasets.source_columns import SOURCE_PREFIX, SOURCE_REWARD
from vlm_qsft.data.reader import DatasetReader
from vlm_qsft.data.return_mapping import IDENTITY
from vlm_qsft.data.schema import LABEL_DTYPES
from vlm_qsft.errors import DatasetError

REWARD_KEY = "next.reward"


def preserved_columns(reader: DatasetReader) -> dict[str, str]:
    """Return column -> name under which it is kept, of columns that labels would overwrite and that are no labels yet.

    In a foreign data set these are all that have the name of a label; in ours the rewards of rule `keep`, which are
    the source's. What was preserved once stays.
    """
    widths, labels = reader.metadata.widths, reader.metadata.labels
    if labels is None:
        return {
            key: kept for key in LABEL_DTYPES if key in widths and (kept := SOURCE_PREFIX + tail(key)) not in widths
        }
    if labels.reward_rule == "keep" and labels.return_mapping == IDENTITY and SOURCE_REWARD not in widths:
        return {REWARD_KEY: SOURCE_REWARD}
    return {}


def reward_column(reader: DatasetReader) -> str:
    """Return the column that holds the rewards of the source.

    Raises:
        DatasetError: there is none.
    """
    widths = reader.metadata.widths
    if SOURCE_REWARD in widths:
        column = SOURCE_REWARD
    elif REWARD_KEY in preserved_columns(reader):
        column = REWARD_KEY
    else:
        raise DatasetError(
            f"{reader.root} has no rewards of its source"
            + (" (those that it has come from its outcomes)" if reader.metadata.labels else "")
            + ". Use another rule or another source of outcomes."
        )
    if widths[column] != 1:
        raise DatasetError(f"'{column}' of {reader.root} has {widths[column]} numbers per frame; a reward is one.")
    return column


def tail(key: str) -> str:
    """Return the name of a label without `next.`."""
    return key.removeprefix("next.")
