"""Features: what meta/info.json declares is in the files, with the declared type and size, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from qsft_datasets.validation.finding import Result, error, warning
from qsft_datasets.validation.subject import Subject
from vlm_qsft.data.schema import ACTION_KEY, STATE_KEY
from vlm_qsft.errors import QsftError

REMEDY = "Correct meta/info.json, or convert the data set again."
RENAMED = {ACTION_KEY: ("actions",), STATE_KEY: ("state", "states", "observation.states")}


def check_features(subject: Subject) -> Iterator[Result]:
    """Compare declared features with the columns of every data file."""
    for key in (ACTION_KEY, STATE_KEY):
        if key not in subject.features:
            near = [name for name in RENAMED[key] if name in subject.features]
            message = f"There is no feature '{key}'" + (f"; '{near[0]}' is there" if near else "")
            level = error if key == ACTION_KEY else warning
            yield level(message + ".", f"Convert the data set with a mapping that names '{key}'.")
    stored = {key for key, feature in subject.features.items() if feature["dtype"] != "video"}
    for path, schema in zip(subject.data_files, subject.schemas, strict=True):
        place = path.relative_to(subject.root)
        for key in sorted(stored - set(schema.names)):
            yield error(f"{place} has no column '{key}', which meta/info.json declares.", REMEDY)
        for key in sorted(set(schema.names) - stored):
            yield error(f"{place} has a column '{key}' that meta/info.json does not declare.", REMEDY)
        for key in sorted(stored & set(schema.names)):
            declared, found = str(subject.features[key]["dtype"]), leaf_type(schema.field(key).type)
            if declared != "image" and declared != found:
                yield error(f"{place}: '{key}' is {found}; meta/info.json declares {declared}.", REMEDY)
    for key in subject.widths:
        try:
            subject.column(key)
        except QsftError as problem:
            if "has no column" not in str(problem):
                yield error(str(problem), REMEDY)


def leaf_type(kind: pa.DataType) -> str:
    """Return the type of the numbers of a column in the words of meta/info.json."""
    while pa.types.is_nested(kind) and kind.num_fields == 1:
        kind = kind.field(0).type
    names = {"float": "float32", "double": "float64", "halffloat": "float16"}
    return "image" if pa.types.is_struct(kind) else names.get(str(kind), str(kind))
