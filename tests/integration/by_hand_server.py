"""A python3-thrift server of idl/by-hand.thrift, a thread a connection. Says where it listens, and
at its end how many messages of each method came: `by_hand_server.py GEN_DIRECTORY PROTOCOL`."""

import collections
import signal
import sys
import threading

sys.path.insert(0, sys.argv[1])

# pylint: disable=wrong-import-position
from by_hand import Worker
from by_hand.ttypes import BatchResponse, Response
from thrift.protocol import TBinaryProtocol, TCompactProtocol
from thrift.server import TServer
from thrift.transport import TSocket, TTransport

PROTOCOLS = {"binary": TBinaryProtocol.TBinaryProtocolFactory,
             "compact": TCompactProtocol.TCompactProtocolFactory}


class Handler:
    def __init__(self):
        self.came = collections.Counter()
        self._lock = threading.Lock()

    def _note(self, method):
        with self._lock:
            self.came[method] += 1

    def execute(self, r):
        self._note("execute")
        return answer(r)

    def executeBatch(self, batch):
        self._note("executeBatch")
        return BatchResponse([answer(request) for request in batch.requests])


def answer(request):
    return Response(request.token, request.number * request.number)


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # no thread but this one takes it
    handler = Handler()
    listener = TSocket.TServerSocket("127.0.0.1", 0)
    listener.listen()
    print("listening on 127.0.0.1:%d" % listener.handle.getsockname()[1], flush=True)

    listener.listen = lambda: None
    server = TServer.TThreadedServer(Worker.Processor(handler), listener,
                                     TTransport.TFramedTransportFactory(),
                                     PROTOCOLS[sys.argv[2]](), daemon=True)
    threading.Thread(target=server.serve, daemon=True).start()
    signal.sigwait({signal.SIGTERM})
    print("came: " + " ".join(f"{name}={count}" for name, count in handler.came.items()), flush=True)


main()
