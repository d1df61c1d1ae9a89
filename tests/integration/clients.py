"""Unmodified clients of the demo service, in every form that python3-thrift and ThriftPy offer."""

import functools
import os
from pathlib import Path

import thriftpy
import thriftpy.protocol
import thriftpy.rpc
import thriftpy.transport
from thrift.protocol import TBinaryProtocol, TCompactProtocol
from thrift.transport import TSocket, TTransport
from thrift_batch_demo import Directory

import harness

# --- python3-thrift -------------------------------------------------------------------------------

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
TRANSPORTS = {"buffered": TTransport.TBufferedTransport, "framed": TTransport.TFramedTransport}


def thrift_socket(address):
    if address.startswith("unix:"):
        sock = TSocket.TSocket(unix_socket=address[len("unix:"):])
    else:
        sock = TSocket.TSocket(*harness.host_and_port(address))
    sock.setTimeout(harness.PATIENCE * 1000)
    return sock


class Thrift:
    """A python3-thrift client: `with Thrift(daemon) as client: client.echo(...)`."""

    def __init__(self, where, protocol="binary", transport="framed", service=Directory):
        address = getattr(where, "address", where)
        self.transport = TRANSPORTS[transport](thrift_socket(address))
        self.client = service.Client(PROTOCOLS[protocol](self.transport))
        self.transport.open()

    def __enter__(self):
        return self.client

    def __exit__(self, *_):
        self.transport.close()


def stats(upstream, protocol="binary", transport="framed"):
    """The demo server's counters, asked for on a connection of our own."""
    with Thrift(upstream, protocol, transport) as client:
        return client.stats()


# --- ThriftPy -------------------------------------------------------------------------------------

# Without compact: ThriftPy 0.3.9's does not run under the Python of Debian 12 (array.tostring).
THRIFTPY_FORMS = {
    "binary-buffered": ("TBinaryProtocolFactory", "TBufferedTransportFactory"),
    "binary-framed": ("TBinaryProtocolFactory", "TFramedTransportFactory"),
    "cybinary-cybuffered": ("TCyBinaryProtocolFactory", "TCyBufferedTransportFactory"),
    "cybinary-cyframed": ("TCyBinaryProtocolFactory", "TCyFramedTransportFactory"),
}


@functools.cache
def thriftpy_idl(name):
    """The module that ThriftPy makes of idl/NAME.thrift."""
    path = Path(os.environ["IDL_DIR"]) / f"{name}.thrift"
    return thriftpy.load(str(path), module_name=f"{name}_thrift")


class ThriftPy:
    def __init__(self, where, form, service=None):
        protocol, transport = THRIFTPY_FORMS[form]
        host, port = harness.host_and_port(getattr(where, "address", where))
        self.client = thriftpy.rpc.make_client(
            service or thriftpy_idl("demo").Directory, host, port,
            proto_factory=getattr(thriftpy.protocol, protocol)(),
            trans_factory=getattr(thriftpy.transport, transport)(),
            timeout=harness.PATIENCE * 1000)

    def __enter__(self):
        return self.client

    def __exit__(self, *_):
        self.client.close()
