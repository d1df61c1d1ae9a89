"""Serves the demo service with ThriftPy and idl/adapters/thriftpy."""

import argparse
import os
import sys
from pathlib import Path

IDL = Path(os.environ["IDL_DIR"])
sys.path[:0] = [str(IDL / "adapters" / "thriftpy"),
                str(Path(__file__).resolve().parents[1] / "python")]

# pylint: disable=wrong-import-position
import thriftpy
from thriftpy.protocol import TCyBinaryProtocolFactory
from thriftpy.protocol.binary import TBinaryProtocolFactory
from thriftpy.server import TThreadedServer
from thriftpy.thrift import TMultiplexedProcessor, TProcessor
from thriftpy.transport import (TCyBufferedTransportFactory, TCyFramedTransportFactory,
                                TServerSocket, TTransportException)
from thriftpy.transport.buffered import TBufferedTransportFactory
from thriftpy.transport.framed import TFramedTransportFactory

import directory
from batch_adapter import BatchProcessor

FACTORIES = {"binary": {"framed": TFramedTransportFactory, "buffered": TBufferedTransportFactory,
                        "protocol": TBinaryProtocolFactory},
             "binary-cython": {"framed": TCyFramedTransportFactory,
                               "buffered": TCyBufferedTransportFactory,
                               "protocol": TCyBinaryProtocolFactory}}


class Socket(TServerSocket):
    def listen(self):
        super().listen()
        print("listening on %s:%d" % self.sock.getsockname()[:2], flush=True)


class Counting(TProcessor):
    """Counts the messages that came over connections."""

    def __init__(self, inner, handler):
        self.inner = inner
        self.handler = handler

    def process(self, iprot, oprot):
        self.inner.process(iprot, oprot)
        self.handler.count_message()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--transport", choices=("framed", "buffered"), default="framed")
    parser.add_argument("--protocol", choices=FACTORIES, default="binary")
    parser.add_argument("--multiplexed", action="store_true")
    parser.add_argument("--max-requests", type=int)
    parser.add_argument("--max-bytes", type=int)
    options = parser.parse_args()

    demo = thriftpy.load(str(IDL / "demo.thrift"), module_name="demo_thrift")
    handler = directory.Directory(demo, TTransportException)
    inner = TProcessor(demo.Directory, handler)
    if options.multiplexed:
        inner, service = TMultiplexedProcessor(), inner
        inner.register_processor("Directory", service)
    limits = {name: value for name in ("max_requests", "max_bytes")
              if (value := getattr(options, name)) is not None}
    processor = BatchProcessor(inner, **limits)

    factories = FACTORIES[options.protocol]
    TThreadedServer(Counting(processor, handler),
                    Socket("127.0.0.1", 0, client_timeout=None),
                    iprot_factory=factories["protocol"](),
                    itrans_factory=factories[options.transport](), daemon=True).serve()


main()
