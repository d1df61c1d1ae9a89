"""The benchmark's programs: a figure is worth what its reply checks, costs and clocks are."""

import itertools
import json
import signal
import subprocess

import harness
import pytest
import wire
from scripted import CLOSE, SILENCE, Scripted, honest
from wire import BINARY, BUFFERED, COMPACT, FRAMED

CALLS = 12  # the greeting is one of them


def run_load(where, **options):
    """bench-load's exit status and what it found."""
    command = [harness.program("BENCH_LOAD"), "--connect", getattr(where, "address", where)]
    for name, value in options.items():
        command += ["--" + name.replace("_", "-")] + ([] if value is True else [str(value)])
    done = subprocess.run(command, timeout=40, stdout=subprocess.PIPE, check=False)
    return done.returncode, json.loads(done.stdout)


def right_load(where, **options):
    """Every reply has to be right."""
    status, found = run_load(where, **options)
    assert (found["wrong"], found["missing"], found["starved"]) == (0, 0, 0), found
    assert found["right"] == found["calls"] > 0
    assert status == 0
    return found


def start(bench, name, *options):
    process = harness.Process([harness.program(name), *map(str, options)])
    bench.on_end(process.kill)
    process.address = process.out.wait_for(r"listening on (\S+)")[0][1]
    return process


def upstream(bench, *costs):
    return start(bench, "BENCH_UPSTREAM", *costs)


# --- replies that are not right -------------------------------------------------------------------

