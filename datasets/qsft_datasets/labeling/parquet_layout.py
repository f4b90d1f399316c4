"""How a parquet file is written: compression, dictionaries and statistics of its columns, to write another like it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vlm_qsft.data.schema import LABEL_DTYPES

HUGGING_FACE = b"huggingface"
CODECS = {"UNCOMPRESSED": "none"}


def layout_of(footer: pq.FileMetaData, added: tuple[str, ...]) -> dict[str, Any]:
    """Return the writer settings that treat every column as the file at hand does.

    Args:
        added: columns of one number that the file does not have, or had as something else.
    """
    leaves = {}
    if footer.num_row_groups:
        group = footer.row_group(0)
        leaves = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
    kept = {path: leaf for path, leaf in leaves.items() if path.split(".list.")[0] not in added}
    compression = {path: CODECS.get(leaf.compression, leaf.compression.lower()) for path, leaf in kept.items()}
    return {
        "compression": compression | dict.fromkeys(added, "snappy"),
        "use_dictionary": [path for path, leaf in kept.items() if leaf.has_dictionary_page] or False,
        "write_statistics": [path for path, leaf in kept.items() if leaf.is_stats_set] or False,
    }


def labelled_schema(schema: pa.Schema, preserved: Mapping[str, str]) -> pa.Schema:
    """Return the columns of a labelled file.

    Labels stand where columns of the same names were, else at the end; before them what is preserved of the old ones.

    Args:
        preserved: old column -> name under which it is kept.
    """
    for old, kept in preserved.items():
        schema = schema.append(schema.field(old).with_name(kept))
    for key, dtype in LABEL_DTYPES.items():
        field = pa.field(key, pa.bool_() if dtype == "bool" else pa.type_for_alias(dtype))
        place = schema.get_field_index(key)
        schema = schema.append(field) if place < 0 else schema.set(place, field)
    return schema.with_metadata(labelled_notes(schema.metadata, preserved))


def labelled_notes(notes: dict[bytes, bytes] | None, preserved: Mapping[str, str]) -> dict[bytes, bytes] | None:
    """Return the notes of a schema, the one of Hugging Face's `datasets` with the new columns."""
    if not notes or HUGGING_FACE not in notes:
        return notes
    content = json.loads(notes[HUGGING_FACE])
    features = content.get("info", {}).get("features")
    if not isinstance(features, dict):
        return notes
    features |= {kept: features[old] for old, kept in preserved.items() if old in features}
    features |= {key: {"dtype": dtype, "_type": "Value"} for key, dtype in LABEL_DTYPES.items()}
    return {**notes, HUGGING_FACE: json.dumps(content).encode()}
