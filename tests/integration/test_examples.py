"""The configurations of the manual keep their promises: the files as they are, with addresses of
the test in place of those that they show."""

import re
import threading

import pytest
import wire
from harness import PATIENCE, Raw, eventually
from manual import HOME
from scripted import CLOSE, Scripted, calls_of, is_batch
from talk import all_read, receive, send, served

EXAMPLES = HOME / "conf" / "examples"


HELD_USER = 0


def value_of(user):
    return b"user-%a" % user


def is_held(call):
    return call.name == b"hold" or call.value(1) == HELD_USER


def answer(call):
    if call.name == b"getUsers":
        return wire.reply(call, (0, wire.MAP, (wire.I64, wire.STRING, [
            (number, value_of(number)) for number in call.value(1)[1]])))
    if call.name == b"getUser":
        return wire.reply(call, (0, wire.STRING, value_of(call.value(1))))
    return wire.reply(call, (0, wire.STRING, call.value(1)))


def answers(message):
    if is_batch(message):
        return wire.encode(wire.batch_reply(message, [answer(call) for call in calls_of(message)]))
    return wire.encode(answer(message))


class Service:
    """The servers behind an example. What is_held() stays until it is let go."""

    def __init__(self, bench, count):
        self.asked = 0
        self._let_go = threading.Event()
        self.servers = [Scripted(bench, self._script, self._probe) for _ in range(count)]
        bench.on_end(self._let_go.set)

    def _script(self, message):
        if any(map(is_held, calls_of(message))):
            self._let_go.wait(PATIENCE)
        return answers(message)

    def _probe(self, message):
        self.asked += 1
        return answers(message)

    def let_go(self):
        self._let_go.set()

    def messages(self):
        return [message for server in self.servers for message in server.received]

    def named(self, name):
        return [call for message in self.messages() for call in calls_of(message)
                if call.name == name]


@pytest.fixture
def start(bench, directory):
    """Starts the daemon with an example, and the servers that it names."""
    def start(name):
        text = (EXAMPLES / f"{name}.ini").read_text()
        count = re.search(r"^servers += (.*)", text, re.M)[1].count(",") + 1
        service = Service(bench, count)
        listen = f"unix:{directory}/clients" if "listen = unix:" in text else "127.0.0.1:0"
        for key, value in {
                "listen": listen, "servers": ", ".join(server.address for server in service.servers),
                "http": "127.0.0.1:0", "fb303": f"unix:{directory}/fb303.sock"}.items():
            text, places = re.subn(rf"^({key} += ).*", rf"\g<1>{value}", text, flags=re.M)
            assert places == 1, key
        path = directory / f"{name}.ini"
        path.write_text(text)
        return bench.daemon_with(path), service
    return start


def occupy(bench, daemon, service, slots, call):
    """Takes every slot, so that what comes next gathers."""
    raws, before = [], len(service.messages())
    for number in range(slots):
        raws.append(bench.connect(daemon))
        send(raws[-1], call(number))
        eventually(lambda: len(service.messages()) > before + number)
    return raws


def hold(number):
    return wire.call("hold", number, (1, wire.STRING, b"hold"))


def get_user(number, seqid=0):
    return wire.call("getUser", seqid, (1, wire.I64, number))


def ask_for(bench, daemon, *calls):
    raws = [bench.connect(daemon) for _ in calls]
    for raw, call in zip(raws, calls):
        send(raw, call)
    all_read(bench, daemon, 1)
    return raws


def lose_the_next(service):
    """The server that gets the next message closes its connection instead of answering."""
    lost = threading.Event()

    def script(message):
        if lost.is_set():
            return answers(message)
        lost.set()
        return CLOSE

    for server in service.servers:
        server.script = script


def values(raws):
    return [receive(raw).value(0) for raw in raws]


def test_php_workers(bench, start):
    """Over a unix socket, a connection a page; equal questions of the moment are asked once; a lost
    connection is not seen by a method that may run twice."""
    daemon, service = start("php-workers")
    assert daemon.address.startswith("unix:")
    for page in range(20):
        raw = Raw(daemon.address)
        served(raw, b"page %d" % page)
        raw.close()

    holders = occupy(bench, daemon, service, 4, hold)
    raws = ask_for(bench, daemon, *(get_user(7) for _ in range(10)))
    service.let_go()
    assert values(raws) == [value_of(7)] * 10
    assert values(holders) == [b"hold"] * 4
    assert len(service.named(b"getUser")) == 1

    lose_the_next(service)
    raw = bench.connect(daemon)
    send(raw, get_user(8))
    assert receive(raw).value(0) == value_of(8)


def test_multi_get(bench, start):
    """Single calls become one getUsers; all others pass; no server is asked for executeBatch."""
    daemon, service = start("multi-get")
    holders = occupy(bench, daemon, service, 8, lambda seqid: get_user(HELD_USER, seqid))
    raws = ask_for(bench, daemon, *map(get_user, range(1, 31)))
    served(bench.connect(daemon), b"passed through")
    service.let_go()
    assert values(raws) == [value_of(number) for number in range(1, 31)]
    assert values(holders) == [value_of(HELD_USER)] * 8
    assert [call.value(1)[1] for call in service.named(b"getUsers")] == [list(range(1, 31))]
    assert not any(is_batch(message) for message in service.messages())
    assert service.asked == 0


def test_mixed_methods(bench, start):
    """Slow and fast methods never meet in a batch; an export waits for nobody; what may run twice
    is sent again."""
    daemon, service = start("mixed-methods")
    holders = occupy(bench, daemon, service, 16, hold)
    raws = ask_for(bench, daemon, *(
        wire.call(name, 0, (1, wire.STRING, name.encode()))
        for name in ("searchUsers", "getUser", "searchPlaces", "touch")))
    (exporter,) = ask_for(bench, daemon, wire.call("export", 0, (1, wire.STRING, b"all")))
    assert receive(exporter).value(0) == b"all"
    service.let_go()
    assert values(holders) == [b"hold"] * 16
    assert values(raws) == [b"searchUsers", value_of(b"getUser"), b"searchPlaces", b"touch"]
    batches = [{call.name for call in calls_of(message)} for message in service.messages()]
    assert {b"searchUsers", b"searchPlaces"} in batches
    assert {b"getUser", b"touch"} in batches

    for name, times in ("getUser", 2), ("searchUsers", 2), ("export", 1):
        lose_the_next(service)
        before = len(service.named(name.encode()))
        raw = bench.connect(daemon)
        send(raw, wire.call(name, 3, (1, wire.STRING, b"again")))
        assert (receive(raw).type == wire.REPLY) == (times == 2), name
        assert len(service.named(name.encode())) == before + times, name
