"""Unmodified clients, each method of the demo service: through the daemon as without it.

Every form of client meets every form of upstream connection, so calls are transcoded both ways.
"""

import itertools

import clients
import pytest
from clients import Thrift, ThriftPy, thriftpy_idl
from harness import Bench
from thrift.Thrift import TApplicationException, TMessageType
from thrift_batch_demo import Directory
from thrift_batch_demo.ttypes import NotFound, Point, User

UPSTREAM_FORMS = list(itertools.product(("framed", "buffered"), ("binary", "compact")))
CLIENT_FORMS = list(itertools.product(clients.PROTOCOLS, clients.TRANSPORTS))

_numbers = itertools.count(1)


def token():
    return f"token-{next(_numbers)}"


@pytest.fixture(scope="module", params=UPSTREAM_FORMS, ids="-".join)
def stack(request, tmp_path_factory):
    """An upstream of one form and a daemon in front of it."""
    transport, protocol = request.param
    bench = Bench(tmp_path_factory.mktemp("stack"))
    upstream = bench.upstream("--transport", transport, "--protocol", protocol)
    upstream.form = protocol, transport
    daemon = bench.daemon(upstream, upstream={"transport": transport, "protocol": protocol})
    yield daemon, upstream
    bench.end()


@pytest.fixture(params=CLIENT_FORMS, ids="-".join)
def client(stack, request):
    """A client of one form, through the daemon."""
    with Thrift(stack[0], *request.param) as client:
        yield client


@pytest.fixture
def direct(stack):
    with Thrift(stack[1], *stack[1].form) as client:
        yield client


EXTREMES = [
    [True, 127, 32767, 2**31 - 1, 2**63 - 1, 1.5e308, "é€𝄞", bytes(range(256)),
     list(range(-40, 40)), {"a", "b"}, {"one": 1, "min": -2**63}, Point(0.5, -0.25),
     [Point(float(i), -float(i)) for i in range(20)]],
    [False, -128, -32768, -2**31, -2**63, -0.0, "", b"", [], set(), {}, Point(0.0, 0.0), []],
    [True, 0, -1, 63, 64, float("inf"), "x" * 5000, b"\0" * 3000, [2**31 - 1, -2**31],
     {str(number) for number in range(300)}, {str(i): i * i for i in range(300)},
     Point(1e-300, 1e300), [Point(1.0, 2.0)]],
]


@pytest.mark.parametrize("values", EXTREMES, ids=["large", "empty", "long"])
def test_every_type_comes_back(client, direct, values):
    mine = token()
    through = client.everything(mine, *values)
    assert through == direct.everything(mine, *values)
    assert through.token == mine
    assert [through.aBool, through.aByte, through.anI16, through.anI32, through.anI64,
            through.aDouble, through.aString, through.aBinary, through.aList, through.aSet,
            through.aMap, through.aStruct, through.structs] == values


def test_structs_maps_and_void(client):
    mine = token()
    assert client.echo(mine) == mine
    assert client.getUser(mine, 7) == User(7, "user-7", True, mine)
    assert client.getUsers(mine, [20, 3, -1]) == {
        20: User(20, "user-20", False, mine), 3: User(3, "user-3", True, mine)}
    assert client.touch(mine) is None
    assert client.blob(b"abc", 100_000) == (b"abc" * 33_334)[:100_000]


def test_exceptions(client, direct):
    with pytest.raises(NotFound) as declared:
        client.getUser(token(), -5)
    with pytest.raises(NotFound) as expected:
        direct.getUser(token(), -5)
    assert declared.value == expected.value
    assert error_of(client, "undeclared") == error_of(direct, "undeclared")
    mine = token()
    assert client.echo(mine) == mine, "the connection goes on behind exceptions"


def error_of(client, word):
    with pytest.raises(TApplicationException) as undeclared:
        client.fail(word)
    return undeclared.value.type, undeclared.value.message


def send_as(client, name, kind, arguments):
    """Sends a message that the generated client would not send."""
    client._seqid += 1
    client._oprot.writeMessageBegin(name, kind, client._seqid)
    arguments.write(client._oprot)
    client._oprot.writeMessageEnd()
    client._oprot.trans.flush()


