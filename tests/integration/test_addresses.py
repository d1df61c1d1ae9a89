"""Where the daemon listens and connects: unix sockets, IPv6, several at once."""

import os
import socket
import stat

import pytest
from clients import Thrift
from harness import Upstream, eventually, refused_address


def serves(where, token="here"):
    with Thrift(where) as client:
        return client.echo(token) == token


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
        return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback here")


def test_unix_listener(bench, upstream, directory):
    path = directory / "batchd.sock"
    daemon = bench.daemon(upstream, daemon={"listen": f"unix:{path}", "socket_mode": "0600"})
    assert daemon.address == f"unix:{path}"
    assert serves(daemon)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    daemon.end()
    assert not path.exists(), "its socket goes with it"


def test_unix_upstream(bench, directory):
    upstream = bench.upstream(listen=f"unix:{directory}/up.sock")
    assert serves(bench.daemon(upstream))


@needs_ipv6
def test_ipv6(bench):
    upstream = bench.upstream(listen="[::1]:0")
    daemon = bench.daemon(upstream, daemon={"listen": "[::1]:0"})
    assert daemon.address.startswith("[::1]:")
    assert serves(daemon)


def test_several_listeners(bench, upstream, directory):
    daemon = bench.daemon(upstream, listeners=3, daemon={
        "listen": f"127.0.0.1:0, 127.0.0.1:0, unix:{directory}/a.sock", "workers": "2"})
    assert len(set(daemon.addresses)) == 3
    for number, address in enumerate(daemon.addresses * 3):
        assert serves(address, f"listener-{number}")


def test_a_host_name_as_upstream(bench):
    upstream = bench.upstream()
    port = upstream.address.rsplit(":", 1)[1]
    assert serves(bench.daemon(f"localhost:{port}"))


def test_stale_unix_socket_is_replaced(bench, upstream, directory):
    path = directory / "stale.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
    assert path.exists()
    assert serves(bench.daemon(upstream, daemon={"listen": f"unix:{path}"}))


def test_a_served_unix_socket_is_not(bench, upstream, directory):
    path = directory / "served.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        fails_to_start(bench, upstream, f"unix:{path}", str(path))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_file_in_the_way_is_not_replaced(bench, upstream, directory):
    path = directory / "precious.txt"
    path.write_text("precious")
    fails_to_start(bench, upstream, f"unix:{path}", str(path))
    assert path.read_text() == "precious"


def test_address_in_use(bench, upstream):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = "127.0.0.1:%d" % server.getsockname()[1]
        fails_to_start(bench, upstream, address, address)


def test_all_or_nothing(bench, upstream, directory):
    """The second address is in use: nothing is left behind of the first."""
    first = directory / "first.sock"
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = "127.0.0.1:%d" % server.getsockname()[1]
        fails_to_start(bench, upstream, f"unix:{first}, {address}", address)
    assert not first.exists()


def fails_to_start(bench, upstream, listen, named):
    daemon = bench.daemon(upstream, listeners=0, daemon={"listen": listen})
    daemon.expected_status = 1
    assert daemon.wait(5) == 1
    assert named in daemon.log.text(), "the error names the address"


def test_starts_before_its_upstream(bench):
    """No upstream yet is no reason not to start; it is connected to when it is there."""
    held, address = refused_address()
    daemon = bench.daemon(address)
    held.close()
    bench.on_end(Upstream(listen=address).kill)

    def served():
        try:
            return serves(daemon)
        except Exception:  # pylint: disable=broad-except
            return False

    eventually(served)
