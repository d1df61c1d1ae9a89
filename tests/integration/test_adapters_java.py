"""The adapter for Java (idl/adapters/java), by a real server in Java."""

import pytest
import wire
from compiled_adapters import Conversation, ParallelAdapterContract, batch_call, error_of
from harness import crowd


class TestJava(ParallelAdapterContract):
    language = "java"
    parallel = ("--parallel", "8")

    def test_a_handler_whose_own_connection_broke(self, conversation):
        """Generated processors let this exception through; it does not mean our connection."""
        got = conversation.execute(
            wire.echo(b"a", 0), wire.call("fail", 1, (1, wire.STRING, b"transport")))
        assert error_of(got[1], b"fail", 1)[0] == wire.INTERNAL_ERROR

    @pytest.mark.parametrize("protocol", [wire.BINARY, wire.COMPACT])
    def test_nonblocking_server(self, bench, start, protocol):
        server = start(protocol, wire.FRAMED, "--server", "nonblocking", *self.parallel)
        conversation = Conversation(bench, server)
        for _ in range(2):  # the connection goes on
            conversation.refused(wire.call("executeBatch", 99, (1, wire.STRUCT, [
                (1, wire.LIST, (wire.STRING, [b"x"]))])), wire.PROTOCOL_ERROR)
            conversation.echo()
            conversation.ask(batch_call([]))
        daemon = bench.daemon(server, upstream={"protocol": protocol, "connections": 1})
        assert crowd(daemon, 20, 4000)["right"] == 4000
