"""idl/adapters/python on real python3-thrift servers."""

import sys

import pytest
import wire
from adapter_checks import (LIMITS, SERVERS, AdapterContract, BehindTheDaemon,
                            MultiplexedContract, batch_of, is_error, started)

COMMAND = [sys.executable, str(SERVERS / "python" / "server.py")]
FORMS = [("binary", "framed"), ("binary-accelerated", "buffered"), ("compact", "buffered"),
         ("compact-accelerated", "framed")]


class TestInOrder(AdapterContract):
    @pytest.fixture(scope="class", params=FORMS, ids="-".join)
    def server(self, request):
        return started(request, COMMAND, *request.param, *LIMITS)

    def test_a_size_that_is_only_claimed(self, talk):
        """Is refused when it is claimed, not awaited."""
        whole = talk.encode(batch_of(b"?" * 2**21))
        part = whole[:whole.index(b"?")]
        if talk.server.transport == "framed":
            part = len(whole).to_bytes(4, "big") + part + b"?" * (len(whole) - len(part))
        talk.raw.send(part)
        assert is_error(talk.receive(), wire.INTERNAL_ERROR, b"executeBatch", 9)


class TestThreads(AdapterContract):
    side_by_side = True

    @pytest.fixture(scope="class", params=FORMS[1::2], ids="-".join)
    def server(self, request):
        return started(request, COMMAND, *request.param, *LIMITS, "--threads", "8")


class TestBehindTheDaemon(BehindTheDaemon):
    @pytest.fixture(scope="class", params=FORMS, ids="-".join)
    def server(self, request):
        threads = FORMS.index(request.param) // 2 * 16  # 0: in the connection's thread
        return started(request, COMMAND, *request.param, "--threads", str(threads))


class TestMultiplexed(MultiplexedContract):
    @pytest.fixture(scope="class", params=FORMS, ids="-".join)
    def server(self, request):
        return started(request, COMMAND, *request.param, "--multiplexed")
