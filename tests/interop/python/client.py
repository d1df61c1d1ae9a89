"""client.py ADDRESS TRANSPORT PROTOCOL: the checks of ../checks.txt with python3-thrift."""

import functools
import math
import os
import sys
import time

from thrift.protocol import TBinaryProtocol, TCompactProtocol
from thrift.Thrift import TApplicationException
from thrift.transport import TSocket, TTransport
from thrift_batch_demo.ttypes import NotFound, Point, User, UserRequest
from thrift_batch_interop import Newer

TRANSPORTS = {"buffered": TTransport.TBufferedTransport, "framed": TTransport.TFramedTransport}
PROTOCOLS = {
    "binary": TBinaryProtocol.TBinaryProtocol,
    "binary-accelerated": functools.partial(TBinaryProtocol.TBinaryProtocolAccelerated,
                                            fallback=False),
    "binary-old": functools.partial(TBinaryProtocol.TBinaryProtocol, strictRead=False,
                                    strictWrite=False),
    "compact": TCompactProtocol.TCompactProtocol,
    "compact-accelerated": functools.partial(TCompactProtocol.TCompactProtocolAccelerated,
                                             fallback=False),
}
UNICODE = "aé€𝄞 日本語 \n\t"
ALL_BYTES = bytes(range(256))
TYPICAL = {
    "token": "t", "aBool": True, "aByte": 1, "anI16": 2, "anI32": 3, "anI64": 4, "aDouble": 5.5,
    "aString": "text", "aBinary": b"\0\1\xfe\xff", "aList": [1, 2, 3], "aSet": {"a", "b"},
    "aMap": {"one": 1}, "aStruct": Point(0.5, -0.25), "structs": [Point(1.0, 2.0), Point(3.0, 4.0)],
}


def connect(address, transport, protocol):
    host, port = address.rsplit(":", 1)
    sock = TSocket.TSocket(host, int(port))
    sock.setTimeout(20000)
    wrapped = TRANSPORTS[transport](sock)
    client = Newer.Client(PROTOCOLS[protocol](wrapped))
    wrapped.open()
    return client


# --- the checks: each takes a client and raises where something is wrong ---------------------------

def equal(got, wanted):
    assert got == wanted, f"got {got!r:.200}, wanted {wanted!r:.200}"


def thrown(kind, call, *arguments):
    try:
        got = call(*arguments)
    except kind as error:
        return error
    raise AssertionError(f"returned {got!r:.200}")


def echo(token):
    return lambda client: equal(client.echo(token), token)


def missing(call, number, *arguments):
    error = thrown(NotFound, call, *arguments)
    equal((error.id, error.reason), (number, f"there is no user {number}"))


def user(number, token):
    return User(number, f"user-{number}", number % 10 != 0, token)


def get_user_batch(client):
    got = client.getUserBatch([UserRequest("a", 1), UserRequest("b", -1), UserRequest("c", 2)])
    equal([result.user for result in got], [user(1, "a"), None, user(2, "c")])
    equal([result.missing and result.missing.id for result in got], [None, -1, None])


def log_oneway(client):
    before = client.logged()
    for _ in range(3):
        client.log("line")
    equal(client.logged(), before + 3)


def everything(**other):
    values = TYPICAL | other

    def check(client):
        got = client.everything(**values)
        for name, value in values.items():
            equal(getattr(got, name), value)
            equal(type(getattr(got, name)), type(value))
    return check


def double(same, value):
    def check(client):
        got = client.everything(**TYPICAL | {"aDouble": value}).aDouble
        assert same(got), f"got {got!r}"
    return check


def fail(client):
    error = thrown(TApplicationException, client.fail, "é")
    equal((error.type, error.message), (6, "failed as asked: é"))


def blob_1mib(client):
    payload = ALL_BYTES * 4096
    assert client.blob(payload, len(payload)) == payload, "another payload"


def append_lines(client):
    journal = f"{os.getpid()}-{time.time_ns()}"
    for position, line in enumerate(("one", "two", "é")):
        equal(client.append(journal, line), position)
    equal(client.lines(journal), ["one", "two", "é"])


def unheard_of(named, numbers):
    def check(client):
        error = thrown(TApplicationException, client.unheardOf, [True, False, True],
                       named, [[[[[[True, False], []]]]]], numbers)
        equal(error.type, TApplicationException.UNKNOWN_METHOD)
    return check


