#!/usr/bin/python3
"""Writes the inputs that the corpora of the client fuzzer and the upstream fuzzer began with.

    seeds.py DIRECTORY          DIRECTORY/client/NAME, DIRECTORY/upstream/NAME

What an input's bytes mean stands at the head of each fuzzer. Merge them into a corpus with
libFuzzer's -merge=1.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

# pylint: disable=wrong-import-position
from wire import (BINARY, BOOL, BUFFERED, BYTE, CALL, COMPACT, DOUBLE, EXCEPTION, FRAMED, I16, I32,
                  I64, LIST, MAP, OLD, ONEWAY, REPLY, SET, STRING, STRUCT, Message, encode)

FORMS = [(transport, protocol) for transport in (FRAMED, BUFFERED)
         for protocol in (BINARY, OLD, COMPACT)]

EVERY_TYPE = [
    (1, BOOL, True), (2, BOOL, False), (3, BYTE, -1), (4, I16, -300), (5, I32, 1 << 30),
    (6, I64, -(1 << 60)), (7, DOUBLE, 2.5), (8, STRING, b"text \xc3\xa4"), (300, STRUCT, []),
    (-7, LIST, (I32, [0, -1, 1 << 20])), (20, SET, (STRING, [b"", b"x"])),
    (21, MAP, (STRING, I64, [(b"k", 1), (b"l", -2)])), (22, LIST, (BOOL, [True, False])),
    (23, MAP, (STRING, STRING, [])), (24, LIST, (STRUCT, [[], [(1, I32, 1)]] * 9)),
    (25, MAP, (BOOL, LIST, [(True, (BYTE, [1, 2]))])), (26, SET, (DOUBLE, [0.0, -1.5])),
]


def nested(levels):
    """A struct of that many levels."""
    value = []
    for _ in range(levels - 1):
        value = [(1, STRUCT, value)]
    return value


def client_streams():
    """(name, stream) of what one client sends."""
    for transport, protocol in FORMS:
        form = f"{transport}-{protocol}"

        def message(name, kind, seqid, body, form=(transport, protocol)):
            return encode(Message(name, kind, seqid, body), form[1], form[0])

        yield f"{form}-every-type", message(b"everyType", CALL, 7, EVERY_TYPE)
        yield f"{form}-several", (
            message(b"Users:getUser", CALL, -1, [(1, I64, 7)]) + message(b"log", ONEWAY, 2, [])
            + message(b"", CALL, 1 << 30, []) + message(b"echo", CALL, 3, [(1, STRING, b"x" * 99)]))
        yield f"{form}-replies", (message(b"a", REPLY, 1, [(0, I32, 1)])
                                  + message(b"b", EXCEPTION, 2, [(1, STRING, b"no")]))
        yield f"{form}-too-large", (message(b"small", CALL, 1, [])
                                    + message(b"large", CALL, 2, [(1, STRING, b"x" * 60)]))
        yield f"{form}-deepest", message(b"deep", CALL, 1, nested(64))
        yield f"{form}-too-deep", message(b"deep", CALL, 1, nested(65))
        yield f"{form}-cut-short", message(b"everyType", CALL, 7, EVERY_TYPE)[:-9]
        yield f"{form}-broken", message(b"a", CALL, 1, [(1, I32, 5)])[:-6] + b"\x7f\x7f\x7f"


# What fuzz-upstream.c calls Shape, Operation, methods and PeerTwist.
COMPACT_UPSTREAM, BUFFERED_UPSTREAM, RELAXED, ALWAYS_BATCH, ONE_FAILURE, NOT_ASKED, SMALL = (
    1 << bit for bit in range(7))
SUBMIT, ANSWER, ANSWER_SECOND, SEND, RAW, FLIP, CLOSE, DEPART, EXPIRE, ANSWER_ALL = range(10)
ECHO, GET, FIND, QUIET, SAME, ALONE = range(6)
ONEWAY_BIT = 0x80
TWISTS = ("right", "swap", "drop", "repeat", "overwrite", "unknown", "exception", "seqid")


def step(operation, number, *rest):
    return bytes([number << 4 | operation, *rest])


def calls(method, count=3):
    return b"".join(step(SUBMIT, caller, method) for caller in range(count))


def everywhere(operation, *rest):
    return b"".join(step(operation, connection, *rest) for connection in range(3))


def raw(connection, data):
    return step(RAW, connection, len(data)) + data + step(SEND, connection, 0)


def upstream_stories():
    """(name, shape and steps): answers of every kind to batches of every kind, in every form."""
    send = everywhere(SEND, 0)
    for shape, form in ((0, "framed-binary"), (COMPACT_UPSTREAM, "framed-compact"),
                        (BUFFERED_UPSTREAM, "buffered-binary"),
                        (BUFFERED_UPSTREAM | COMPACT_UPSTREAM, "buffered-compact")):
        for method, kind in ((ECHO, "envelope"), (GET, "list"), (FIND, "map"), (SAME, "dedupe"),
                             (ALONE, "through")):
            for twist, word in enumerate(TWISTS):
                if shape and word != "swap":
                    continue  # the first form has them all
                yield f"{form}-{kind}-{word}", bytes([shape | ALWAYS_BATCH]) + (
                    calls(method) + send + everywhere(ANSWER, twist) + everywhere(SEND, 9) + send
                    + calls(method) + step(ANSWER_ALL, 0))
            yield f"{form}-{kind}-flip", bytes([shape | ALWAYS_BATCH]) + (
                calls(method) + send + everywhere(ANSWER, 0) + everywhere(FLIP, 30, 1) + send)
            if shape:
                continue
            yield f"{form}-{kind}-late", bytes([shape]) + (
                calls(method) + send + everywhere(ANSWER, 0) + step(EXPIRE, 0) + send + calls(method))
            yield f"{form}-{kind}-cut", bytes([shape | ONE_FAILURE]) + (
                calls(method) + send + everywhere(ANSWER, 0) + everywhere(SEND, 20)
                + everywhere(CLOSE) + calls(method) + step(ANSWER_ALL, 0))
            yield f"{form}-{kind}-second", bytes([shape | RELAXED]) + (
                calls(method, 6) * 2 + send + everywhere(ANSWER_SECOND, 0) * 2 + send)
        yield f"{form}-through-overtaken", bytes([shape]) + (
            calls(ALONE, 1) + step(ANSWER_ALL, 0) + calls(ALONE, 1) * 3 + send
            + everywhere(ANSWER_SECOND, 0) + send + everywhere(ANSWER, 0) + send)
        yield f"{form}-plain-dedupe", bytes([shape]) + (
            calls(SAME, 1) + step(ANSWER_ALL, 0) + calls(SAME, 3) + step(ANSWER_ALL, 0))
        yield f"{form}-oneway", bytes([shape]) + (
            calls(QUIET) + send + calls(ECHO) + calls(QUIET | ONEWAY_BIT) + calls(ALONE)
            + step(ANSWER_ALL, 0) + calls(QUIET) + step(ANSWER_ALL, 0))
        yield f"{form}-depart", bytes([shape | SMALL]) + (
            calls(ECHO, 6) + send + calls(GET, 6) + step(DEPART, 0) + step(DEPART, 4)
            + everywhere(ANSWER, 0) + send + step(ANSWER_ALL, 0))
        yield f"{form}-refuses", bytes([shape | NOT_ASKED]) + (
            calls(ECHO) + step(ANSWER, 0, TWISTS.index("unknown")) + step(SEND, 0, 0) + calls(QUIET)
            + calls(ECHO) + step(ANSWER_ALL, 0))
    yield "raw", bytes([ALWAYS_BATCH]) + calls(ECHO, 1) + step(SEND, 0, 0) + raw(0, encode(
        Message(b"executeBatch", REPLY, 1, [(0, STRUCT, [(1, LIST, (STRUCT, [
            [(1, STRING, encode(Message(b"echo", REPLY, 0, [(0, STRING, b"v")])))]]))])]),
        transport=FRAMED))


def write(directory, name, data):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(data)


def main():
    home = Path(sys.argv[1])
    for number, (name, stream) in enumerate(client_streams()):
        limit = 1 if name.endswith("too-large") else 0 if number % 4 else 1 + number // 4 % 3
        cuts = bytes([3, number + 1, 5, 1]) if number % 2 else b"\0"
        write(home / "client", name, bytes([limit]) + cuts + stream)
    for name, story in upstream_stories():
        write(home / "upstream", name, story)


if __name__ == "__main__":
    main()
