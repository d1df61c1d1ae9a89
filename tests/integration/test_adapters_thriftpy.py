"""idl/adapters/thriftpy on real ThriftPy servers."""

import itertools
import sys

import pytest
from adapter_checks import (LIMITS, SERVERS, AdapterContract, BehindTheDaemon,
                            MultiplexedContract, started)

COMMAND = [sys.executable, str(SERVERS / "thriftpy" / "server.py")]
# Without compact: ThriftPy 0.3.9's does not run under the Python of Debian 12.
FORMS = list(itertools.product(("binary", "binary-cython"), ("framed", "buffered")))


class TestInOrder(AdapterContract):
    @pytest.fixture(scope="class", params=FORMS, ids="-".join)
    def server(self, request):
        return started(request, COMMAND, *request.param, *LIMITS)


class TestBehindTheDaemon(BehindTheDaemon):
    @pytest.fixture(scope="class", params=FORMS, ids="-".join)
    def server(self, request):
        return started(request, COMMAND, *request.param)


class TestMultiplexed(MultiplexedContract):
    @pytest.fixture(scope="class", params=FORMS, ids="-".join)
    def server(self, request):
        return started(request, COMMAND, *request.param, "--multiplexed")
