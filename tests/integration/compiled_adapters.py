"""What an adapter of any compiled language has to do, by a real server of that language.

A language's test file names its server and inherits the rest:

    class TestGo(AdapterContract):
        language = "go"

tests/servers/LANGUAGE/build.sh builds the server into the build directory; a machine that lacks
what it takes fails these tests, and they say what the script said. Through the daemon go ordinary
clients; what a daemon never sends (items that do not parse, huge batches, ...) goes to the server
directly.
"""

import concurrent.futures
import os
import re
import struct
import subprocess
import time
from pathlib import Path

import clients
import pytest
import wire
from clients import Thrift
from harness import Process, crowd
from thrift.Thrift import TApplicationException, TMessageType
from thrift_batch_demo import Directory
from thrift_batch_demo.ttypes import NotFound, Point, User, UserRequest
from wire import CALL, EXCEPTION, I32, LIST, ONEWAY, REPLY, STRING, STRUCT

SERVERS = Path(__file__).resolve().parents[1] / "servers"
FORMS = [(protocol, transport) for protocol in (wire.BINARY, wire.COMPACT)
         for transport in (wire.FRAMED, wire.BUFFERED)]
LONGEST_BUILD = 300

# What stands in a message instead of a size: the largest in binary and compact, a negative, none.
LIES = b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff\x07", b"\x80\0\0\0", b"\0"


