"""idl/adapters/node on real Node.js servers."""

import itertools
import os
from pathlib import Path

import pytest
import wire
from adapter_checks import (LIMITS, SERVERS, AdapterContract, BehindTheDaemon,
                            MultiplexedContract, batch_of, is_error, started)
from wire import STRING

COMMAND = ["node", str(SERVERS / "node" / "server.js")]
FORMS = list(itertools.product(("binary", "compact"), ("framed", "buffered")))


@pytest.fixture(scope="module", autouse=True)
def what_was_installed():
    for name, file in (("NODE_PATH", "thrift/package.json"), ("GEN_NODE", "Directory.js")):
        path = Path(os.environ.get(name, "/nonexistent")) / file
        assert path.is_file(), f"{name}/{file} is missing; `./run test` makes it"


class TestSideBySide(AdapterContract):
    fail_type = None  # the library names no type for what a handler passes to its callback
    side_by_side = True

    @pytest.fixture(scope="class", params=FORMS, ids="-".join)
    def server(self, request):
        return started(request, COMMAND, *request.param, *LIMITS)

    @pytest.mark.parametrize("kept", [0.4, 0.9])
    def test_a_batch_that_ends_before_its_frame(self, talk, kept):
        """Node's servers take it for one of which more is to come; in a frame, nothing does."""
        whole = talk.encode(batch_of(*map(talk.echo, "abcdefgh")))
        cut = whole[:int(len(whole) * kept)]
        if talk.server.transport == "framed":
            talk.raw.send(wire.frame(cut))
            assert is_error(talk.receive(), wire.PROTOCOL_ERROR, b"executeBatch", 9)
            assert talk.ask("echo", (1, STRING, b"on")) == b"on"
        else:
            talk.raw.send(cut)
            assert talk.raw.nothing_comes(0.05)
            talk.raw.send(whole[len(cut):])
            assert talk.receive().seqid == 9

    def test_behind_a_batch_of_nonsense(self, talk):
        """In a frame the batch's end is known; elsewhere nothing may be read behind it."""
        whole = talk.encode(batch_of())
        binary = talk.server.protocol == "binary"
        size = whole.index(b"executeBatch") + len(b"executeBatch") + binary * len(b"\0\0\0\x09")
        nonsense = whole[:size] + (b"\xbe\0\1" if binary else b"\xbe") + talk.echo("never")
        talk.raw.send(wire.frame(nonsense) if talk.server.transport == "framed" else nonsense)
        assert is_error(talk.receive(), wire.PROTOCOL_ERROR, b"executeBatch", 9)
        if talk.server.transport == "framed":
            assert talk.ask("echo", (1, STRING, b"on")) == b"on"
        else:
            assert talk.raw.until_closed() == b""


class TestBehindTheDaemon(BehindTheDaemon):
    @pytest.fixture(scope="class", params=FORMS, ids="-".join)
    def server(self, request):
        return started(request, COMMAND, *request.param)


class TestMultiplexed(MultiplexedContract):
    @pytest.fixture(scope="class", params=FORMS, ids="-".join)
    def server(self, request):
        return started(request, COMMAND, *request.param, "--multiplexed")
