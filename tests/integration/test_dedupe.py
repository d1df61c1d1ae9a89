"""dedupe = yes: equal calls of a batch reach the upstream once."""

import wire
from scripted import Scripted
from talk import introduce, receive, send

LONG = {"flush": "window", "window": "1min", "max_calls": 1000}
PATIENT = {"call_timeout": "2min"}


def ask(bench, daemon, upstream, count, keys):
    raws = [bench.connect(daemon) for _ in range(count)]
    introduce(*raws)
    upstream.forget()
    for number, raw in enumerate(raws):
        send(raw, wire.echo(b"key-%d" % (number % keys), number))
    for number, raw in enumerate(raws):
        got = receive(raw)
        assert (got.type, got.seqid) == (wire.REPLY, number)
        assert got.value(0) == b"key-%d" % (number % keys)


def test_a_hundred_clients_one_call(bench):
    upstream = Scripted(bench)
    for min_calls in (1, 2):
        daemon = bench.daemon(upstream, batch=LONG | {"min_calls": min_calls}, upstream=PATIENT,
                              method={"echo": {"dedupe": "yes"}})
        ask(bench, daemon, upstream, 100, 1)
        assert len(upstream.calls()) == 1


def test_it_travels_plain_once_it_is_known_to_answer(bench):
    """What remains of a hundred calls is one: too few for an envelope."""
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, batch=LONG, upstream=PATIENT,
                          method={"echo": {"dedupe": "yes"}})
    raws = [bench.connect(daemon) for _ in range(100)]
    introduce(*raws)
    for turn in range(3):
        upstream.forget()
        for number, raw in enumerate(raws):
            send(raw, wire.echo(b"key", number))
        for number, raw in enumerate(raws):
            got = receive(raw)
            assert (got.type, got.seqid, got.value(0)) == (wire.REPLY, number, b"key")
        assert len(upstream.calls()) == 1
        assert len(upstream.batches()) == (1 if turn == 0 else 0)


def test_different_keys(bench):
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, batch=LONG, upstream=PATIENT,
                          method={"echo": {"dedupe": "yes"}})
    ask(bench, daemon, upstream, 100, 7)
    assert sorted(call.value(1) for call in upstream.calls()) == [b"key-%d" % n for n in range(7)]


def test_without_it_all_travel(bench):
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, batch=LONG, upstream=PATIENT)
    ask(bench, daemon, upstream, 100, 1)
    assert len(upstream.calls()) == 100
