"""Serves executeBatch (batch.thrift) in front of a ThriftPy server's own processor.

    from batch_adapter import BatchProcessor

    processor = TProcessor(demo_thrift.Directory, handler)     # as before
    processor = BatchProcessor(processor)                      # answers executeBatch too
    server = TThreadedServer(processor, socket, iprot_factory=..., itrans_factory=...)

(make_server() makes its processor itself; there: server.processor =
BatchProcessor(server.processor).) batch.thrift need not be loaded, and nothing else in the
server changes. Each call of a batch goes to the inner processor over memory, one after
another, in the protocol of the connection; the replies go back together, one Response a
Request, in order. Every other message goes to the inner processor as if the adapter were not
there.

- A Response has no message where the inner processor wrote nothing: a method that the IDL
  declares oneway.
- A call that does not parse, is no call, or on which the inner processor fails is answered
  with a TApplicationException of its own; its neighbours do not notice. (Outside of a batch,
  what a handler raises without declaring it closes the connection.) So is one whose
  timeoutMs is over before it begins; oneway methods are executed all the same, and their
  errors are only logged.
- Refused with a TApplicationException, and nothing executed: a batch above a limit
  (INTERNAL_ERROR) or one that does not parse (PROTOCOL_ERROR). Where the end of the message
  is not known then, the connection is closed behind the answer.
- A batch inside a batch is an unknown method.
- The inner processor may be a TMultiplexedProcessor; BatchService:executeBatch is answered
  like executeBatch.
- ThriftPy's server sockets close a connection that was idle for client_timeout (3 s unless
  you say otherwise): [upstream] idle_timeout of the proxy has to be less.
"""

import functools
import logging
import threading
import time

from thriftpy.thrift import (TApplicationException, TMessageType, TMultiplexedProcessor,
                             TPayload, TProcessor, TType)
from thriftpy.transport import TBufferedTransport, TMemoryBuffer, TTransportException
from thriftpy.transport.memory import TMemoryBuffer as TPlainMemoryBuffer

METHODS = ("executeBatch", "BatchService:executeBatch")

logger = logging.getLogger(__name__)


class BatchProcessor(TProcessor):
    """`inner` is any processor.

    `protocol_factory` makes the protocols of the single calls; by default they are of the
    connection's class with its default settings.
    """

    def __init__(self, inner, max_requests=10_000, max_bytes=64 << 20, protocol_factory=None):
        # Not TProcessor.__init__(): service and handler are the inner processor's.
        self._inner = inner
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._protocol_factory = protocol_factory

    def process(self, iprot, oprot):
        header = iprot.read_message_begin()
        if header[0] not in METHODS:
            self._inner.process(_ReadAgain(iprot, header), oprot)
            return
        try:
            requests = self._read(iprot)
        except TApplicationException as refusal:
            logger.warning("refused a batch: %s", refusal.message)
            _write(oprot, TMessageType.EXCEPTION, "executeBatch", header[2], refusal)
            if refusal.__cause__ is None:
                return
            # Servers close the connection on this, and do not log it once more.
            raise TTransportException(message="a batch was left half read")
        begin = time.monotonic()
        replies = [self._call(request, position, begin, iprot)
                   for position, request in enumerate(requests)]
        _write(oprot, TMessageType.REPLY, "executeBatch", header[2], _Result(replies))

    def _read(self, iprot):
        """The requests, or a TApplicationException, with a cause if it ended the reading."""
        arguments = _Arguments()
        _reading.room = self._max_requests
        try:
            iprot.read_struct(arguments)
            iprot.read_message_end()
        except _TooMany as problem:
            raise TApplicationException(
                TApplicationException.INTERNAL_ERROR,
                f"a batch of more than {self._max_requests} requests") from problem
        except TTransportException:
            raise  # the connection is lost
        except Exception as problem:
            raise TApplicationException(
                TApplicationException.PROTOCOL_ERROR,
                f"a batch that does not parse: {problem!r}") from problem
        requests = arguments.batch and arguments.batch.requests
        if requests is None or any(request.message is None for request in requests):
            raise TApplicationException(TApplicationException.PROTOCOL_ERROR,
                                        "a batch lacks a required field")
        for request in requests:
            # ThriftPy makes text of binary that happens to be UTF-8, and none of ours is.
            if isinstance(request.message, str):
                request.message = request.message.encode()
        if sum(len(request.message) for request in requests) > self._max_bytes:
            raise TApplicationException(TApplicationException.INTERNAL_ERROR,
                                        f"a batch of more than {self._max_bytes} bytes")
        return requests

    def _call(self, request, position, begin, iprot):
        """The reply to one call; None where none is owed."""
        late = (request.timeoutMs is not None and
                (time.monotonic() - begin) * 1000 >= request.timeoutMs)
        # Not straight from ThriftPy 0.3.9's cython memory buffer: that reads on behind its
        # end, whatever stands there.
        memory = TBufferedTransport(TPlainMemoryBuffer(request.message))
        source = _CallProtocol(self._protocol(iprot, memory),
                               functools.partial(self._check, late))
        target = self._protocol(iprot, TMemoryBuffer())
        try:
            self._inner.process(source, target)
        except Exception as problem:
            return self._failure(problem, source, position, iprot)
        return target.trans.getvalue() or None

    def _check(self, late, name, kind, seqid):
        if kind not in (TMessageType.CALL, TMessageType.ONEWAY):
            raise TApplicationException(TApplicationException.INVALID_MESSAGE_TYPE,
                                        "a request of a batch must be a call")
        if late and not self._is_oneway(name, kind):
            raise TApplicationException(TApplicationException.INTERNAL_ERROR,
                                        "deadline passed")

    def _is_oneway(self, name, kind):
        """Some clients, ThriftPy's too, send oneway calls as CALL, and would take an error
        for the answer to their next call."""
        processor = self._inner
        if isinstance(processor, TMultiplexedProcessor):
            service, _, name = name.rpartition(processor.SEPARATOR)
            processor = processor.processors.get(service)
        result = getattr(getattr(processor, "_service", None), name + "_result", None)
        return kind == TMessageType.ONEWAY or getattr(result, "oneway", False)

    def _failure(self, problem, source, position, iprot):
        name, kind, seqid = source.header or ("", TMessageType.CALL, position)
        if isinstance(name, bytes):  # no UTF-8
            name = name.decode(errors="replace")
        refusal = _refusal(problem, source)
        logger.warning("call %r of a batch: %r", name, problem, exc_info=(
            problem if refusal.message == "Internal error" else None))
        if self._is_oneway(name, kind):
            return None
        target = self._protocol(iprot, TMemoryBuffer())
        # Multiplexed servers answer with the bare name.
        _write(target, TMessageType.EXCEPTION, name.split(":", 1)[-1], seqid, refusal)
        return target.trans.getvalue()

    def _protocol(self, iprot, memory):
        if self._protocol_factory is not None:
            return self._protocol_factory.get_protocol(memory)
        return type(iprot)(memory)


