"""The demo server by itself, without a daemon: what the other tests rely on."""

import itertools
import signal
import socket
import struct
import threading

import clients
import harness
import pytest
from clients import Thrift, ThriftPy
from harness import PATIENCE
from thrift.protocol import TBinaryProtocol, TCompactProtocol
from thrift.Thrift import TApplicationException, TMessageType
from thrift.transport import TTransport
from thrift_batch import BatchService
from thrift_batch.ttypes import BatchRequest, Request
from thrift_batch_demo import Directory
from thrift_batch_demo.ttypes import NotFound, Point, UserRequest

WIRE = {"binary": TBinaryProtocol.TBinaryProtocol, "compact": TCompactProtocol.TCompactProtocol}
PROTOCOLS = ("binary", "binary-accelerated", "compact", "compact-accelerated")
FORMS = list(itertools.product(PROTOCOLS, ("framed", "buffered")))
SERVERS = list(itertools.product(WIRE, ("framed", "buffered")))


def family(protocol):
    return protocol.split("-", maxsplit=1)[0]


def serve(bench, protocol, transport, *options):
    return bench.upstream("--protocol", family(protocol), "--transport", transport, *options)


# --- single calls ---------------------------------------------------------------------------------

@pytest.mark.parametrize("protocol,transport", FORMS)
def test_every_method(bench, protocol, transport):
    with Thrift(serve(bench, protocol, transport), protocol, transport) as client:
        assert client.echo("hé") == "hé"
        user = client.getUser("t", 20)
        assert (user.id, user.name, user.active, user.token) == (20, "user-20", False, "t")
        with pytest.raises(NotFound) as missing:
            client.getUser("t", 0)
        assert missing.value.id == 0
        assert sorted(client.getUsers("t", [3, -3, 4])) == [3, 4]
        assert client.touch("t") is None
        client.log("line")
        assert client.logged() == 1
        everything(client)
        assert client.blob(b"abc", 7) == b"abcabca"
        assert client.blob(b"", 3) == bytes(3)
        with pytest.raises(TApplicationException) as failed:
            client.fail("why")
        assert failed.value.type == TApplicationException.INTERNAL_ERROR
        assert "why" in failed.value.message
        assert client.wait("t", 1) == "t"
        assert [client.append("j", line) for line in "abc"] == [0, 1, 2]
        assert client.lines("j") == ["a", "b", "c"]
        assert client.findUser(9).token == ""
        assert sorted(client.findUsers([1000000, 1000001])) == [1000000]
        first, second = client.getUserBatch([UserRequest("a", 1), UserRequest("b", -1)])
        assert first.user.token == "a" and first.missing is None
        assert second.user is None and second.missing.id == -1


def everything(client):
    arguments = ("t", True, -128, -32768, 2 ** 31 - 1, -2 ** 63, float("-inf"), "ü", bytes(range(256)),
                 [1, -1], {"a", ""}, {"k": 2 ** 40}, Point(0.5, -0.0), [Point(1.0, 2.0)] * 20)
    got = client.everything(*arguments)
    assert (got.token, got.aBool, got.aByte, got.anI16, got.anI32, got.anI64, got.aDouble,
            got.aString, got.aBinary, got.aList, got.aSet, got.aMap, got.aStruct,
            got.structs) == arguments


@pytest.mark.parametrize("protocol,transport", SERVERS)
def test_large_payloads(bench, protocol, transport):
    """64 MiB out and back, in linear time: accelerated clients, or Python takes it all."""
    with Thrift(serve(bench, protocol, transport), protocol + "-accelerated", transport) as client:
        blob = client.blob(b"0123456789", 64 << 20)
        assert len(blob) == 64 << 20
        assert client.blob(blob, 12) == b"012345678901"


