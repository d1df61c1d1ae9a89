"""Daemons with an fb303 interface, and ways to talk to it."""

import contextlib
import json
import os

import pytest
import wire
from clients import Thrift
from thrift_batch_admin import AdminService

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


def daemon_with_fb303(bench, *upstreams, at="127.0.0.1:0", **sections):
    """A daemon whose `admin_address` is its fb303 interface's."""
    daemon = bench.daemon(*upstreams, admin={"fb303": at}, **sections)
    daemon.admin_address = daemon.log.wait_for(r"fb303 on (\S+)")[0][1]
    return daemon


def at_socket(directory):
    return f"unix:{directory}/fb303.sock"


def admin(daemon, protocol="binary", transport="framed"):
    """A python3-thrift client of the interface."""
    return Thrift(daemon.admin_address, protocol, transport, service=AdminService)


def stats(daemon):
    with admin(daemon) as client:
        return json.loads(client.getStatsJson())


def changes():
    """A call of everything that changes the daemon; the oneway methods last."""
    text = wire.STRING
    return [
        wire.call("setOption", 1, (1, text, b"window"), (2, text, b"7ms")),
        wire.call("pause", 2),
        wire.call("reload", 3),
        wire.call("drain", 4),
        wire.call("resume", 5),
        wire.call("reinitialize", 6, kind=wire.ONEWAY),
        wire.call("shutdown", 7, kind=wire.ONEWAY),
    ]


@contextlib.contextmanager
def as_user(uid):
    """What is connected meanwhile is so by that user; only root can."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
