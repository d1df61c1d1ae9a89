#!/usr/bin/python3
"""Messages as Apache's Python library writes them: oracle.py FILE.

Each message stands three times in the file, in strict binary, non-strict binary and compact, and
each of them behind its length (four bytes, big-endian). The same file at every run.
"""

import random
import struct
import sys

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.Thrift import TType
from thrift.transport.TTransport import TMemoryBuffer

MESSAGES = 300
INTEGER_BITS = {TType.BYTE: 8, TType.I16: 16, TType.I32: 32, TType.I64: 64}
SIMPLE = [TType.BOOL, TType.DOUBLE, TType.STRING, *INTEGER_BITS]
NESTED = [TType.STRUCT, TType.LIST, TType.SET, TType.MAP]
NAMES = ["ping", "a", "Users:getUser", "ärger", "with space"]


def random_type(rng, levels):
    return rng.choice(SIMPLE + NESTED if levels > 0 else SIMPLE)


def random_value(rng, kind, levels):
    """A value that write() below understands."""
    if kind == TType.BOOL:
        return rng.random() < 0.5
    if kind == TType.DOUBLE:
        return rng.uniform(-1e9, 1e9)
    if kind == TType.STRING:
        return rng.randbytes(rng.choice([0, 1, 5, 20, 200]))
    if kind in INTEGER_BITS:
        bits = rng.randint(1, INTEGER_BITS[kind])
        return rng.randrange(-(1 << (bits - 1)), 1 << (bits - 1))
    if kind == TType.STRUCT:
        return random_struct(rng, levels - 1)
    count = rng.choice([0, 1, 2, 3, 14, 15, 16]) if levels == 1 else rng.randint(0, 3)
    # The types of an empty map get lost in compact; thrift-batchd puts strings in their place.
    empty_map = kind == TType.MAP and count == 0
    types = [TType.STRING if empty_map else random_type(rng, levels - 1) for _ in range(2)]
    entries = [[random_value(rng, t, levels - 1) for t in types] for _ in range(count)]
    return types, entries


def random_struct(rng, levels):
    fields = []
    field_id = 0
    for _ in range(rng.randint(0, 6)):
        field_id += rng.choice([1, 1, 1, 2, 15, 16, 100])
        kind = random_type(rng, levels)
        fields.append((field_id, kind, random_value(rng, kind, levels)))
    return fields


def write_struct(to, fields):
    to.writeStructBegin("")
    for field_id, kind, value in fields:
        to.writeFieldBegin("", kind, field_id)
        write(to, kind, value)
        to.writeFieldEnd()
    to.writeFieldStop()
    to.writeStructEnd()


def write_map(to, types, entries):
    to.writeMapBegin(*types, len(entries))
    for entry in entries:
        for kind, value in zip(types, entry):
            write(to, kind, value)
    to.writeMapEnd()


def write_elements(to, kind, types, entries):
    begin, end = {
        TType.LIST: (to.writeListBegin, to.writeListEnd),
        TType.SET: (to.writeSetBegin, to.writeSetEnd),
    }[kind]
    begin(types[0], len(entries))
    for entry in entries:
        write(to, types[0], entry[0])
    end()


def write(to, kind, value):
    if kind == TType.STRUCT:
        write_struct(to, value)
    elif kind == TType.MAP:
        write_map(to, *value)
    elif kind in (TType.LIST, TType.SET):
        write_elements(to, kind, *value)
    else:
        {
            TType.BOOL: to.writeBool,
            TType.BYTE: to.writeByte,
            TType.I16: to.writeI16,
            TType.I32: to.writeI32,
            TType.I64: to.writeI64,
            TType.DOUBLE: to.writeDouble,
            TType.STRING: to.writeBinary,
        }[kind](value)


def message(protocol, header, fields):
    memory = TMemoryBuffer()
    to = protocol(memory)
    to.writeMessageBegin(*header)
    write_struct(to, fields)
    to.writeMessageEnd()
    return memory.getvalue()


def main():
    rng = random.Random(1)
    with open(sys.argv[1], "wb") as out:
        for _ in range(MESSAGES):
            header = (rng.choice(NAMES), rng.randint(1, 4), rng.randrange(-(1 << 31), 1 << 31))
            fields = random_struct(rng, rng.randint(0, 4))
            for protocol in (
                lambda t: TBinaryProtocol(t, strictWrite=True),
                lambda t: TBinaryProtocol(t, strictWrite=False),
                TCompactProtocol,
            ):
                data = message(protocol, header, fields)
                out.write(struct.pack(">I", len(data)) + data)


main()
