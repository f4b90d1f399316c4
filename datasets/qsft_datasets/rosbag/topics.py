"""What a topic offers as features, judged by its type and its first messages."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

from rosbags.typesys.store import Typestore

from qsft_datasets.rosbag.bag import Bag, Topic, our_errors
from qsft_datasets.rosbag.definitions import NoDefinition, usable_typestore
from qsft_datasets.rosbag.fields import Field, fields_of, has_header, names_of
from qsft_datasets.rosbag.pictures import COMPRESSED, IMAGE, picture_shape, why_left_out
from qsft_datasets.source import SourceFeature
from vlm_qsft.errors import DatasetError

SAMPLED = 200
"""Messages by which lengths and joint names are judged: several nodes may take turns on one topic."""
INFRASTRUCTURE = ("rcl_interfaces/", "rosgraph_msgs/", "diagnostic_msgs/", "rosbag2_interfaces/", "lifecycle_msgs/")
PICTURE_FIELD = "data"


@dataclass(frozen=True)
class Decoder:
    """How the messages of one topic are read.

    Attributes:
        topic: its name.
        msgtype: its type.
        store: that reads it.
        header: name of the header field; None where the type has none.
        place: for errors: bag and topic.
    """

    topic: str
    msgtype: str
    store: Typestore
    header: str | None
    place: str

    @property
    def is_picture(self) -> bool:
        """Whether the topic holds pictures."""
        return self.msgtype in (IMAGE, COMPRESSED)

    def message(self, content: bytes) -> Any:
        """Return a message.

        Raises:
            DatasetError: damaged.
        """
        with our_errors(self.place):
            return self.store.deserialize_cdr(content, self.msgtype)

    def fields(self) -> list[Field]:
        """Return the fields of its type."""
        return fields_of(self.store, self.msgtype)[0]


def decoder_of(bag: Bag, topic: Topic) -> Decoder:
    """Return how to read a topic.

    Raises:
        NoDefinition: its type is not defined, or it is not serialised as CDR.
    """
    place = f"{topic.name} of {bag.path}"
    if topic.serialization != "cdr":
        raise NoDefinition(f"{topic.name} is serialised as '{topic.serialization}'; expected CDR.")
    store = usable_typestore(topic, bag.ros_distro)
    return Decoder(topic.name, topic.msgtype, store, has_header(store, topic.msgtype), place)


def features_of(bag: Bag, topic: Topic) -> list[SourceFeature]:
    """Return the features of a topic; what becomes none is listed with the kind "bytes" and the reason as its note.

    Raises:
        DatasetError: a message is damaged; names bag and topic.
    """
    about = f"{topic.msgtype}, {topic.n_messages} messages"
    if bag.duration_s > 0:
        about += f", {topic.n_messages / bag.duration_s:.3g}/s"
    if topic.msgtype.startswith(INFRASTRUCTURE) or "/srv/" in topic.msgtype:
        return [left_out(topic.name, about, "of the middleware")]
    if topic.n_messages == 0:
        return [left_out(topic.name, about, "no message")]
    try:
        decoder = decoder_of(bag, topic)
    except NoDefinition as error:
        return [left_out(topic.name, about, str(error).rstrip("."))]
    n_sampled = 1 if decoder.is_picture else SAMPLED
    messages = [decoder.message(content) for _, _, content in islice(bag.messages([topic.name]), n_sampled)]
    if not messages:
        raise DatasetError(f"{bag.path} states {topic.n_messages} messages of {topic.name} and holds none.")
    if decoder.is_picture:
        return [_picture_feature(decoder, messages[0], about)]
    return _value_features(decoder, messages, about)


def left_out(path: str, about: str, reason: str) -> SourceFeature:
    """Return the entry of something that cannot become state, action or picture."""
    return SourceFeature(path, "bytes", "cdr", (), note=f"{about}: left out, {reason}")


def _picture_feature(decoder: Decoder, message: Any, about: str) -> SourceFeature:
    path = f"{decoder.topic}:{PICTURE_FIELD}"
    reason = why_left_out(message, decoder.msgtype)
    if reason is not None:
        return left_out(path, about, reason)
    stated = getattr(message, "encoding", None) or getattr(message, "format", "")
    shape = picture_shape(message, decoder.msgtype, decoder.place)
    return SourceFeature(path, "image", "uint8", shape, note=f"{about}, '{stated}'")


def _value_features(decoder: Decoder, messages: list[Any], about: str) -> list[SourceFeature]:
    fields, omitted = fields_of(decoder.store, decoder.msgtype)
    features = []
    for field in fields:
        path = f"{decoder.topic}:{field.path}"
        if field.kind == "text":
            features.append(SourceFeature(path, "text", "str", (), note=about))
        elif field.size != (None,):
            features.append(SourceFeature(path, "number", field.dtype, field.size, field.parts, about))
        else:
            features.append(_sequence_feature(field, path, messages, about))
    return features + [left_out(f"{decoder.topic}:{each.path}", about, each.reason) for each in omitted]


def _sequence_feature(field: Field, path: str, messages: list[Any], about: str) -> SourceFeature:
    """Return a sequence as a vector: by the joint names where its messages give as many, else by its one length."""
    found = [(values, names_of(message)) for message in messages if (values := field.of(message)) is not None]
    if not found:
        return left_out(path, about, "empty in the first messages")
    if all(len(values) == len(names) for values, names in found):
        names = tuple(dict.fromkeys(name for _, message_names in found for name in message_names))
        return SourceFeature(path, "number", field.dtype, (len(names),), names, about)
    lengths = {len(values) for values, _ in found}
    if len(lengths) > 1:
        return left_out(path, about, f"{min(lengths)} to {max(lengths)} numbers")
    return SourceFeature(path, "number", field.dtype, (lengths.pop(),), (), about)
