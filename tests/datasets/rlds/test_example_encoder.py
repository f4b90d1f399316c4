"""Our encoder of tf.train.Example against the protobuf package."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qsft_datasets.rlds.example_encoder import encode_example

from .test_example import EXAMPLE, LISTS


@given(st.dictionaries(st.text(max_size=6), LISTS, max_size=4))
def test_our_encoder_writes_what_the_protobuf_package_reads(features) -> None:
    arrays = {"float": np.float32, "int": np.int64}
    record = encode_example(
        {
            name: values if kind == "bytes" else np.array(values, arrays[kind])
            for name, (kind, values) in features.items()
        }
    )
    message = EXAMPLE.FromString(record)
    assert set(message.features.feature) == set(features)
    for name, (kind, values) in features.items():
        feature = message.features.feature[name]
        assert feature.WhichOneof("kind") == {"bytes": "bytes_list", "float": "float_list", "int": "int64_list"}[kind]
        assert list(getattr(feature, feature.WhichOneof("kind")).value) == values
