"""What the adapters for scripting languages owe, checked on real servers.

Some by batches made byte by byte and sent to the server, some by unmodified clients through the
daemon. The test module of a language derives from the classes below and gives them servers.
"""

import contextlib
import re
import threading
import time

import clients
import harness
import pytest
import wire
from thrift.protocol.TMultiplexedProtocol import TMultiplexedProtocol
from thrift.Thrift import TApplicationException
from thrift_batch_demo import Directory
from thrift_batch_demo.ttypes import NotFound
from wire import CALL, EXCEPTION, I32, LIST, ONEWAY, REPLY, STRING, STRUCT

SERVERS = harness.Path(__file__).resolve().parents[1] / "servers"

MAX_REQUESTS = 100
MAX_BYTES = 1 << 20
LIMITS = ("--max-requests", str(MAX_REQUESTS), "--max-bytes", str(MAX_BYTES))


class Server(harness.Process):
    """A server of the demo service: what it speaks goes to its command line and stays at hand."""

    def __init__(self, command, protocol, transport, *options, environment=None):
        super().__init__([*command, "--protocol", protocol, "--transport", transport, *options],
                         environment)
        self.address = self.out.wait_for(r"listening on (\S+)")[0][1]
        self.transport = transport
        self.protocol = protocol.split("-")[0]
        self.prefix = "Directory:" if "--multiplexed" in options else ""

    def upstream_keys(self):
        """What the daemon has to know of it."""
        return {"transport": self.transport, "protocol": self.protocol}


# --- batches by hand ------------------------------------------------------------------------------

def request(message, timeout_ms=None, lane=None):
    fields = [(1, STRING, message)]
    if timeout_ms is not None:
        fields.append((2, I32, timeout_ms))
    if lane is not None:
        fields.append((3, I32, lane))
    return fields


def batch_of(*messages):
    requests = [request(message) for message in messages]
    return wire.call("executeBatch", 9, (1, STRUCT, [(1, LIST, (STRUCT, requests))]))


