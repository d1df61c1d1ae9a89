"""Batching by hand next to single calls through the daemon, to one and the same server."""

import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from clients import Thrift
from harness import PATIENCE, Process

HERE = Path(__file__).resolve().parent
COUNT = 60


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    directory = tmp_path_factory.mktemp("gen")
    subprocess.run(["thrift", "--gen", "py", "-out", directory, HERE / "idl" / "by-hand.thrift"],
                   check=True)
    sys.path.insert(0, str(directory))
    yield directory
    sys.path.remove(str(directory))


@pytest.mark.parametrize("protocol", ("binary", "compact"))
def test_both_side_by_side(bench, generated, protocol):
    from by_hand import Worker
    from by_hand.ttypes import BatchRequest, Request
    server = Process([sys.executable, HERE / "by_hand_server.py", generated, protocol])
    bench.on_end(server.kill)
    server.address = server.out.wait_for(r"listening on (\S+)")[0][1]
    daemon = bench.daemon(
        server, batch={"flush": "window", "window": "20ms"}, upstream={"protocol": protocol},
        method={"execute": {"batch": "native", "batch_method": "executeBatch", "batch_item": 1,
                            "batch_requests": 1.1, "batch_responses": 0.1},
                "executeBatch": {"batch": "off"}})
    requests = [Request(f"token-{number}", number) for number in range(COUNT)]
    single, barrier = {}, threading.Barrier(COUNT)

    def one(number):
        with Thrift(daemon, "compact" if number % 2 else "binary", service=Worker) as client:
            barrier.wait(PATIENCE)
            single[number] = client.execute(requests[number])

    threads = [threading.Thread(target=one, args=(number,)) for number in range(COUNT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for where in (server, daemon):
        with Thrift(where, protocol, service=Worker) as client:
            by_hand = client.executeBatch(BatchRequest(requests)).responses
        assert [single[number] for number in range(COUNT)] == by_hand
    server.signal(signal.SIGTERM)
    came = dict(re.findall(r"(\w+)=(\d+)", server.out.wait_for("came: .*")[0][0]))
    assert "execute" not in came or int(came["execute"]) <= 5
    assert int(came["executeBatch"]) - 2 <= COUNT / 4
