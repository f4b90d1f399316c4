"""The wire format: what is packed is unpacked, and everything else is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from vlm_qsft.errors import MessageError, NotFinite, PolicyServerError, ShapeMismatch, UnknownName
from vlm_qsft.remote.error_message import pack_error, pack_refusal, read_error, read_refusal
from vlm_qsft.remote.message import MAX_ARRAYS, MAX_HEADER_BYTES, Message, pack, unpack

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ARRAYS = st.sampled_from([np.uint8, np.int64, np.float32, np.float64]).flatmap(
    lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))
)


def document(header: object, numbers: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + numbers


def array(shape: Sequence[float], *, dtype: str = "U8", end: int = 0) -> dict:
    return {"__metadata__": {"kind": "act"}, "a": {"dtype": dtype, "shape": list(shape), "data_offsets": [0, end]}}


@given(kind=TEXTS, fields=st.dictionaries(TEXTS, TEXTS, max_size=5), arrays=st.dictionaries(TEXTS, ARRAYS, max_size=3))
def test_every_message_comes_out_as_it_went_in(kind, fields, arrays):
    fields.pop("kind", None)
    arrays.pop("__metadata__", None)
    came = unpack(pack(Message(kind, fields, arrays)))
    assert (came.kind, came.fields, came.arrays.keys()) == (kind, fields, arrays.keys())
    for name, sent in arrays.items():
        assert came.arrays[name].dtype == sent.dtype
        assert came.arrays[name].shape == sent.shape
        assert came.arrays[name].tobytes() == sent.tobytes()


@pytest.mark.parametrize(
    "bytes_",
    [
        b"",
        b"\x00" * 7,
        b"\x00" * 8,
        b"\xff" * 8,
        b"\xff" * 64,
        (10**6).to_bytes(8, "little") + b"{}",
        document(b"[" * 60_000),
        document(b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
        document(b"\xff\xfe\xfd"),
        document(b" " * (MAX_HEADER_BYTES + 1)),
        document({}),
        document({"__metadata__": None}),
        document({"__metadata__": {"kind": 3}}),
        document({"__metadata__": {"kind": {"a": "b"}}}),
        document({"__metadata__": {"knid": "act"}}),
        document(b'{"__metadata__":{"kind":"\\ud800"}}'),
        document(b'{"__metadata__":{"kind":"act"},"__metadata__":{"kind":"act"}}'),
        document(array([-1])),
        document(array([2**63, 2])),
        document(array([2**64])),
        document(array([0, 2**62])),
        document(array([0] * 100)),
        document(array([4], end=4), b"123"),
        document(array([4], end=4), b"12345"),
        document(array([3], end=4), b"1234"),
        document(array([1.5], end=1), b"1"),
        document(array([0], dtype="F4")),
        document(array([1], dtype="C64", end=8), b"12345678"),
        document(array([1], dtype="BOOL", end=1), b"\x01"),
        document(array([1], dtype="object", end=8), b"12345678"),
        document({"__metadata__": {"kind": "a"}} | {str(n): array([0])["a"] for n in range(MAX_ARRAYS + 1)}),
        b"\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94.",
    ],
    ids=lambda bytes_: bytes_[:24].hex() + f"-{len(bytes_)}",
)
def test_what_is_no_message_is_refused(bytes_):
    with pytest.raises(MessageError):
        unpack(bytes_)


@pytest.mark.parametrize("word", ["-1", "1.0", "", " 1", "1_000", "٣", "0x10", str(2**64), "9" * 5000, "nan"])
def test_a_number_is_written_in_one_way_only(word):
    with pytest.raises(MessageError):
        Message("act", {"sequence": word}).integer("sequence")


def test_the_largest_seed_is_a_number():
    assert Message("reset", {"seed": str(2**64 - 1)}).integer("seed") == 2**64 - 1


@pytest.mark.parametrize("text", ["", "3", '{"a": 1}', "[1]", '["a", null]', "[" * 19_000, '["a"'])
def test_a_list_of_names_is_that_and_nothing_else(text):
    with pytest.raises(MessageError):
        Message("act", {"cameras": text}).names("cameras", longest=20_000)


def test_an_array_has_the_asked_type_and_shape():
    message = Message("act", {}, {"state": np.zeros(3, np.float32)})
    assert message.array("state", np.float32, (None,)).shape == (3,)
    for dtype, shape in ((np.float64, (3,)), (np.float32, (2,)), (np.float32, (3, 1)), (np.float32, ())):
        with pytest.raises(MessageError, match="expected"):
            message.array("state", dtype, shape)
    with pytest.raises(MessageError, match="lacks the array 'action'"):
        message.array("action", np.float32, (3,))


def test_errors_of_the_policy_arrive_as_they_were_raised():
    unknown = UnknownName("camera", "wirst", ["wrist", "front"], where="this observation")
    came = read_error(unpack(pack(pack_error(unknown, sequence=3))))
    assert isinstance(came, UnknownName)
    assert (str(came), came.name, came.valid) == (str(unknown), "wirst", ["front", "wrist"])
    for error in (NotFinite("The state holds NaN."), ShapeMismatch("Three numbers, not two.")):
        came = read_error(unpack(pack(pack_error(error, sequence=1))))
        assert (type(came), str(came)) == (type(error), str(error))


def test_an_error_that_no_local_policy_raises_is_one_of_the_server():
    message = Message("error", {"error": "SystemExit", "text": "bye", "sequence": "1"})
    assert type(read_error(message)) is PolicyServerError


def test_texts_of_the_other_side_cannot_write_into_a_log():
    assert read_refusal(pack_refusal("one\nERROR two\x1b[2J")) == "one ERROR two [2J"
