"""Messages that have begun and not ended: they take turns where memory is scarce, nobody who delivers
is refused, and nobody else holds up the others. (The bound itself: test_memory.py.)"""

import contextlib
import select
import socket
import threading
import time

import wire
from harness import eventually
from scripted import Holding
from talk import all_read, framed, receive, send, served
from test_flow import wait_until_it_stops_working

MIB = 1 << 20
SMALL = {"max_pending_bytes": "4MiB"}  # unfinished messages of as much, too


def large(number):
    """A call of a MiB."""
    return wire.echo(b"%04d" % number * (MIB // 4), number)


def begin(raw, message, share=0.9):
    """Sends the message but for its end, as far as the kernel takes it."""
    data = framed(message)
    data = data[:int(len(data) * share)]
    with contextlib.suppress(BlockingIOError):
        while data:
            data = data[raw.socket.send(data, socket.MSG_DONTWAIT):]


def test_who_delivers_is_served(bench, upstream):
    """All at once, and far more than may be kept: one after another they come through."""
    daemon = bench.daemon(upstream, upstream=SMALL)
    right = []

    def call(number):
        raw = bench.connect(daemon)
        send(raw, large(number))
        got = receive(raw)
        right.append(got.seqid == number and got.value(0) == large(number).value(1))

    threads = [threading.Thread(target=call, args=(number,)) for number in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 60


def test_who_does_not_deliver_makes_room(bench, upstream):
    """Those who send no more hold up an honest client for a moment, not for ever."""
    daemon = bench.daemon(upstream, upstream=SMALL | {"call_timeout": "1s"})
    idle = [bench.connect(daemon) for _ in range(20)]
    for number, raw in enumerate(idle):
        begin(raw, large(number))
    honest = bench.connect(daemon)
    for number in range(3):
        send(honest, large(number))
        got = receive(honest)
        assert (got.type, got.value(0)) == (wire.REPLY, large(number).value(1))
    daemon.log.wait_for("and memory is needed")
    eventually(lambda: any(is_closed(raw) for raw in idle))


def is_closed(raw):
    """It has sent no whole call, so anything to read is the end."""
    return bool(select.select([raw.socket], [], [], 0)[0])


def test_who_drips_while_others_wait_is_closed(bench, upstream):
    """A byte now and then is no delivery either: a turn is no longer than call_timeout."""
    daemon = bench.daemon(upstream, upstream=SMALL | {"call_timeout": "1s"})
    dripping = [bench.connect(daemon) for _ in range(8)]
    for number, raw in enumerate(dripping):
        begin(raw, large(number), 0.8)
    stop = threading.Event()

    def drip():
        while not stop.wait(0.03):
            for raw in dripping:
                with contextlib.suppress(OSError):
                    raw.socket.send(b"0", socket.MSG_DONTWAIT)

    thread = threading.Thread(target=drip)
    thread.start()
    honest = bench.connect(daemon)
    send(honest, large(99))
    assert receive(honest).value(0) == large(99).value(1)
    stop.set()
    thread.join()


def test_a_paused_client_that_leaves_is_forgotten(bench, upstream):
    daemon = bench.daemon(upstream, upstream=SMALL)
    other = bench.connect(daemon)
    served(other)
    before = daemon.descriptors()
    raws = [bench.connect(daemon) for _ in range(20)]
    for number, raw in enumerate(raws):
        begin(raw, large(number))
    wait_until_it_stops_working(daemon)
    for raw in raws:
        raw.close()
    eventually(lambda: daemon.descriptors() <= before)
    send(other, large(1))
    assert receive(other).value(0) == large(1).value(1)


def stuck(bench, daemon, count, size):
    """Clients in the middle of a message of that size."""
    for number in range(count):
        raw = bench.connect(daemon)
        raw.socket.sendall(framed(wire.echo(bytes(size), number))[:-1])


def test_ordinary_calls_do_not_wait_for_those_who_are_stuck(bench, upstream):
    """Calls of some KiB, too: only large messages take turns."""
    daemon = bench.daemon(upstream)
    stuck(bench, daemon, 200, 50_000)
    raw = bench.connect(daemon)
    begin = time.monotonic()
    for number in range(5):
        call = framed(wire.echo(b"3" * 3000, number))
        raw.send(call[:1500])
        all_read(bench, daemon)
        raw.send(call[1500:])
        assert receive(raw).seqid == number
    assert time.monotonic() - begin < 1


def test_a_pipelining_client_passes_the_turn_on(bench, upstream):
    """A read that ends within a message is no reason to be closed: the messages before came whole."""
    daemon = bench.daemon(upstream, upstream=SMALL | {"call_timeout": "500ms"},
                          client={"max_client_calls": 100000})
    stuck(bench, daemon, 10, MIB)
    raw = bench.connect(daemon)
    count, size = 400, 100_000
    data = b"".join(framed(wire.call("touch", number, (1, wire.STRING, bytes(size))))
                    for number in range(count))

    def slowly():
        for at in range(0, len(data), 1 << 19):
            raw.socket.sendall(data[at:at + (1 << 19)])

    thread = threading.Thread(target=slowly)
    thread.start()
    assert [receive(raw).seqid for _ in range(count)] == list(range(count))
    thread.join()


def test_who_waits_at_a_bound_goes_on_behind_it(bench):
    """Clients in the middle of a message are not read while as many calls as may be are pending."""
    upstream = Holding(bench)
    daemon = bench.daemon(upstream, upstream=SMALL | {"max_pending_calls": "4",
                                                      "call_timeout": "20s"})
    raws = [bench.connect(daemon) for _ in range(20)]
    half = MIB // 2
    for number, raw in enumerate(raws):
        raw.send(framed(large(number))[:half])
    for number in range(4):
        send(bench.connect(daemon), wire.wait(b"busy", 0, number))
    upstream.wait_for_calls(4)
    threads = [threading.Thread(target=raw.send, args=(framed(large(number))[half:],))
               for number, raw in enumerate(raws)]
    for thread in threads:
        thread.start()
    wait_until_it_stops_working(daemon)
    upstream.let_go.set()
    for number, raw in enumerate(raws):
        assert receive(raw).value(0) == large(number).value(1)
    for thread in threads:
        thread.join()


def test_one_large_message_has_time(bench, upstream):
    """Its own bytes do not count, also where workers have a part of the bound each."""
    daemon = bench.daemon(upstream, daemon={"workers": 4})
    stuck(bench, daemon, 8, 3000)
    raw = bench.connect(daemon)
    data = framed(wire.call("touch", 1, (1, wire.STRING, bytes(15 * MIB))))
    raw.send(data[:10 * MIB])
    wait_until_it_stops_working(daemon)
    raw.send(data[10 * MIB:])
    assert receive(raw).seqid == 1