def test_unknown_method(client):
    send_as(client, "noSuchMethod", TMessageType.CALL, Directory.echo_args(token()))
    with pytest.raises(TApplicationException) as unknown:
        client.recv_echo()
    assert unknown.value.type == TApplicationException.UNKNOWN_METHOD
    mine = token()
    assert client.echo(mine) == mine


def test_oneway_as_oneway(client):
    before = client.logged()
    for number in range(1, 4):
        client.log(token())
        assert client.logged() == before + number, "executed, and before the next call"


def test_oneway_as_call(client):
    before = client.logged()
    for number in range(1, 4):
        send_as(client, "log", TMessageType.CALL, Directory.log_args(token()))
        assert client.logged() == before + number, "executed, and no reply in the way"


# --- ThriftPy -------------------------------------------------------------------------------------

@pytest.fixture(params=clients.THRIFTPY_FORMS)
def thriftpy_client(stack, request):
    with ThriftPy(stack[0], request.param) as client:
        yield client


def test_thriftpy(thriftpy_client):
    mine = token()
    assert thriftpy_client.echo(mine) == mine
    user = thriftpy_client.getUser(mine, 9)
    assert (user.id, user.name, user.active, user.token) == (9, "user-9", True, mine)
    assert sorted(thriftpy_client.getUsers(mine, [1, 2])) == [1, 2]
    assert thriftpy_client.touch(mine) is None
    with pytest.raises(thriftpy_idl("demo").NotFound) as declared:
        thriftpy_client.getUser(mine, -1)
    assert declared.value.id == -1


def test_thriftpy_every_type(thriftpy_client):
    demo = thriftpy_idl("demo")
    mine = token()
    got = thriftpy_client.everything(mine, True, -3, -300, 70_000, -2**40, 2.5, "text", b"\xff\xfe",
                                     [1, 2, 3], {"one"}, {"k": 5}, demo.Point(1.0, 2.0),
                                     [demo.Point(3.0, 4.0)])
    assert got.token == mine
    assert (got.aBool, got.aByte, got.anI16, got.anI32, got.anI64) == (
        True, -3, -300, 70_000, -2**40)
    assert (got.aDouble, got.aString, got.aBinary) == (2.5, "text", b"\xff\xfe")
    assert (got.aList, list(got.aSet), got.aMap) == ([1, 2, 3], ["one"], {"k": 5})
    assert got.aStruct == demo.Point(1.0, 2.0) and got.structs == [demo.Point(3.0, 4.0)]


def test_thriftpy_sends_oneway_as_call(thriftpy_client):
    before = thriftpy_client.logged()
    for number in range(1, 4):
        thriftpy_client.log(token())
        assert thriftpy_client.logged() == before + number


# --- a batch by hand ------------------------------------------------------------------------------

def test_thriftpy_batch_by_hand(upstream):
    """What the daemon does for its clients, done by a client itself, straight to the server."""
    idl = thriftpy_idl("batch")
    messages = [thriftpy_message("echo", token=f"by-hand-{number}") for number in range(5)]
    messages.insert(2, thriftpy_message("log", line="by hand"))
    batch = idl.BatchRequest(requests=[idl.Request(message=message) for message in messages])
    with ThriftPy(upstream, "binary-framed", idl.BatchService) as client:
        response = client.executeBatch(batch)
    replies = [answer.message for answer in response.responses]
    assert replies.pop(2) is None, "a oneway method owes no reply"
    assert [thriftpy_result(message) for message in replies] == [
        f"by-hand-{number}" for number in range(5)]


def thriftpy_message(method, **arguments):
    from thriftpy.protocol import TBinaryProtocol as Protocol
    from thriftpy.thrift import TMessageType as Type
    from thriftpy.transport import TMemoryBuffer
    memory = TMemoryBuffer()
    protocol = Protocol(memory)
    protocol.write_message_begin(method, Type.CALL, 0)
    getattr(thriftpy_idl("demo").Directory, method + "_args")(**arguments).write(protocol)
    protocol.write_message_end()
    return memory.getvalue()


def thriftpy_result(message):
    from thriftpy.protocol import TBinaryProtocol as Protocol
    from thriftpy.transport import TMemoryBuffer
    # ThriftPy 0.3.9 turns binary into text where it is valid UTF-8; a strict header is not.
    protocol = Protocol(TMemoryBuffer(message))
    protocol.read_message_begin()
    result = thriftpy_idl("demo").Directory.echo_result()
    result.read(protocol)
    return result.success
