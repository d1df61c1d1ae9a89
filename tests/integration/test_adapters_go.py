"""The adapter for Go (idl/adapters/go), by a real server in Go."""

import wire
from compiled_adapters import ParallelAdapterContract, error_of, is_echo
from wire import DOUBLE, SET, STRING, STRUCT


class TestGo(ParallelAdapterContract):
    language = "go"
    parallel = ("--parallel", "8")

    def test_a_reply_that_cannot_be_written(self, conversation):
        """Go reads a set with an element twice, and finds out in the middle of writing it."""
        point = (13, STRUCT, [(1, DOUBLE, 0.5), (2, DOUBLE, 0.5)])
        got = conversation.execute(
            wire.echo(b"a", 0),
            wire.call("everything", 1, (11, SET, (STRING, [b"a", b"b"])), point),
            wire.call("everything", 2, (11, SET, (STRING, [b"a", b"a"])), point),
            wire.echo(b"z", 3))
        assert is_echo(got[0], 0, b"a") and is_echo(got[3], 3, b"z")
        assert got[1].type == wire.REPLY
        assert error_of(got[2], b"everything", 2)[0] == wire.INTERNAL_ERROR
