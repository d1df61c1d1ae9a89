"""A python3-thrift service in front of a data store, as the benchmarks measure it.

    python_upstream.py GENERATED-PY ADAPTER-DIRECTORY [--query-ms MS] [--store-connections N]
                       [--executor THREADS] [--pool THREADS]

A query to the store takes the same time for one id and for a list of them. The time is slept: it
stands for a store on another machine, to which the service has so many connections: further queries
wait for one. executeBatch is answered by the adapter; without threads it runs the calls of a batch
one after another. A TThreadedServer, or a TThreadPoolServer of so many threads.
"""

import argparse
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

GENERATED, ADAPTER = sys.argv[1:3]
sys.path[:0] = [GENERATED, ADAPTER]

# pylint: disable=wrong-import-position
from batch_adapter import BatchProcessor
from bench_users import Users
from bench_users.ttypes import User
from thrift.protocol import fastbinary  # noqa: F401 pylint: disable=unused-import
from thrift.protocol.TBinaryProtocol import TBinaryProtocolAcceleratedFactory
from thrift.server.TServer import TThreadedServer, TThreadPoolServer
from thrift.transport.TSocket import TServerSocket
from thrift.transport.TTransport import TFramedTransportFactory


class Store:
    def __init__(self, seconds, connections):
        self._seconds = seconds
        self._connections = threading.Semaphore(connections)

    def query(self, ids):
        if self._seconds:
            with self._connections:
                time.sleep(self._seconds)
        return [User(number, f"user-{number}", number % 10 != 0) for number in ids]


class Handler:
    """The methods of the service, named by its IDL."""

    def __init__(self, store):
        self._store = store

    def getUser(self, id):  # pylint: disable=invalid-name,redefined-builtin
        return self._store.query([id])[0]

    def getUsers(self, ids):  # pylint: disable=invalid-name
        return self._store.query(ids)


class Announced(TServerSocket):
    def listen(self):
        super().listen()
        print("listening on %s:%d" % self.handle.getsockname()[:2], flush=True)


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--query-ms", type=float, default=0)
    parser.add_argument("--store-connections", type=int, default=5)
    parser.add_argument("--executor", type=int, default=0)
    parser.add_argument("--pool", type=int, default=0)
    return parser.parse_args(sys.argv[3:])


def main():
    asked = options()
    store = Store(asked.query_ms / 1000, asked.store_connections)
    executor = ThreadPoolExecutor(asked.executor) if asked.executor else None
    processor = BatchProcessor(Users.Processor(Handler(store)), executor=executor)
    parts = (processor, Announced("127.0.0.1", 0), TFramedTransportFactory(),
             TBinaryProtocolAcceleratedFactory())
    if asked.pool:
        server = TThreadPoolServer(*parts, daemon=True)
        server.setNumThreads(asked.pool)
    else:
        server = TThreadedServer(*parts, daemon=True)
    server.serve()


main()