@pytest.mark.parametrize("protocol,transport", SERVERS)
def test_unknown_methods(bench, protocol, transport):
    upstream = serve(bench, protocol, transport, "--no-batch")
    with Thrift(upstream, protocol, transport, BatchService) as client:
        for _ in range(2):  # the connection goes on
            with pytest.raises(TApplicationException) as unknown:
                client.executeBatch(BatchRequest([]))
            assert unknown.value.type == TApplicationException.UNKNOWN_METHOD
    assert clients.stats(upstream, protocol, transport).emptyBatches == 0


# --- batches --------------------------------------------------------------------------------------

def message(protocol, name, arguments, seqid, kind=TMessageType.CALL):
    buffer = TTransport.TMemoryBuffer()
    out = WIRE[protocol](buffer)
    out.writeMessageBegin(name, kind, seqid)
    arguments.write(out)
    out.writeMessageEnd()
    return buffer.getvalue()


def reply(protocol, data, result):
    """(name, type, sequence id, what the message says)"""
    buffer = TTransport.TMemoryBuffer(data)
    into = WIRE[protocol](buffer)
    name, kind, seqid = into.readMessageBegin()
    said = TApplicationException() if kind == TMessageType.EXCEPTION else result
    said.read(into)
    into.readMessageEnd()
    assert buffer.cstringio_buf.tell() == len(data)
    return name, kind, seqid, said


def echo_reply(protocol, data):
    name, kind, seqid, said = reply(protocol, data, Directory.echo_result())
    assert (name, kind) == ("echo", TMessageType.REPLY)
    return seqid, said.success


@pytest.mark.parametrize("protocol,transport", SERVERS)
def test_a_batch(bench, protocol, transport):
    upstream = serve(bench, protocol, transport)
    requests = [
        Request(message(protocol, "echo", Directory.echo_args("a"), 0), timeoutMs=20000, lane=1),
        Request(message(protocol, "getUser", Directory.getUser_args("t", -5), 1)),
        Request(message(protocol, "log", Directory.log_args("x"), 2)),
        Request(message(protocol, "log", Directory.log_args("x"), 3, TMessageType.ONEWAY)),
        Request(b"\x80\x01 no message"),
        Request(message(protocol, "nope", Directory.echo_args("x"), 5)),
        Request(message(protocol, "fail", Directory.fail_args("x"), 6)),
        Request(message(protocol, "logged", Directory.logged_args(), 7), lane=1),
        Request(message(protocol, "echo", Directory.echo_args("z"), 8), lane=1),
    ]
    with Thrift(upstream, protocol, transport, BatchService) as client:
        answers = [one.message for one in client.executeBatch(BatchRequest(requests)).responses]
        assert client.executeBatch(BatchRequest([])).responses == []

    assert echo_reply(protocol, answers[0]) == (0, "a")
    assert reply(protocol, answers[1], Directory.getUser_result())[3].missing.id == -5
    assert answers[2:4] == [None, None]
    for answer, code in zip(answers[4:7], (TApplicationException.PROTOCOL_ERROR,
                                           TApplicationException.UNKNOWN_METHOD,
                                           TApplicationException.INTERNAL_ERROR)):
        assert reply(protocol, answer, None)[3].type == code
    assert reply(protocol, answers[7], Directory.logged_result())[3].success == 2
    assert echo_reply(protocol, answers[8]) == (8, "z")

    counters = clients.stats(upstream, protocol, transport)
    assert counters.messages == 3  # two batches and the question itself
    assert counters.calls == 8     # all but the two that do not exist, and the question
    assert (counters.batches, counters.emptyBatches) == (1, 1)
    assert counters.batchedCalls == counters.largestBatch == len(requests)


@pytest.mark.parametrize("form", clients.THRIFTPY_FORMS)
def test_a_batch_by_hand_with_thriftpy(bench, form):
    """batch.requests = [...]; client.executeBatch(batch).responses[i], as people write it."""
    upstream = serve(bench, "binary", "framed" if form.endswith("framed") else "buffered")
    idl = clients.thriftpy_idl("batch")
    batch = idl.BatchRequest()
    batch.requests = [
        idl.Request(message=message("binary", "echo", Directory.echo_args(f"token {at}"), at))
        for at in range(20)]
    with ThriftPy(upstream, form, idl.BatchService) as client:
        response = client.executeBatch(batch)
        assert client.executeBatch(idl.BatchRequest(requests=[])).responses == []
    assert [echo_reply("binary", one.message) for one in response.responses] == \
        [(at, f"token {at}") for at in range(20)]


