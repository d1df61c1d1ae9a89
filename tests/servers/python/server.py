"""Serves the demo service with python3-thrift and idl/adapters/python."""

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path[:0] = [os.environ["GEN_PY"], str(Path(os.environ["IDL_DIR"]) / "adapters" / "python")]

# pylint: disable=wrong-import-position
from thrift.protocol import TBinaryProtocol, TCompactProtocol
from thrift.server.TServer import TThreadedServer
from thrift.Thrift import TProcessor
from thrift.TMultiplexedProcessor import TMultiplexedProcessor
from thrift.transport import TSocket, TTransport
from thrift_batch_demo import Directory, ttypes

import directory
from batch_adapter import BatchProcessor

TRANSPORTS = {"framed": TTransport.TFramedTransportFactory,
              "buffered": TTransport.TBufferedTransportFactory}
PROTOCOLS = {"binary": TBinaryProtocol.TBinaryProtocolFactory,
             "binary-accelerated": lambda: TBinaryProtocol.TBinaryProtocolAcceleratedFactory(
                 fallback=False),
             "compact": TCompactProtocol.TCompactProtocolFactory,
             "compact-accelerated": lambda: TCompactProtocol.TCompactProtocolAcceleratedFactory(
                 fallback=False)}


class Socket(TSocket.TServerSocket):
    def listen(self):
        super().listen()
        print("listening on %s:%d" % self.handle.getsockname()[:2], flush=True)


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
    parser.add_argument("--transport", choices=TRANSPORTS, default="framed")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="binary")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--multiplexed", action="store_true")
    parser.add_argument("--max-requests", type=int)
    parser.add_argument("--max-bytes", type=int)
    options = parser.parse_args()

    handler = directory.Directory(ttypes, TTransport.TTransportException)
    inner = Directory.Processor(handler)
    if options.multiplexed:
        inner, service = TMultiplexedProcessor(), inner
        inner.registerProcessor("Directory", service)
    limits = {name: value for name in ("max_requests", "max_bytes")
              if (value := getattr(options, name)) is not None}
    executor = ThreadPoolExecutor(options.threads) if options.threads else None
    processor = BatchProcessor(inner, executor=executor, **limits)

    TThreadedServer(Counting(processor, handler), Socket("127.0.0.1", 0),
                    TRANSPORTS[options.transport](), PROTOCOLS[options.protocol](),
                    daemon=True).serve()


main()