def one_that(wrong, at=CALLS // 2):
    """A script that answers all calls rightly but one."""
    numbers = itertools.count()
    return lambda call: wrong(call) if next(numbers) == at else honest(call)


def changed(**fields):
    return lambda call: wire.encode(wire.Message(**(vars(wire.reply(
        call, (0, wire.STRING, call.value(1)))) | fields)))


WRONG = {
    "another name": changed(name=b"ecHo"),
    "another sequence id": changed(seqid=7),
    "another token": lambda call: wire.encode(wire.reply(
        call, (0, wire.STRING, bytes(reversed(call.value(1)))))),
    "a shorter payload": lambda call: wire.encode(wire.reply(
        call, (0, wire.STRING, call.value(1)[:-1]))),
    "a longer payload": lambda call: wire.encode(wire.reply(
        call, (0, wire.STRING, call.value(1) + b"x"))),
    "no result": lambda call: wire.encode(wire.reply(call)),
    "an exception": lambda call: wire.encode(wire.exception(call, wire.INTERNAL_ERROR, "no")),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_sees_a_wrong_reply(bench, wrong):
    server = Scripted(bench, one_that(wrong))
    status, found = run_load(server, calls=CALLS - 1)
    assert (found["calls"], found["right"], found["wrong"], found["missing"]) == \
        (CALLS, CALLS - 1, 1, 0), found
    assert status == 1


def test_compares_every_byte(bench):
    positions = itertools.count(-1)  # the greeting is answered rightly

    def flipped(call):
        data = bytearray(honest(call))
        if (position := next(positions)) >= 0:
            data[position] ^= 1
        return bytes(data)

    status, found = run_load(Scripted(bench, flipped), payload=32, calls=56)  # as long as a reply
    assert (found["right"], found["wrong"]) == (1, 56), found
    assert status == 1


def test_sees_crossed_replies(bench):
    """Each client gets the reply that belongs to another one's call, with its own sequence id."""
    payloads = []

    def previous(call):
        payloads.append(call.value(1))
        return wire.encode(wire.reply(call, (0, wire.STRING, payloads[-2:][0])))

    status, found = run_load(Scripted(bench, previous), connections=2, calls=10)
    assert found["right"] == 1 and found["wrong"] == found["calls"] - 1 > 0, found
    assert status == 1


@pytest.mark.parametrize("ending", (SILENCE, CLOSE), ids=("silence", "close"))
def test_sees_a_missing_reply(bench, ending):
    server = Scripted(bench, one_that(lambda call: ending))
    status, found = run_load(server, calls=CALLS - 1, seconds=1, patience=0.3)
    assert (found["right"], found["wrong"], found["missing"]) == (CALLS // 2, 0, 1), found
    assert status == 1


def test_sees_a_reply_to_no_call(bench):
    def twice(call):
        server.say(honest(call))
        return honest(call)

    server = Scripted(bench, twice)
    status, found = run_load(server, calls=1)
    assert found["wrong"] + found["missing"] > 0, found
    assert status == 1


def test_counts_starved_clients(bench):
    server = Scripted(bench, lambda call: SILENCE)
    status, found = run_load(server, connections=3, no_greeting=True, seconds=0.3, patience=0.1)
    assert (found["starved"], found["missing"], found["right"]) == (3, 3, 0), found
    assert status == 1


def test_tells_when_nobody_listens():
    kept, address = harness.refused_address()
    with kept:
        status, found = run_load(address, connections=3)
    assert status == 1 and found["greeted"] == 0


@pytest.mark.parametrize("active,wrong", ((lambda number: number % 10 != 0, False),
                                          (lambda number: True, True)), ids=("right", "wrong"))
def test_checks_users(bench, active, wrong):
    def get_user(call):
        number = call.value(1)
        return wire.encode(wire.reply(call, (0, wire.STRUCT, [
            (1, wire.I64, number), (2, wire.STRING, b"user-%d" % number),
            (3, wire.BOOL, active(number))])))

    status, found = run_load(Scripted(bench, get_user), method="getUser", calls=200)
    assert (found["wrong"] > 0) == wrong and found["right"] > 100, found
    assert status == (1 if wrong else 0)


# --- right replies --------------------------------------------------------------------------------

LOADS = {
    "closed": {"connections": 20, "calls": 2000},
    "pipelined": {"connections": 5, "depth": 8, "calls": 2000},
    "open": {"connections": 20, "rate": 2000, "seconds": 0.5},
    "large": {"connections": 5, "depth": 2, "payload": 100_000, "calls": 100},
}


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
@pytest.mark.parametrize("transport,protocol",
                         itertools.product((FRAMED, BUFFERED), (BINARY, COMPACT)))
def test_all_right_through_the_daemon(bench, transport, protocol, load):
    daemon = bench.daemon(upstream(bench))
    found = right_load(daemon, transport=transport, protocol=protocol,
                       **{"seconds": 20} | load)
    assert found["calls"] >= load.get("calls", 500)


def test_all_right_over_a_unix_socket(bench, directory):
    daemon = bench.daemon(upstream(bench, "--listen", f"unix:{directory}/upstream"),
                          daemon={"listen": f"unix:{directory}/daemon"})
    assert right_load(daemon, **LOADS["closed"])["calls"] >= 2000


def test_floor_answers(bench):
    right_load(start(bench, "BENCH_FLOOR"), connections=20, depth=4, calls=2000)
    right_load(start(bench, "BENCH_FLOOR"), connections=2, payload=16384, calls=200)


def test_idle_clients_stay(bench):
    server = upstream(bench)
    with subprocess.Popen(
            [harness.program("BENCH_LOAD"), "--connect", server.address, "--connections", "20",
             "--idle"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as clients:
        assert clients.stdout.readline() == "ready 20\n"
        assert clients.poll() is None
        rest, _ = clients.communicate(timeout=harness.PATIENCE)
    found = json.loads(rest)
    assert (found["right"], found["missing"]) == (20, 0)
    assert clients.returncode == 0


# --- costs and clocks -----------------------------------------------------------------------------

def test_costs(bench):
    """Loads of ten clients, each message of 2 ms: at most 500 a second one after another; ten times
    that side by side, where the machine is not busy."""
    serial = right_load(upstream(bench, "--sleep", "--serial", "--message-us", 2000),
                        connections=10, seconds=0.5)
    parallel = right_load(upstream(bench, "--sleep", "--message-us", 2000),
                          connections=10, seconds=0.5)
    busy = right_load(upstream(bench, "--busy", "--message-us", 1500, "--call-us", 500),
                      connections=10, seconds=0.5)
    assert serial["calls_per_s"] <= 550
    assert busy["calls_per_s"] <= 550
    assert parallel["calls_per_s"] > 2 * serial["calls_per_s"]
    assert serial["latency_us"]["p50"] > 5 * 2000 > parallel["latency_us"]["p50"] / 2 > 900


def test_a_batch_is_one_message(bench):
    server = upstream(bench, "--sleep", "--serial", "--message-us", 1000)
    right_load(bench.daemon(server), connections=50, calls=1000, seconds=20)
    server.signal(signal.SIGUSR1)
    counts = json.loads(server.out.wait_for(r"(\{.*\})")[0][1])
    assert counts["calls"] == 1050
    assert counts["batched"] > 500 and counts["largest"] > 5, counts
    assert counts["messages"] < 700, counts


def test_open_loop_counts_from_the_intended_time(bench):
    """Half of what arrives can be served: the wait for a free client is part of the latency."""
    server = upstream(bench, "--sleep", "--serial", "--message-us", 20_000)
    found = right_load(server, connections=1, rate=100, seconds=1)
    assert found["latency_us"]["p50"] > 5 * 20_000, found
    assert found["unsent"] > 20, found