def test_a_batch_above_the_limit_leaves_the_connection(bench):
    call = message("binary", "echo", Directory.echo_args("x"), 0)
    with Thrift(serve(bench, "binary", "framed"), "binary-accelerated", "framed",
                BatchService) as client:
        with pytest.raises(TApplicationException) as refused:
            client.executeBatch(BatchRequest([Request(call)] * 10001))
        assert refused.value.type == TApplicationException.INTERNAL_ERROR
        assert len(client.executeBatch(BatchRequest([Request(call)] * 10000)).responses) == 10000


# --- the server -----------------------------------------------------------------------------------

@pytest.mark.parametrize("garbage", (
    b"GET / HTTP/1.1\r\n\r\n",
    struct.pack("!I", 0),
    struct.pack("!I", 1 << 31),
    struct.pack("!I4sI", 13, b"echo", 1),
    struct.pack("!IIi", 12, 0x80010001, -1) + b"echo",
    struct.pack("!II", 8, 0x80010001) + struct.pack("!I", 0x7fffffff),
))
def test_garbage_closes_its_connection_only(bench, garbage):
    upstream = serve(bench, "binary", "framed")
    with Thrift(upstream, "binary", "framed") as neighbour:
        assert neighbour.echo("before") == "before"
        with harness.connect(upstream.address) as sock:
            sock.sendall(garbage)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):
                pass
        assert neighbour.echo("after") == "after"


def test_many_clients_at_once(bench):
    upstream = serve(bench, "binary", "buffered")
    barrier = threading.Barrier(50)
    wrong = []

    def one(number):
        with Thrift(upstream, "binary-accelerated", "buffered") as client:
            client.touch("connected")
            barrier.wait(PATIENCE)
            for call in range(20):
                token = f"{number}/{call}"
                if client.getUser(token, number + 1).token != token:
                    wrong.append(token)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counters = clients.stats(upstream, "binary", "buffered")
    assert not wrong
    assert counters.calls == counters.messages == 50 * 21 + 1
    assert counters.connectionsMost >= 50
    harness.eventually(
        lambda: clients.stats(upstream, "binary", "buffered").connectionsOpen == 1)


def test_costs_are_paid_one_after_another(bench):
    """--serial: four messages of 50 ms take 200 ms, however many connections there are."""
    upstream = bench.upstream("--serial", "--message-cost-us", "50000")
    begun = clients.stats(upstream, "binary", "framed")
    assert begun.messages == 1
    threads = [threading.Thread(target=clients.stats, args=(upstream, "binary", "framed"))
               for _ in range(4)]
    before = harness.time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert harness.time.monotonic() - before >= 0.2


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT))
def test_ends_with_clients_and_calls(bench, number):
    upstream = bench.upstream()
    with Thrift(upstream, "binary", "framed") as idle:
        idle.touch("t")
        waiting = threading.Thread(target=wait_for_ever, args=(upstream,))
        waiting.start()
        harness.eventually(lambda: clients.stats(upstream).calls >= 3)
        upstream.signal(number)
        assert upstream.wait() == 0
        waiting.join(PATIENCE)


def wait_for_ever(upstream):
    with Thrift(upstream, "binary", "framed") as client:
        try:
            client.wait("t", 60000)
        except (TApplicationException, TTransport.TTransportException):
            pass  # an exception, or the connection closed: the server was told to end


def test_unix_socket(bench, tmp_path):
    path = tmp_path / "demo.sock"
    upstream = bench.upstream(listen=f"unix:{path}")
    assert upstream.address == f"unix:{path}"
    with Thrift(upstream, "binary", "framed") as client:
        assert client.echo("t") == "t"
    upstream.stop()
    assert not path.exists()
