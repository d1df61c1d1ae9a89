"""Thrift messages built and read byte by byte, without a Thrift library.

What the tests send to the daemon, and what they check its answers with, must not come from the code
that is being tested nor from a library that might hide a mistake. A struct is a list of fields
(id, type, value); strings are bytes; a list or set is (element type, [values]); a map is
(key type, value type, [(key, value)]).
"""

import struct
from dataclasses import dataclass, field

CALL, REPLY, EXCEPTION, ONEWAY = 1, 2, 3, 4

STOP, BOOL, BYTE, DOUBLE, I16, I32, I64 = 0, 2, 3, 4, 6, 8, 10
STRING, STRUCT, MAP, SET, LIST = 11, 12, 13, 14, 15

# TApplicationException's types.
UNKNOWN_METHOD, INVALID_MESSAGE_TYPE, INTERNAL_ERROR, PROTOCOL_ERROR = 1, 2, 6, 7

BINARY, OLD, COMPACT = "binary", "old", "compact"  # old: binary without version ("non-strict")
FRAMED, BUFFERED = "framed", "buffered"


@dataclass
class Message:
    name: bytes
    type: int
    seqid: int
    body: list = field(default_factory=list)

    def value(self, field_id):
        return next(value for number, _, value in self.body if number == field_id)

    def error(self):
        """(type, text) of a TApplicationException."""
        assert self.type == EXCEPTION, f"no exception: {self}"
        fields = {number: value for number, _, value in self.body}
        return fields[2], fields.get(1, b"").decode()


class Incomplete(Exception):
    """The bytes end before the message does."""


# --- binary -------------------------------------------------------------------------------------

_FIXED = {BYTE: ">b", DOUBLE: ">d", I16: ">h", I32: ">i", I64: ">q"}


def _binary_value(kind, value):
    if kind == BOOL:
        return bytes([1 if value else 0])
    if kind in _FIXED:
        return struct.pack(_FIXED[kind], value)
    if kind == STRING:
        return struct.pack(">i", len(value)) + value
    if kind == STRUCT:
        return b"".join(struct.pack(">bh", field_kind, number) + _binary_value(field_kind, item)
                        for number, field_kind, item in value) + b"\0"
    if kind in (LIST, SET):
        element, items = value
        return struct.pack(">bi", element, len(items)) + b"".join(
            _binary_value(element, item) for item in items)
    key_kind, value_kind, pairs = value
    return struct.pack(">bbi", key_kind, value_kind, len(pairs)) + b"".join(
        _binary_value(key_kind, key) + _binary_value(value_kind, item) for key, item in pairs)


def _binary_header(message):
    return (struct.pack(">Ii", 0x80010000 | message.type, len(message.name)) + message.name
            + struct.pack(">i", message.seqid))


def _old_header(message):
    return (struct.pack(">i", len(message.name)) + message.name
            + struct.pack(">bi", message.type, message.seqid))


class _Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        if len(self.data) - self.at < count:
            raise Incomplete
        self.at += count
        return self.data[self.at - count:self.at]

    def unpack(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))


class _BinaryReader(_Reader):
    strict = True

    def header(self):
        first = self.unpack(">I")[0]
        assert first >> 16 == 0x8001, f"no strict binary header: {self.data[:16]!r}"
        name = self.take(self.unpack(">i")[0])
        return Message(name, first & 0xff, self.unpack(">i")[0])

    def value(self, kind):
        if kind == BOOL:
            return self.take(1) != b"\0"
        if kind in _FIXED:
            return self.unpack(_FIXED[kind])[0]
        if kind == STRING:
            return self.take(self.unpack(">i")[0])
        if kind == STRUCT:
            return self.fields()
        if kind in (LIST, SET):
            element, count = self.unpack(">bi")
            return element, [self.value(element) for _ in range(count)]
        assert kind == MAP, f"no such type: {kind}"
        key_kind, value_kind, count = self.unpack(">bbi")
        return key_kind, value_kind, [(self.value(key_kind), self.value(value_kind))
                                      for _ in range(count)]

    def fields(self):
        fields = []
        while (kind := self.take(1)[0]) != STOP:
            number = self.unpack(">h")[0]
            fields.append((number, kind, self.value(kind)))
        return fields


class _OldReader(_BinaryReader):
    def header(self):
        name = self.take(self.unpack(">i")[0])
        kind, seqid = self.unpack(">bi")
        return Message(name, kind, seqid)


# --- compact ------------------------------------------------------------------------------------

_COMPACT = {BOOL: 1, BYTE: 3, I16: 4, I32: 5, I64: 6, DOUBLE: 7, STRING: 8, LIST: 9, SET: 10,
            MAP: 11, STRUCT: 12}
_FROM_COMPACT = {number: kind for kind, number in _COMPACT.items()} | {2: BOOL}