class Conversation:
    """A raw connection that speaks the server's form."""

    def __init__(self, server):
        self.server = server
        self.raw = harness.Raw(server.address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.raw.close()

    def message(self, method, *fields, seqid=0, kind=CALL):
        return self.encode(wire.call(self.server.prefix + method, seqid, *fields, kind=kind))

    def encode(self, message):
        return wire.encode(message, self.server.protocol)

    def send(self, message):
        self.raw.send(wire.encode(message, self.server.protocol, self.server.transport))

    def receive(self, timeout=harness.PATIENCE):
        return self.raw.receive(
            lambda data: wire.take(data, self.server.protocol, self.server.transport), timeout)

    def ask(self, method, *fields):
        """A call outside of any batch; its result."""
        self.send(wire.call(self.server.prefix + method, 77, *fields))
        answer = self.receive()
        assert (answer.name, answer.type, answer.seqid) == (method.encode(), REPLY, 77)
        return answer.value(0)

    def send_batch(self, *requests, method="executeBatch"):
        """Sends what request() returns, or mere messages; numbers the positions of tuples."""
        requests = [each if isinstance(each, list) else request(each) for each in requests]
        self.send(wire.call(method, 4711, (1, STRUCT, [(1, LIST, (STRUCT, requests))])))

    def batch(self, *requests, method="executeBatch"):
        """The replies to a batch, decoded; None for a Response without message."""
        self.send_batch(*requests, method=method)
        answer = self.receive()
        assert (answer.name, answer.type, answer.seqid) == (b"executeBatch", REPLY, 4711), answer
        (number, kind, response), = answer.body
        assert (number, kind) == (0, STRUCT)
        element, responses = dict((number, value) for number, _, value in response)[1]
        assert len(responses) == len(requests)
        assert element == STRUCT or not responses
        return [self.reply_in(response) for response in responses]

    def reply_in(self, response):
        fields = dict((number, value) for number, _, value in response)
        return wire.decode_whole(fields[1], self.server.protocol) if 1 in fields else None

    # Messages of some methods.

    def echo(self, token, seqid=0):
        return self.message("echo", (1, STRING, token.encode()), seqid=seqid)

    def wait(self, token, milliseconds, seqid=0):
        return self.message("wait", (1, STRING, token.encode()), (2, I32, milliseconds),
                            seqid=seqid)

    def append(self, journal, line, seqid=0):
        return self.message("append", (1, STRING, journal.encode()), (2, STRING, line.encode()),
                            seqid=seqid)

    def log(self, line="line", seqid=0, kind=CALL):
        return self.message("log", (1, STRING, line.encode()), seqid=seqid, kind=kind)

    def lines(self, journal):
        _, lines = self.ask("lines", (1, STRING, journal.encode()))
        return [line.decode() for line in lines]


def is_echo(reply, token, seqid):
    expected = wire.Message(b"echo", REPLY, seqid, [(0, STRING, token.encode())])
    assert reply == expected, reply
    return True


def is_error(reply, kind, name, seqid, pattern=""):
    """A TApplicationException of that type, name and sequence id; `kind` None: of any type."""
    assert reply is not None, "no reply"
    assert (reply.name, reply.type, reply.seqid) == (name, EXCEPTION, seqid), reply
    fields = {number: value for number, _, value in reply.body}
    if kind is not None:
        assert fields.get(2) == kind, reply
    assert re.search(pattern, fields.get(1, b"").decode()), reply
    return True


class AdapterContract:
    """Needs a fixture `server`, started with LIMITS."""

    fail_type = wire.INTERNAL_ERROR  # of what the handler throws without declaring it
    side_by_side = False             # whether calls without a common lane overlap

    @pytest.fixture
    def talk(self, server):
        with Conversation(server) as talk:
            yield talk
        assert server.running()

    def test_replies_stand_in_order(self, talk):
        tokens = [f"token-{number}" for number in range(MAX_REQUESTS)]
        for _ in range(2):  # the limit is one batch's
            replies = talk.batch(*map(talk.echo, tokens, range(MAX_REQUESTS)))
            assert all(map(is_echo, replies, tokens, range(MAX_REQUESTS)))

    def test_an_empty_batch_is_answered(self, talk):
        for _ in range(3):
            assert talk.batch() == []

    def test_several_batches_on_a_connection_with_others_between(self, talk):
        for number in range(3):
            reply, = talk.batch(talk.echo(f"a-{number}", 5))
            assert is_echo(reply, f"a-{number}", 5)
            # The limits are those of batches.
            plain = b"plain" * (MAX_BYTES // 4)
            assert talk.ask("echo", (1, STRING, plain)) == plain

    def test_the_service_name_of_batch_thrift(self, talk):
        reply, = talk.batch(talk.echo("a"), method="BatchService:executeBatch")
        assert is_echo(reply, "a", 0)

    def test_every_type(self, talk):
        values = [(1, STRING, b"t"), (2, wire.BOOL, True), (3, wire.BYTE, -3),
                  (4, wire.I16, 300), (5, I32, -70_000), (6, wire.I64, 2**40),
                  (7, wire.DOUBLE, 2.5), (8, STRING, "é€𝄞".encode()), (9, STRING, b"\xff\0\xfe"),
                  (10, LIST, (I32, [1, 2])), (11, wire.SET, (STRING, [b"one"])),
                  (12, wire.MAP, (STRING, wire.I64, [(b"k", 5)])),
                  (13, STRUCT, [(1, wire.DOUBLE, 1.0), (2, wire.DOUBLE, 2.0)]),
                  (14, LIST, (STRUCT, [[(1, wire.DOUBLE, 3.0), (2, wire.DOUBLE, 4.0)]]))]
        reply, = talk.batch(talk.message("everything", *values))
        assert reply.type == REPLY
        assert sorted(reply.value(0)) == values

    def test_oneway_whatever_its_message_type(self, talk):
        before = talk.ask("logged")
        replies = talk.batch(talk.echo("a", 0), talk.log(seqid=1, kind=CALL),
                             talk.log(seqid=2, kind=ONEWAY), talk.log("fail", 3, ONEWAY),
                             talk.log("fail", 4, CALL), talk.echo("b", 5))
        assert is_echo(replies[0], "a", 0) and is_echo(replies[5], "b", 5)
        assert replies[1:5] == [None] * 4
        assert talk.ask("logged") == before + 4

    def test_exceptions_declared_and_not(self, talk):
        missing, failed, lost, good = talk.batch(
            talk.message("getUser", (1, STRING, b"t"), (2, wire.I64, -5), seqid=0),
            talk.message("fail", (1, STRING, b"sorry"), seqid=1),
            talk.message("fail", (1, STRING, b"lost"), seqid=2), talk.echo("good", 3))
        assert missing.type == REPLY and sorted(missing.value(1))[0] == (1, wire.I64, -5)
        assert is_error(failed, self.fail_type, b"fail", 1)
        assert is_error(lost, wire.INTERNAL_ERROR, b"fail", 2)
        assert is_echo(good, "good", 3)

    def test_a_result_that_cannot_be_written(self, talk):
        first, broken, last = talk.batch(
            talk.echo("first", 0), talk.echo("unwritable", 1), talk.echo("last", 2))
        assert is_echo(first, "first", 0) and is_echo(last, "last", 2)
        assert is_error(broken, self.fail_type, b"echo", 1)

    @pytest.mark.parametrize("arguments", [b"ascii", b"\xff\xfe"])
    def test_unknown_methods(self, talk, arguments):
        before, unknown, after = talk.batch(
            talk.echo("before", 0), talk.message("noSuchMethod", (9, STRING, arguments), seqid=1),
            talk.echo("after", 2))
        assert is_echo(before, "before", 0) and is_echo(after, "after", 2)
        assert is_error(unknown, wire.UNKNOWN_METHOD, b"noSuchMethod", 1)

    def test_a_batch_in_a_batch_is_unknown(self, talk):
        inner = wire.call("executeBatch", 0, (1, STRUCT, [(1, LIST, (STRUCT, []))]))
        unknown, good = talk.batch(talk.encode(inner), talk.echo("good", 1))
        assert is_error(unknown, wire.UNKNOWN_METHOD, b"executeBatch", 0)
        assert is_echo(good, "good", 1)

    def test_calls_that_do_not_parse(self, talk):
        whole = talk.echo("0123456789", 3)
        garbage = [b"", b"\0", b"no Thrift at all", b"\xff" * 40, whole[:3], whole[:-5],
                   whole[:-12] + b"\xff" * 12]
        batch = []
        for each in garbage:
            batch += [each, talk.echo("between", 0)]
        replies = talk.batch(*batch)
        assert all(is_echo(reply, "between", 0) for reply in replies[1::2])
        for position, reply in zip(range(0, len(batch), 2), replies[::2]):
            named = position >= 10  # the header is whole
            assert is_error(reply, wire.PROTOCOL_ERROR, b"echo" if named else b"",
                            3 if named else position)

    @pytest.mark.parametrize("kind", [CALL, ONEWAY])
    def test_a_oneway_call_gets_no_error(self, talk, kind):
        cut = talk.log("some line", 0, kind)[:-3]
        nothing, good = talk.batch(cut, talk.echo("good", 1))
        assert nothing is None and is_echo(good, "good", 1)

    @pytest.mark.parametrize("kind", [REPLY, EXCEPTION])
    def test_what_is_no_call(self, talk, kind):
        refused, good = talk.batch(
            talk.message("echo", (1, STRING, b"a"), kind=kind), talk.echo("good", 1))
        assert is_error(refused, wire.INVALID_MESSAGE_TYPE, b"echo", 0)
        assert is_echo(good, "good", 1)

    def test_calls_whose_time_is_over_are_not_executed(self, talk):
        before = talk.ask("logged")
        late, oneway, oneway_as_call, in_time = talk.batch(
            request(talk.append("late", "line", 0), timeout_ms=0),
            request(talk.log(seqid=1, kind=ONEWAY), timeout_ms=0),
            request(talk.log(seqid=2, kind=CALL), timeout_ms=0),
            request(talk.append("late", "in time", 3), timeout_ms=5000))
        assert is_error(late, wire.INTERNAL_ERROR, b"append", 0, "deadline passed")
        assert oneway is None and oneway_as_call is None and talk.ask("logged") == before + 2
        assert in_time.value(0) == 0
        assert talk.lines("late") == ["in time"]

    def test_time_passes_while_earlier_calls_run(self, talk):
        waited, late, in_time = talk.batch(
            request(talk.wait("w", 120, 0), timeout_ms=100, lane=1),
            request(talk.echo("late", 1), timeout_ms=100, lane=1),
            request(talk.echo("in time", 2), timeout_ms=5000, lane=1))
        assert waited.value(0) == b"w"
        assert is_error(late, wire.INTERNAL_ERROR, b"echo", 1, "deadline passed")
        assert is_echo(in_time, "in time", 2)

    def test_lanes(self, talk, server):
        journal = f"lanes-{time.monotonic()}"
        begin = time.monotonic()
        talk.batch(
            request(talk.wait("slow", 300, 0), lane=1),
            request(talk.append(journal, "lane 1, first", 1), lane=1),
            request(talk.wait("slow", 150, 2), lane=0),
            request(talk.append(journal, "lane 0, first", 3), lane=0),
            request(talk.append(journal, "lane 1, second", 4), lane=1),
            talk.wait("slow", 150, 5),
            request(talk.append(journal, "alone", 6)))
        seconds = time.monotonic() - begin
        if self.side_by_side:
            assert talk.lines(journal) == [
                "alone", "lane 0, first", "lane 1, first", "lane 1, second"]
            assert seconds >= 0.3
        else:
            assert talk.lines(journal) == [
                "lane 1, first", "lane 0, first", "lane 1, second", "alone"]
            assert seconds >= 0.6

    def test_too_many_requests(self, talk, server):
        before = talk.ask("logged")
        talk.send_batch(*[talk.log()] * (MAX_REQUESTS + 1))
        assert is_error(talk.receive(), wire.INTERNAL_ERROR, b"executeBatch", 4711,
                        str(MAX_REQUESTS))
        self.goes_on_or_is_closed(talk)
        with Conversation(server) as other:
            assert other.ask("logged") == before, "nothing was executed"
            reply, = other.batch(other.echo("a"))
            assert is_echo(reply, "a", 0)

    def test_too_many_bytes(self, talk, server):
        before = talk.ask("logged")
        talk.send_batch(*[talk.log("x" * (MAX_BYTES // 20))] * 20)
        assert is_error(talk.receive(), wire.INTERNAL_ERROR, b"executeBatch", 4711,
                        str(MAX_BYTES))
        assert talk.ask("logged") == before, "the connection goes on, and nothing was executed"
        talk.batch(*[talk.log("x" * (MAX_BYTES // 20 - 100))] * 20)
        assert talk.ask("logged") == before + 20

    def test_one_request_of_too_many_bytes(self, talk, server):
        talk.send_batch(talk.log("x" * MAX_BYTES))
        assert is_error(talk.receive(), wire.INTERNAL_ERROR, b"executeBatch", 4711,
                        str(MAX_BYTES))
        self.goes_on_or_is_closed(talk)
        with Conversation(server) as other:
            assert other.batch() == []

    @staticmethod
    def goes_on_or_is_closed(talk):
        """What must not come is an answer to the rest of a batch that was refused."""
        with contextlib.suppress(EOFError, ConnectionError):
            assert talk.ask("echo", (1, STRING, b"on")) == b"on"

    @pytest.mark.parametrize("arguments", [
        [], [(1, I32, 5)], [(1, STRUCT, [])], [(1, STRUCT, [(1, STRING, b"requests")])],
        [(1, STRUCT, [(1, LIST, (STRUCT, [[]]))])],
        [(1, STRUCT, [(1, LIST, (STRUCT, [[(1, I32, 1)]]))])],
    ], ids=["nothing", "number", "no requests", "string", "no message", "number as message"])
    def test_batches_of_another_shape(self, talk, arguments):
        talk.send(wire.call("executeBatch", 9, *arguments))
        assert is_error(talk.receive(), wire.PROTOCOL_ERROR, b"executeBatch", 9)
        assert talk.ask("echo", (1, STRING, b"on")) == b"on"

    @pytest.mark.parametrize("damage", [
        lambda whole: whole[:-1] + b"\xff\xff", lambda whole: whole[:-2],
        lambda whole: whole[:len(whole) // 2], lambda whole: whole[:40] + b"\xff" * 60,
    ], ids=["no end", "cut", "half", "bad sizes"])
    def test_broken_batches_disturb_nobody(self, server, damage):
        with Conversation(server) as broken, Conversation(server) as other:
            data = damage(broken.encode(batch_of(*map(broken.echo, "abcdefgh"))))
            broken.raw.send(wire.frame(data) if server.transport == "framed" else data)
            reply, = other.batch(other.echo("other"))
            assert is_echo(reply, "other", 0)
            broken.raw.half_close()
            got = broken.raw.until_closed()
            if got:
                answer, _ = wire.take(got, server.protocol, server.transport)
                assert answer.type == EXCEPTION
            assert other.ask("echo", (1, STRING, b"on")) == b"on"
        assert server.running()


# --- behind the daemon ----------------------------------------------------------------------------

class BehindTheDaemon:
    """Unmodified clients. Needs a fixture `server`."""

    @pytest.fixture
    def daemon(self, bench, server):
        return bench.daemon(server, upstream=server.upstream_keys() | {"connections": 1})

    def test_calls_that_meet_travel_together(self, server, daemon):
        before = self.messages(server)
        answers = []
        with contextlib.ExitStack() as stack:
            slow, *others = [stack.enter_context(clients.Thrift(daemon)) for _ in range(31)]
            threads = [threading.Thread(target=lambda: answers.append(slow.wait("slow", 400)))]
            threads += [threading.Thread(
                target=lambda client=client, token=f"token-{number}": answers.append(
                    client.echo(token) == token)) for number, client in enumerate(others)]
            threads[0].start()
            time.sleep(0.1)  # now the only slot is taken
            for thread in threads[1:]:
                thread.start()
            for thread in threads:
                thread.join(harness.PATIENCE)
        assert sorted(answers, key=str) == [True] * 30 + ["slow"], answers
        assert self.messages(server) - before <= 6

    @pytest.mark.parametrize("form", [("binary-accelerated", "framed"),
                                      ("compact-accelerated", "buffered")], ids="-".join)
    def test_thirty_clients_at_once(self, daemon, form):
        problems = []

        def work(number):
            try:
                with clients.Thrift(daemon, *form) as client:
                    for turn in range(5):
                        self.check_calls(client, f"client-{number}-{turn}", number)
            except Exception as problem:  # pylint: disable=broad-except
                problems.append(problem)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(harness.PATIENCE)
        assert not problems, problems[0]

    def check_calls(self, client, token, number):
        assert client.echo(token) == token
        user = client.getUser(token, number + 1)
        assert (user.id, user.token) == (number + 1, token)
        client.log(token)

    @staticmethod
    def messages(server):
        with Conversation(server) as talk:
            return dict((number, value) for number, _, value in talk.ask("stats"))[1]

    def test_errors_and_oneway(self, bench, server):
        """Always in a batch, also alone."""
        daemon = bench.daemon(server, upstream=server.upstream_keys(), batch={"min_calls": "1"})
        with clients.Thrift(daemon) as client, Conversation(server) as talk:
            for _ in range(3):
                with pytest.raises(NotFound):
                    client.getUser("t", -1)
                with pytest.raises(TApplicationException):
                    client.fail("sorry")
                before = talk.ask("logged")
                client.log("line")
                assert client.logged() == before + 1
                assert client.touch("t") is None
                assert client.blob(b"abc", 300_000) == b"abc" * 100_000

    @pytest.mark.parametrize("form", clients.THRIFTPY_FORMS)
    def test_thriftpy(self, daemon, form):
        """Sends oneway calls as CALL."""
        with clients.ThriftPy(daemon, form) as client:
            before = client.logged()
            for number in range(1, 4):
                assert client.echo("token") == "token"
                client.log("line")
                assert client.logged() == before + number


class MultiplexedContract:
    """Needs a fixture `server` that is multiplexed: its names begin with "Directory:"."""

    def test_a_batch(self, server):
        with Conversation(server) as talk:
            replies = talk.batch(
                talk.echo("a", 0), talk.log(seqid=1),
                talk.message("fail", (1, STRING, b"sorry"), seqid=2),
                talk.message("noSuchMethod", (1, STRING, b"\xff"), seqid=3),
                talk.encode(wire.call("Nobody:echo", 4, (1, STRING, b"a"))),
                talk.echo("cut", 5)[:-3], talk.wait("z", 0, 6),
                request(talk.echo("late", 7), timeout_ms=0), talk.log(seqid=8, kind=ONEWAY),
                request(talk.log(seqid=9, kind=CALL), timeout_ms=0))
            assert is_echo(replies[0], "a", 0)
            assert replies[1] is None and replies[8] is None and replies[9] is None
            assert is_error(replies[2], None, b"fail", 2)
            assert is_error(replies[3], wire.UNKNOWN_METHOD, b"noSuchMethod", 3)
            assert is_error(replies[4], wire.UNKNOWN_METHOD, b"echo", 4)
            assert is_error(replies[5], wire.PROTOCOL_ERROR, b"echo", 5)
            assert replies[6].value(0) == b"z"
            assert is_error(replies[7], wire.INTERNAL_ERROR, b"echo", 7, "deadline passed")
            assert talk.ask("echo", (1, STRING, b"on")) == b"on"

    @pytest.mark.parametrize("method", ["executeBatch", "BatchService:executeBatch"])
    def test_behind_the_daemon(self, bench, server, method):
        daemon = bench.daemon(server, upstream=server.upstream_keys(),
                              batch={"method": method, "min_calls": "1"})
        with clients.Thrift(daemon) as client:
            named = Directory.Client(TMultiplexedProtocol(client._iprot, "Directory"))
            before = named.logged()
            for number in range(1, 4):
                assert named.echo("token") == "token"
                named.log("line")
                assert named.logged() == before + number


def started(request, *arguments, **keywords):
    """A Server that ends with the fixture that asks for it."""
    server = Server(*arguments, **keywords)
    request.addfinalizer(server.kill)
    return server