def build(language):
    """The directory in which the server of that language has been built, up to date."""
    directory = Path(os.environ["GEN_PY"]).parents[1] / "tests" / "servers" / language
    done = subprocess.run([SERVERS / language / "build.sh", directory], timeout=LONGEST_BUILD,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, \
        f"cannot build the {language} server:\n{done.stdout.decode(errors='replace')}"
    return directory


class Server(Process):
    def __init__(self, directory, protocol, transport, *options):
        self.form = protocol, transport
        super().__init__([str(directory / "server"), "--protocol", protocol,
                          "--transport", transport, *options])
        self.address = self.out.wait_for(r"listening on (\S+)")[0][1]


# --- batches by hand ------------------------------------------------------------------------------

def request(message, protocol, timeout=None, lane=None):
    """The fields of one Request; `message` is one, or bytes that are none."""
    data = message if isinstance(message, bytes) else wire.encode(message, protocol)
    fields = [(1, STRING, data), (2, I32, timeout), (3, I32, lane)]
    return [field for field in fields if field[2] is not None]


def batch_call(requests, seqid=99):
    return wire.call("executeBatch", seqid, (1, STRUCT, [(1, LIST, (STRUCT, requests))]))


def most_memory(server):
    """The most that it has had resident, in bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


class Conversation:
    """A connection to the server itself."""

    def __init__(self, bench, server):
        self.protocol, self.transport = server.form
        self.raw = bench.connect(server)

    def send(self, message):
        self.raw.send(wire.encode(message, self.protocol, self.transport))

    def receive(self):
        return self.raw.receive(lambda data: wire.take(data, self.protocol, self.transport))

    def ask(self, message):
        self.send(message)
        return self.receive()

    def echo(self, token=b"still there"):
        got = self.ask(wire.echo(token, 5))
        assert (got.name, got.type, got.seqid, got.value(0)) == (b"echo", REPLY, 5, token)

    def logged(self):
        return self.ask(wire.call("logged", 1)).value(0)

    def execute(self, *calls, timeout=None, lane=None):
        """The responses to a batch of these calls: decoded, or None where there is no message."""
        return self.responses([request(call, self.protocol, timeout, lane) for call in calls])

    def responses(self, requests):
        got = self.ask(batch_call(requests))
        assert (got.name, got.type, got.seqid) == (b"executeBatch", REPLY, 99), got
        [(number, kind, (_, responses))] = got.value(0)
        assert (number, kind, len(responses)) == (1, LIST, len(requests))
        return [wire.decode_whole(dict((number, value) for number, _, value in response)[1],
                                  self.protocol) if response else None
                for response in responses]

    def refused(self, message, kind):
        """The words with which this batch is refused."""
        got = self.ask(message)
        assert (got.name, got.type, got.seqid) == (b"executeBatch", EXCEPTION, 99), got
        assert got.error()[0] == kind, got.error()
        return got.error()[1]


def is_echo(response, seqid, token):
    return (response.name, response.type, response.seqid, response.value(0)) == \
        (b"echo", REPLY, seqid, token)


def error_of(response, name, seqid):
    assert (response.name, response.type, response.seqid) == (name, EXCEPTION, seqid), response
    return response.error()


def count_since(before, server):
    """How many messages and calls the server has got since it said `before`."""
    now = clients.stats(server, *server.form)
    return now.messages - before.messages, now.calls - before.calls


def send_as(client, name, kind, arguments):
    """Sends a message that the generated client would not send."""
    client._seqid += 1
    client._oprot.writeMessageBegin(name, kind, client._seqid)
    arguments.write(client._oprot)
    client._oprot.writeMessageEnd()
    client._oprot.trans.flush()


def words_of(client, word):
    with pytest.raises(TApplicationException) as failed:
        client.fail(word)
    return failed.value.type, failed.value.message


EVERYTHING = ("t", True, -128, -32768, 2**31 - 1, -2**63, 1.5e300, "é€𝄞", bytes(range(256)),
              list(range(-40, 40)), {"a", "b"}, {"one": 1, "min": -2**63}, Point(0.5, -0.25),
              [Point(float(i), -float(i)) for i in range(20)])


class AdapterContract:
    language = None
    crash = "hard"  # a call of fail() that fails in the worst way which the language survives
    parallel = ()  # options with which the calls of a batch run side by side

    @pytest.fixture(scope="class")
    def built(self):
        return build(self.language)

    @pytest.fixture(scope="class", params=FORMS, ids="-".join)
    def server(self, built, request):
        """One for all tests of a form."""
        server = Server(built, *request.param)
        yield server
        server.kill()

    @pytest.fixture
    def start(self, bench, built):
        """Starts a server of its own: `start(protocol, transport, *options)`."""
        def start(*options):
            server = Server(built, *options)
            bench.on_end(server.kill)
            return server
        return start

    @pytest.fixture
    def daemon(self, bench, server):
        protocol, transport = server.form
        return bench.daemon(server, batch={"min_calls": 1}, upstream={
            "protocol": protocol, "transport": transport, "connections": 1})

    @pytest.fixture
    def conversation(self, bench, server):
        return Conversation(bench, server)

    # --- through the daemon -----------------------------------------------------------------------

    def test_every_method(self, server, daemon):
        with Thrift(daemon) as client, Thrift(server, *server.form) as direct:
            assert client.echo("hé") == "hé"
            assert client.getUser("t", 20) == User(20, "user-20", False, "t")
            with pytest.raises(NotFound) as missing:
                client.getUser("t", 0)
            assert missing.value.id == 0
            assert client.getUsers("t", [3, -3]) == {3: User(3, "user-3", True, "t")}
            assert client.touch("t") is None
            assert client.everything(*EVERYTHING) == direct.everything(*EVERYTHING)
            assert client.everything(*EVERYTHING).aMap == EVERYTHING[11]
            assert client.blob(b"abc", 100_000) == (b"abc" * 33_334)[:100_000]
            assert words_of(client, "why") == words_of(direct, "why")
            assert [client.append("every", line) for line in "abc"] == [0, 1, 2]
            assert direct.lines("every") == ["a", "b", "c"]
            assert client.findUser(9).token == ""
            first, second = client.getUserBatch([UserRequest("a", 1), UserRequest("b", -1)])
            assert first.user.token == "a" and second.missing.id == -1

    def test_unknown_method(self, daemon):
        with Thrift(daemon) as client:
            send_as(client, "noSuchMethod", TMessageType.CALL, Directory.echo_args("t"))
            with pytest.raises(TApplicationException) as unknown:
                client.recv_echo()
            assert unknown.value.type == TApplicationException.UNKNOWN_METHOD
            assert client.echo("t") == "t"

    def test_oneway_whatever_it_is_sent_as(self, daemon):
        with Thrift(daemon) as client:
            before = client.logged()
            for number, kind in enumerate((TMessageType.ONEWAY, TMessageType.CALL), 1):
                send_as(client, "log", kind, Directory.log_args("t"))
                assert client.logged() == before + number, "executed, and no reply in the way"

    def test_a_crowd_travels_in_batches(self, server, daemon):
        before = clients.stats(server, *server.form)
        got = crowd(daemon, 40, 8000)
        assert (got["right"], got["calls"]) == (8000, 8000)
        messages, calls = count_since(before, server)
        assert calls >= 8000
        assert messages < calls / 2, "the calls were not batched"

    def test_a_client_keeps_its_order(self, bench, daemon):
        raw = bench.connect(daemon)
        raw.send(b"".join(
            wire.encode(wire.call("append", number, (1, STRING, b"order"), (2, STRING, b"line")),
                        transport=wire.FRAMED) for number in range(200)))
        for number in range(200):
            got = raw.receive(lambda data: wire.take(data, wire.BINARY, wire.FRAMED))
            assert (got.seqid, got.value(0)) == (number, number)

    def test_an_item_that_fails_disturbs_nobody(self, server, daemon):
        """Calls that crash, between others', as they fall into batches."""
        before = clients.stats(server, *server.form)

        def one(number):
            with Thrift(daemon) as client:
                for turn in range(20):
                    token = f"{number}-{turn}"
                    if number % 4 == 0:
                        with pytest.raises(TApplicationException) as crashed:
                            client.fail(self.crash)
                        assert crashed.value.type == TApplicationException.INTERNAL_ERROR
                    assert client.echo(token) == token

        with concurrent.futures.ThreadPoolExecutor(12) as crowd_of:
            list(crowd_of.map(one, range(12)))
        messages, calls = count_since(before, server)
        assert messages < calls, "no two calls met in a batch"

    # --- batches, to the server itself ------------------------------------------------------------

    def test_a_mixed_batch(self, conversation):
        protocol = conversation.protocol
        before = conversation.logged()
        cut = wire.encode(wire.echo(b"cut", 5), protocol)[:-2]

        def cut_log(kind):
            return wire.encode(wire.call("log", 8, (1, STRING, b"cut"), kind=kind), protocol)[:-2]

        got = conversation.execute(
            wire.echo(b"a", 0),
            wire.call("getUser", 1, (1, STRING, b"t"), (2, wire.I64, -5)),
            b"garbage in a batch",
            wire.call("log", 3, (1, STRING, b"as a call")),
            wire.call("log", 4, (1, STRING, b"as oneway"), kind=ONEWAY),
            cut,
            wire.call("nope", 6, (1, STRING, b"x")),
            wire.call("fail", 7, (1, STRING, self.crash.encode())),
            cut_log(ONEWAY),
            wire.Message(b"log", REPLY, 9),
            b"",
            wire.call("log", 11, (1, STRING, b"fail")),
            cut_log(CALL),
            batch_call([], seqid=13),
            wire.echo(b"z", -7))
        assert is_echo(got[0], 0, b"a")
        assert (got[1].type, got[1].seqid, got[1].body[0][0]) == (REPLY, 1, 1), "its own exception"
        assert error_of(got[2], b"", 2)[0] == wire.PROTOCOL_ERROR
        assert got[3] is None, "a oneway method owes no reply, however it is called"
        assert got[4] is None
        assert error_of(got[5], b"echo", 5)[0] == wire.PROTOCOL_ERROR
        assert error_of(got[6], b"nope", 6)[0] == wire.UNKNOWN_METHOD
        assert error_of(got[7], b"fail", 7)[0] == wire.INTERNAL_ERROR
        assert got[8] is None, "nobody waits for what became of a ONEWAY"
        assert error_of(got[9], b"log", 9)[0] == wire.INVALID_MESSAGE_TYPE
        assert error_of(got[10], b"", 10)[0] == wire.PROTOCOL_ERROR
        assert got[11] is None, "a oneway that failed owes no reply either"
        assert error_of(got[12], b"log", 8)[0] == wire.PROTOCOL_ERROR
        assert error_of(got[13], b"executeBatch", 13)[0] == wire.UNKNOWN_METHOD
        assert is_echo(got[14], -7, b"z")
        assert conversation.logged() == before + 2

    def test_an_empty_batch(self, conversation):
        assert conversation.execute() == []
        conversation.echo()

    def test_sizes(self, conversation):
        """Around the places where lengths take another byte, in one batch and as the only call."""
        tokens = [b"x" * size for size in (0, 1, 14, 15, 127, 128, 4095, 4096, 16384, 100_000)]
        got = conversation.execute(*(wire.echo(token, i) for i, token in enumerate(tokens)))
        assert [response.value(0) for response in got] == tokens
        for token in tokens:
            assert is_echo(conversation.execute(wire.echo(token, 3))[0], 3, token)

    def test_deadlines(self, conversation):
        """The first call holds the lane up for longer than the others have."""
        before = conversation.logged()
        got = conversation.execute(
            wire.wait(b"slow", 300, 0), wire.call("log", 1, (1, STRING, b"x")),
            wire.call("log", 2, (1, STRING, b"x"), kind=ONEWAY), wire.echo(b"late", 3),
            timeout=100, lane=1)
        assert got[0].value(0) == b"slow"
        assert error_of(got[1], b"log", 1) == (wire.INTERNAL_ERROR, "deadline passed")
        assert got[2] is None
        assert error_of(got[3], b"echo", 3) == (wire.INTERNAL_ERROR, "deadline passed")
        assert conversation.logged() == before + 1, "the ONEWAY is executed in any case"
        got = conversation.execute(wire.echo(b"late", 0), timeout=0)
        assert error_of(got[0], b"echo", 0) == (wire.INTERNAL_ERROR, "deadline passed")

    def test_lanes_run_in_order(self, start, bench):
        conversation = Conversation(bench, start(*FORMS[0], *self.parallel))
        requests = [
            request(wire.call("append", i, (1, STRING, b"%d" % (i % 3)), (2, STRING, b"%d" % i)),
                    conversation.protocol, lane=i % 3) for i in range(300)]
        got = conversation.responses(requests)
        assert [(reply.seqid, reply.value(0)) for reply in got] == [(i, i // 3) for i in range(300)]

    # --- what is refused --------------------------------------------------------------------------

    @pytest.mark.parametrize("form", FORMS, ids="-".join)
    def test_limits(self, start, bench, form):
        server = start(*form, "--max-calls", "5", "--max-bytes", "1000",
                       "--max-reply-bytes", "5000")
        conversation = Conversation(bench, server)
        log = request(wire.call("log", 0, (1, STRING, b"x")), conversation.protocol)
        large = request(wire.call("log", 0, (1, STRING, b"x" * 600)), conversation.protocol)
        assert conversation.execute(*[wire.echo(b"t", i) for i in range(5)])[4].seqid == 4
        before = conversation.logged()
        for requests in ([log] * 6, [log] * 2000, [large] * 2, [large, log, large, log]):
            words = conversation.refused(batch_call(requests), wire.INTERNAL_ERROR)
            assert " 5 " in words or " 1000 " in words, words
        assert conversation.logged() == before, "nothing of a refused batch is executed"

        blob = wire.call("blob", 1, (1, STRING, b"x"), (2, I32, 4000))
        got = conversation.execute(wire.echo(b"t", 0), blob, blob, wire.echo(b"t", 3), lane=1)
        assert [len(got[1].value(0)), is_echo(got[0], 0, b"t"), is_echo(got[3], 3, b"t")] == \
            [4000, True, True]
        assert error_of(got[2], b"blob", 1)[0] == wire.INTERNAL_ERROR

    @pytest.mark.parametrize("arguments", [
        [],
        [(1, STRUCT, [])],
        [(1, STRUCT, [(1, LIST, (STRUCT, [[]]))])],
        [(1, STRUCT, [(1, LIST, (STRUCT, [[(2, I32, 5)]]))])],
        [(1, STRUCT, [(1, LIST, (STRING, [b"x"]))])],
        [(1, STRING, b"x")],
    ], ids=["nothing", "no-list", "no-message", "only-a-timeout", "strings", "another-type"])
    def test_a_malformed_batch(self, server, bench, conversation, arguments):
        conversation.refused(wire.call("executeBatch", 99, *arguments), wire.PROTOCOL_ERROR)
        Conversation(bench, server).echo()

    def test_a_list_that_says_it_holds_maps(self, conversation):
        protocol = conversation.protocol
        honest = wire.encode(batch_call([request(wire.echo(b"t", 0), protocol)]), protocol)
        before, after = ((b"\x0f\0\x01\x0c\0\0\0\x01", b"\x0f\0\x01\x0d\0\0\0\x01")
                         if protocol == wire.BINARY else (b"\x19\x1c", b"\x19\x1b"))
        assert honest.count(before) == 1
        lie = honest.replace(before, after)
        conversation.raw.send(wire.frame(lie) if conversation.transport == wire.FRAMED else lie)
        got = conversation.receive()
        assert got.error()[0] == wire.PROTOCOL_ERROR

    def test_fields_of_the_future(self, conversation):
        """What a later version of batch.thrift may add is skipped."""
        more = (9, LIST, (STRUCT, [[(1, STRING, b"new")]]))
        one = [*request(wire.echo(b"t", 0), conversation.protocol, 1000, 7), more]
        got = conversation.ask(wire.call(
            "executeBatch", 99, (1, STRUCT, [(1, LIST, (STRUCT, [one])), more]), more))
        assert got.type == REPLY
        conversation.echo()

    def test_batches_that_lie(self, server, bench):
        """Claims of sizes that never come: the server is neither filled up nor brought down."""
        conversation = Conversation(bench, server)
        conversation.echo()
        before = server.memory()
        protocol, transport = server.form
        honest = wire.encode(batch_call([request(wire.echo(b"token", 0), protocol)]), protocol)
        for at in range(len(honest) - 60 if protocol == wire.BINARY else 4, len(honest)):
            for lie in LIES:
                self.hostile(bench, server, honest[:at] + lie + honest[at + len(lie):])
        for depth in (100, 100_000):
            deep = (b"\x0c\0\x05" if protocol == wire.BINARY else b"\x5c") * depth
            self.hostile(bench, server, honest[:-1] + deep)
        Conversation(bench, server).echo()
        assert server.memory() - before < 400 << 20

    @staticmethod
    def hostile(bench, server, data):
        """Sends it and leaves; what comes back, if anything, does not matter."""
        raw = bench.connect(server)
        try:
            raw.send(wire.frame(data) if server.form[1] == wire.FRAMED else data)
            raw.half_close()
            raw.until_closed()
        except OSError:
            pass  # the server was faster
        raw.close()

    @pytest.mark.parametrize("form", FORMS, ids="-".join)
    def test_items_that_lie(self, start, bench, form):
        server = start(*form)
        conversation = Conversation(bench, server)
        conversation.execute(*[wire.echo(b"t", i) for i in range(3)])
        before = most_memory(server)
        protocol = conversation.protocol
        honest = wire.encode(wire.echo(b"token", 1), protocol)
        for at in range(len(honest)):
            for lie in LIES:
                item = honest[:at] + lie + honest[at + len(lie):]
                got = conversation.execute(wire.echo(b"a", 0), item, wire.echo(b"z", 2))
                assert is_echo(got[0], 0, b"a") and is_echo(got[2], 2, b"z"), item
        self.claims(conversation)
        deep = (b"\x0c\0\x05" if protocol == wire.BINARY else b"\x5c") * 100_000
        got = conversation.execute(wire.echo(b"a", 0), honest[:-1] + deep, wire.echo(b"z", 2))
        assert is_echo(got[0], 0, b"a") and is_echo(got[2], 2, b"z")
        assert error_of(got[1], b"echo", 1)[0] == wire.PROTOCOL_ERROR
        assert most_memory(server) - before < 64 << 20, "room was made for what never came"

    @staticmethod
    def claims(conversation):
        """Sizes below what libraries allow for one message, of a string and of a list."""
        protocol = conversation.protocol
        binary = protocol == wire.BINARY
        for method, field, kind in (("echo", 1, STRING), ("getUsers", 2, LIST)):
            head = wire.encode(wire.call(method, 1), protocol)[:-1]
            head += bytes([kind, 0, field] if binary else
                          [field << 4 | (8 if kind == STRING else 9)])
            if kind == LIST:
                head += bytes([wire.I64] if binary else [0xf6])
            size = 99_000_000 if kind == STRING or not binary else 12_000_000
            head += struct.pack(">i", size) if binary else wire.varint(size)
            [got] = conversation.execute(head + b"\0\0")
            assert error_of(got, method.encode(), 1)[0] == wire.PROTOCOL_ERROR

    def test_a_connection_that_carries_much(self, conversation):
        """More than what libraries allow for one message (100 MiB), in messages far below."""
        token = b"x" * (4 << 20)
        for number in range(27):
            assert is_echo(conversation.execute(wire.echo(token, number))[0], number, token)


class ParallelAdapterContract(AdapterContract):
    """Of an adapter that can run the calls of a batch side by side."""

    def test_calls_without_lane_run_side_by_side(self, start, bench):
        conversation = Conversation(bench, start(*FORMS[0], *self.parallel))
        begin = time.monotonic()
        got = conversation.execute(*(wire.wait(b"%d" % i, 400, i) for i in range(8)))
        assert [response.value(0) for response in got] == [b"%d" % i for i in range(8)]
        assert time.monotonic() - begin < 8 * 0.4 / 2