def varint(number):
    out = bytearray()
    while number > 0x7f:
        out.append(number & 0x7f | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def zigzag(number):
    return varint(number << 1 if number >= 0 else (-number << 1) - 1)


def _compact_fields(fields):
    out, last = b"", 0
    for number, kind, value in fields:
        code = _COMPACT[kind]
        if kind == BOOL:
            code = 1 if value else 2
        delta = number - last
        out += bytes([delta << 4 | code]) if 0 < delta <= 15 else bytes([code]) + zigzag(number)
        if kind != BOOL:
            out += _compact_value(kind, value)
        last = number
    return out + b"\0"


def _compact_value(kind, value):
    if kind == BOOL:
        return b"\x01" if value else b"\x02"
    if kind == BYTE:
        return struct.pack(">b", value)
    if kind in (I16, I32, I64):
        return zigzag(value)
    if kind == DOUBLE:
        return struct.pack("<d", value)
    if kind == STRING:
        return varint(len(value)) + value
    if kind == STRUCT:
        return _compact_fields(value)
    if kind in (LIST, SET):
        element, items = value
        count = len(items)
        head = (bytes([count << 4 | _COMPACT[element]]) if count < 15
                else bytes([0xf0 | _COMPACT[element]]) + varint(count))
        return head + b"".join(_compact_value(element, item) for item in items)
    key_kind, value_kind, pairs = value
    if not pairs:
        return b"\0"
    return (varint(len(pairs)) + bytes([_COMPACT[key_kind] << 4 | _COMPACT[value_kind]])
            + b"".join(_compact_value(key_kind, key) + _compact_value(value_kind, item)
                       for key, item in pairs))


def _compact_header(message):
    return (bytes([0x82, message.type << 5 | 1]) + varint(message.seqid & 0xffffffff)
            + varint(len(message.name)) + message.name)


class _CompactReader(_Reader):
    def varint(self):
        number, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 0x7f) << shift
            if byte < 0x80:
                return number
            shift += 7

    def zigzag(self):
        number = self.varint()
        return number >> 1 if number & 1 == 0 else -(number >> 1) - 1

    def header(self):
        first, second = self.take(2)
        assert first == 0x82 and second & 0x1f == 1, f"no compact header: {self.data[:16]!r}"
        seqid = struct.unpack(">i", struct.pack(">I", self.varint()))[0]
        return Message(self.take(self.varint()), second >> 5, seqid)

    def value(self, kind):
        if kind == BOOL:
            return self.take(1) == b"\x01"
        if kind == BYTE:
            return self.unpack(">b")[0]
        if kind in (I16, I32, I64):
            return self.zigzag()
        if kind == DOUBLE:
            return self.unpack("<d")[0]
        if kind == STRING:
            return self.take(self.varint())
        if kind == STRUCT:
            return self.fields()
        if kind in (LIST, SET):
            head = self.take(1)[0]
            count = head >> 4
            if count == 15:
                count = self.varint()
            element = _FROM_COMPACT[head & 15]
            return element, [self.value(element) for _ in range(count)]
        assert kind == MAP, f"no such type: {kind}"
        count = self.varint()
        if count == 0:
            return STOP, STOP, []
        kinds = self.take(1)[0]
        key_kind, value_kind = _FROM_COMPACT[kinds >> 4], _FROM_COMPACT[kinds & 15]
        return key_kind, value_kind, [(self.value(key_kind), self.value(value_kind))
                                      for _ in range(count)]

    def fields(self):
        fields, last = [], 0
        while (head := self.take(1)[0]) != STOP:
            number = last + (head >> 4) if head >> 4 else self.zigzag()
            kind = _FROM_COMPACT[head & 15]
            value = head & 15 == 1 if kind == BOOL else self.value(kind)
            fields.append((number, kind, value))
            last = number
        return fields


# --- messages -----------------------------------------------------------------------------------

_READERS = {BINARY: _BinaryReader, OLD: _OldReader, COMPACT: _CompactReader}


def frame(data):
    return struct.pack(">I", len(data)) + data


def encode(message, protocol=BINARY, transport=None):
    if protocol == COMPACT:
        data = _compact_header(message) + _compact_fields(message.body)
    else:
        header = _binary_header if protocol == BINARY else _old_header
        data = header(message) + _binary_value(STRUCT, message.body)
    return frame(data) if transport == FRAMED else data


def decode(data, protocol=BINARY):
    """One message from the beginning of `data` and the number of bytes it took; or Incomplete."""
    reader = _READERS[protocol](data)
    message = reader.header()
    message.body = reader.fields()
    return message, reader.at


def decode_whole(data, protocol=BINARY):
    message, size = decode(data, protocol)
    assert size == len(data), f"{len(data) - size} bytes behind the message"
    return message


def take(data, protocol, transport):
    """Like decode(), from a stream of that transport."""
    if transport != FRAMED:
        return decode(bytes(data), protocol)
    if len(data) < 4:
        raise Incomplete
    size = struct.unpack(">I", data[:4])[0]
    if len(data) < 4 + size:
        raise Incomplete
    return decode_whole(bytes(data[4:4 + size]), protocol), 4 + size


# --- the demo's calls, and batches --------------------------------------------------------------

def call(method, seqid, *fields, kind=CALL):
    return Message(method.encode(), kind, seqid, list(fields))


def echo(token, seqid=0):
    return call("echo", seqid, (1, STRING, token))


def wait(token, milliseconds, seqid=0):
    return call("wait", seqid, (1, STRING, token), (2, I32, milliseconds))


def reply(message, *fields):
    return Message(message.name, REPLY, message.seqid, list(fields))


def exception(message, kind, text):
    return Message(message.name, EXCEPTION, message.seqid,
                   [(1, STRING, text.encode()), (2, I32, kind)])


def requests_of(batch, protocol=BINARY):
    """The messages inside an executeBatch call, decoded."""
    fields = batch.value(1)
    _, requests = next(value for number, _, value in fields if number == 1)
    return [decode_whole(dict((number, value) for number, _, value in request)[1], protocol)
            for request in requests]


def batch_reply(batch, answers, protocol=BINARY):
    """executeBatch's reply: a Response for each of `answers`; None is one without a message."""
    responses = [[] if answer is None else
                 [(1, STRING, answer if isinstance(answer, bytes) else encode(answer, protocol))]
                 for answer in answers]
    return reply(batch, (0, STRUCT, [(1, LIST, (STRUCT, responses))]))