def many_calls(client):
    for i in range(200):
        equal(client.echo(f"token {i}"), f"token {i}")


def in_flight(client):
    for i in range(100):
        client.send_echo(f"token {i}")
    for i in range(100):
        equal(client.recv_echo(), f"token {i}")


CHECKS = {
    "echo-ascii": echo("hello"),
    "echo-empty": echo(""),
    "echo-unicode": echo(UNICODE),
    "echo-long": echo("0123456789" * 10000),
    "get-user": lambda client: equal(client.getUser("t", 7), user(7, "t")),
    "get-user-inactive": lambda client: equal(client.getUser("t", 10), user(10, "t")),
    "get-user-last": lambda client: equal(client.getUser("é", 1000000), user(1000000, "é")),
    "get-user-missing": lambda client: missing(client.getUser, -5, "t", -5),
    "get-users": lambda client: equal(client.getUsers("t", [1, 2, 10, 0]),
                                      {i: user(i, "t") for i in (1, 2, 10)}),
    "get-users-empty": lambda client: equal(client.getUsers("t", []), {}),
    "find-user": lambda client: equal(client.findUser(42), user(42, "")),
    "find-user-missing": lambda client: missing(client.findUser, -2**63, -2**63),
    "find-users": lambda client: equal(client.findUsers([5, 6, -1]),
                                       {i: user(i, "") for i in (5, 6)}),
    "get-user-batch": get_user_batch,
    "touch": lambda client: equal(client.touch("t"), None),
    "log-oneway": log_oneway,
    "everything-typical": everything(),
    "bool-false": everything(aBool=False),
    "byte-min": everything(aByte=-128),
    "byte-max": everything(aByte=127),
    "i16-min": everything(anI16=-2**15),
    "i16-max": everything(anI16=2**15 - 1),
    "i32-min": everything(anI32=-2**31),
    "i32-max": everything(anI32=2**31 - 1),
    "i64-min": everything(anI64=-2**63),
    "i64-max": everything(anI64=2**63 - 1),
    "double-max": everything(aDouble=sys.float_info.max),
    "double-tiny": everything(aDouble=5e-324),
    "double-minus-zero": double(lambda got: got == 0 and math.copysign(1, got) == -1, -0.0),
    "double-nan": double(math.isnan, math.nan),
    "double-infinity": everything(aDouble=math.inf),
    "double-minus-infinity": everything(aDouble=-math.inf),
    "string-empty": everything(aString=""),
    "string-unicode": everything(aString=UNICODE),
    "binary-empty": everything(aBinary=b""),
    "binary-all": everything(aBinary=ALL_BYTES),
    "list-empty": everything(aList=[]),
    "list-long": everything(aList=list(range(-1000, 1000))),
    "set-empty": everything(aSet=set()),
    "set-long": everything(aSet={str(i) for i in range(100)}),
    "map-empty": everything(aMap={}),
    "map-values": everything(aMap={"": 0, "é": -2**63, "max": 2**63 - 1}),
    "structs-empty": everything(structs=[]),
    "structs-long": everything(structs=[Point(float(i), float(-i)) for i in range(100)]),
    "fail": fail,
    "after-fail": echo("still there"),
    "blob-empty": lambda client: equal(client.blob(b"", 0), b""),
    "blob-grown": lambda client: equal(client.blob(b"abc", 10), b"abcabcabca"),
    "blob-1mib": blob_1mib,
    "wait": lambda client: equal(client.wait("t", 20), "t"),
    "append-lines": append_lines,
    "unheard-of": unheard_of({}, {"one": 1}),
    "unheard-of-bool-map": unheard_of({"yes": True, "no": False}, {}),
    "after-unheard-of": echo("still there"),
    "many-calls": many_calls,
    "in-flight": in_flight,
    "stats": lambda client: equal(client.stats().calls >= 200, True),
}


def main(form):
    client = None
    for name, check in CHECKS.items():
        try:
            client = client or connect(*form)
            check(client)
            print("ok", name, flush=True)
        except Exception as error:  # pylint: disable=broad-except
            print(f"not ok {name}: {type(error).__name__}: {error}".replace("\n", " "), flush=True)
            client = None  # whatever is left on that connection is no business of the next check


if __name__ == "__main__":
    main(sys.argv[1:4])
