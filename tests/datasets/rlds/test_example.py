"""tf.train.Example: what a serialiser writes is read, what none writes is an error that says where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from qsft_datasets.rlds.example import parse_example
from qsft_datasets.rlds.wire import packed_varints, read_varint
from vlm_qsft.errors import DatasetError

from .handmade import slow_example, slow_field, slow_varint


def example_class() -> Any:
    """tf.train.Example by the protobuf package, from its published definition."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="made", syntax="proto3")
    kinds = {"BytesList": 12, "FloatList": 2, "Int64List": 3}
    for name, kind in kinds.items():
        message = file.message_type.add(name=name)
        message.field.add(name="value", number=1, type=kind, label=3)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(kinds, start=1):
        field = feature.field.add(name=name[:-4].lower() + "_list", number=number, type=11, label=1)
        field.type_name, field.oneof_index = f".made.{name}", 0
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=9, label=1)
    entry.field.add(name="value", number=2, type=11, label=1).type_name = ".made.Feature"
    features.field.add(name="feature", number=1, type=11, label=3).type_name = ".made.Features.FeatureEntry"
    example = file.message_type.add(name="Example")
    example.field.add(name="features", number=1, type=11, label=1).type_name = ".made.Features"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("made.Example"))


EXAMPLE = example_class()
INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 300)
LISTS = st.one_of(
    st.tuples(st.just("bytes"), st.lists(st.binary(max_size=9), max_size=5)),
    st.tuples(st.just("float"), st.lists(st.floats(width=32, allow_nan=False), max_size=5)),
    st.tuples(st.just("int"), st.lists(INTEGERS, max_size=9)),
)


@given(st.dictionaries(st.text(max_size=6), LISTS, max_size=4), st.booleans())
def test_parsing_returns_what_the_protobuf_package_and_the_slow_encoder_wrote(features, packed) -> None:
    message = EXAMPLE()
    for name, (kind, values) in features.items():
        getattr(message.features.feature[name], {"int": "int64_list"}.get(kind, f"{kind}_list")).value.extend(values)
        getattr(message.features.feature[name], {"int": "int64_list"}.get(kind, f"{kind}_list")).SetInParent()
    for record in (message.SerializeToString(), slow_example(features, packed=packed)):
        parsed = parse_example(record)
        assert parsed.keys() == features.keys()
        for name, (kind, values) in features.items():
            found = parsed[name]
            if kind == "bytes":
                assert found == values
            else:
                assert isinstance(found, np.ndarray)
                assert found.dtype == {"float": np.float32, "int": np.int64}[kind]
                assert found.tolist() == values


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_packed_varints_equal_varints_read_one_by_one(numbers) -> None:
    content = b"".join(slow_varint(number) for number in numbers)
    position, slow = 0, []
    while position < len(content):
        number, position = read_varint(content, position, len(content))
        slow.append(number)
    assert slow == numbers
    assert packed_varints(content, 0, len(content)).view(np.uint64).tolist() == numbers


def list_of(number: int, content: bytes) -> bytes:
    return slow_field(1, slow_field(1, slow_field(1, b"a") + slow_field(2, slow_field(number, content))))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"\x80", "truncated"),
        (b"\x80" * 10 + b"\x01", "more than 10 bytes"),
        (b"\xff" * 9 + b"\x7f", "more than 64 bits"),
        (b"\x0a\x05ab", "claims 5 bytes, 2 are left"),
        (b"\x0b", "wire type 3"),
        (b"\x0f", "wire type 7"),
        (b"\x00\x00", "field number 0"),
        (b"\x08\x01", "Example.features has wire type 0"),
        (slow_field(1, b"\x08\x01"), "Features.feature has wire type 0"),
        (slow_field(1, slow_field(1, slow_field(1, b"\xff"))), "no UTF-8"),
        (slow_field(1, slow_field(1, slow_field(1, b"a") + b"\x10\x01")), "feature 'a' has wire type 0"),
        (list_of(2, slow_field(1, b"abc")), "feature 'a': byte .* 3 bytes are no whole number of float32"),
        (list_of(2, b"\x08\x01"), "feature 'a': an entry of a list of floats has wire type 0"),
        (list_of(3, slow_field(1, b"\x01\x80")), "feature 'a': .* the last varint of a list is truncated"),
        (list_of(3, slow_field(1, b"\xff" * 9 + b"\x02")), "feature 'a': .* more than 64 bits"),
        (list_of(3, slow_field(1, b"\xff" * 10 + b"\x01")), "feature 'a': .* more than 64 bits"),
        (list_of(1, b"\x08\x01"), "feature 'a': an entry of a list of bytes has wire type 0"),
        (list_of(3, b"\x08\x01" + slow_field(1, b"\x01")), "packed and not packed"),
    ],
)
def test_what_no_serialiser_writes_is_refused(record: bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        parse_example(record)


def test_a_feature_that_stands_twice_is_refused() -> None:
    entry = slow_field(1, slow_field(1, b"a") + slow_field(2, slow_field(3, b"")))
    with pytest.raises(DatasetError, match="feature 'a' stands in the record twice"):
        parse_example(slow_field(1, entry + entry))


def test_a_feature_with_two_lists_is_refused() -> None:
    with pytest.raises(DatasetError, match="holds 2 lists"):
        parse_example(slow_field(1, slow_field(1, slow_field(2, slow_field(1, b"") + slow_field(3, b"")))))


def test_unknown_fields_are_passed_over_as_the_format_says() -> None:
    unknown = slow_field(15, b"later") + b"\x79" + bytes(8) + b"\x7d" + bytes(4) + b"\x78\x05"
    assert parse_example(unknown + slow_example({"a": ("int", [1])}) + unknown)["a"].tolist() == [1]  # type: ignore[union-attr]


def test_a_feature_without_a_list_is_an_empty_one() -> None:
    assert parse_example(slow_field(1, slow_field(1, slow_field(1, b"a") + slow_field(2, b"")))) == {"a": []}