def _write(oprot, kind, name, seqid, struct):
    oprot.write_message_begin(name, kind, seqid)
    struct.write(oprot)
    oprot.write_message_end()
    oprot.trans.flush()


def _refusal(problem, source):
    if isinstance(problem, TApplicationException) and not source.arguments_read:
        return problem
    if source.arguments_read:
        return TApplicationException(TApplicationException.INTERNAL_ERROR, "Internal error")
    if source.header is not None and isinstance(problem, AttributeError):
        # TMultiplexedProcessor looks the arguments of an unknown method up, and fails.
        return TApplicationException(TApplicationException.UNKNOWN_METHOD)
    return TApplicationException(TApplicationException.PROTOCOL_ERROR,
                                 f"a call that does not parse: {problem!r}")


class _ReadAgain:
    """A protocol whose next message header has been read already."""

    def __init__(self, protocol, header):
        self._protocol = protocol
        self._header = header

    def __getattr__(self, name):
        return getattr(self._protocol, name)

    def read_message_begin(self):
        return self._header


class _CallProtocol:
    """From which the inner processor reads one call; knows how far it came."""

    def __init__(self, protocol, check):
        self._protocol = protocol
        self._check = check
        self.header = None
        self.arguments_read = False

    def __getattr__(self, name):
        return getattr(self._protocol, name)

    def read_message_begin(self):
        self.header = self._protocol.read_message_begin()
        self._check(*self.header)
        return self.header

    def read_message_end(self):
        self._protocol.read_message_end()
        self.arguments_read = True


# --- what batch.thrift declares -----------------------------------------------------------------

_reading = threading.local()  # .room: how many requests the batch being read may still have


class _TooMany(Exception):
    pass


class _Request(TPayload):
    thrift_spec = {1: (TType.STRING, "message", True),
                   2: (TType.I32, "timeoutMs", False),
                   3: (TType.I32, "lane", False)}

    def __init__(self):
        _reading.room -= 1
        if _reading.room < 0:
            raise _TooMany
        self.message = self.timeoutMs = self.lane = None


class _BatchRequest(TPayload):
    thrift_spec = {1: (TType.LIST, "requests", (TType.STRUCT, _Request), True)}

    def __init__(self):
        self.requests = None


class _Arguments(TPayload):
    thrift_spec = {1: (TType.STRUCT, "batch", _BatchRequest, True)}

    def __init__(self):
        self.batch = None


class _Response(TPayload):
    thrift_spec = {1: (TType.STRING, "message", False)}

    def __init__(self, message):
        self.message = message


class _BatchResponse(TPayload):
    thrift_spec = {1: (TType.LIST, "responses", (TType.STRUCT, _Response), True)}

    def __init__(self, responses):
        self.responses = responses


class _Result(TPayload):
    thrift_spec = {0: (TType.STRUCT, "success", _BatchResponse, False)}

    def __init__(self, replies):
        self.success = _BatchResponse([_Response(reply) for reply in replies])
