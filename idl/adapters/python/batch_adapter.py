"""Serves executeBatch (batch.thrift) in front of a python3-thrift server's own processor.

    from batch_adapter import BatchProcessor

    processor = Directory.Processor(handler)                   # as before
    processor = BatchProcessor(processor)                      # answers executeBatch too
    server = TThreadedServer(processor, socket, transport_factory, protocol_factory)

Nothing has to be generated from batch.thrift, and nothing else in the server changes. Each
call of a batch goes to the inner processor over memory, in the protocol of the connection;
the replies go back together, one Response a Request, in order. Every other message goes to
the inner processor as if the adapter were not there.

Calls run one after another in the connection's thread. Where the methods wait for something
(a database, another service), give it threads:

    processor = BatchProcessor(processor, executor=ThreadPoolExecutor(64))

Then requests of the same lane run in their order and all others side by side. The executor
must not be one in which the server handles its connections: these wait for it.

- A Response has no message where the inner processor wrote nothing: a oneway method.
- A call that does not parse, is no call, or on which the inner processor fails is answered
  with a TApplicationException of its own; its neighbours do not notice. So is one whose
  timeoutMs is over before it begins; oneway methods are executed all the same, and their
  errors are only logged.
- Refused with a TApplicationException, and nothing executed: a batch above a limit
  (INTERNAL_ERROR) or one that does not parse (PROTOCOL_ERROR). Where the end of the message
  is not known then, the connection is closed behind the answer.
- A batch inside a batch is an unknown method.
- The inner processor may be a TMultiplexedProcessor; BatchService:executeBatch is answered
  like executeBatch.
"""

import functools
import logging
import time

from thrift.protocol.TBase import TBase
from thrift.protocol.TBinaryProtocol import TBinaryProtocol, TBinaryProtocolAccelerated
from thrift.protocol.TProtocol import TProtocolException
from thrift.Thrift import TApplicationException, TMessageType, TProcessor, TType
from thrift.TMultiplexedProcessor import TMultiplexedProcessor
from thrift.transport.TTransport import TMemoryBuffer, TTransportException

METHODS = ("executeBatch", "BatchService:executeBatch")

logger = logging.getLogger(__name__)


class BatchProcessor(TProcessor):
    """`inner` is any processor.

    `protocol_factory` makes the protocols of the single calls; by default they are of the
    connection's class with its default settings, which does for binary and compact.
    """

    def __init__(self, inner, executor=None, max_requests=10_000, max_bytes=64 << 20,
                 protocol_factory=None):
        self._inner = inner
        self._executor = executor
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._protocol_factory = protocol_factory

    def on_message_begin(self, func):
        """Called for the calls of a batch, not for the batch."""
        self._inner.on_message_begin(func)

    def process(self, iprot, oprot):
        header = iprot.readMessageBegin()
        if header[0] not in METHODS:
            _read_again(iprot, header)
            return self._inner.process(iprot, oprot)
        try:
            requests = self._read(iprot)
        except TApplicationException as refusal:
            logger.warning("refused a batch: %s", refusal.message)
            _write(oprot, TMessageType.EXCEPTION, "executeBatch", header[2], refusal)
            if isinstance(refusal.__cause__, Exception):
                # Servers close the connection on this, and do not log it once more.
                raise TTransportException(message="a batch was left half read")
            return True
        replies = self._execute(requests, iprot)
        answer = _Result(_BatchResponse([_Response(reply) for reply in replies]))
        _write(oprot, TMessageType.REPLY, "executeBatch", header[2], answer)
        return True

    def _read(self, iprot):
        """The requests, or a TApplicationException, with a cause if it ended the reading."""
        arguments = _Arguments()
        try:
            self._read_limited(iprot, arguments)
        except Exception as problem:
            if _is_size_limit(problem):
                raise TApplicationException(
                    TApplicationException.INTERNAL_ERROR,
                    f"a batch of more than {self._max_requests} requests "
                    f"or {self._max_bytes} bytes") from problem
            if isinstance(problem, TTransportException) and not _is_bad_size(problem):
                raise  # the connection is lost
            raise TApplicationException(
                TApplicationException.PROTOCOL_ERROR,
                f"a batch that does not parse: {problem!r}") from problem
        requests = arguments.batch and arguments.batch.requests
        if requests is None or any(request.message is None for request in requests):
            raise TApplicationException(
                TApplicationException.PROTOCOL_ERROR, "a batch lacks a required field")
        if sum(len(request.message) for request in requests) > self._max_bytes:
            raise TApplicationException(
                TApplicationException.INTERNAL_ERROR,
                f"a batch of more than {self._max_bytes} bytes")
        return requests

    def _read_limited(self, iprot, arguments):
        """Limits what is allocated while reading, also by the accelerated protocols."""
        limits = {"container_length_limit": self._max_requests,
                  "string_length_limit": self._max_bytes}
        before = {name: getattr(iprot, name, None) for name in limits}
        try:
            for name, limit in limits.items():
                setattr(iprot, name, min(limit, before[name] or limit))
            arguments.read(iprot)
            iprot.readMessageEnd()
        finally:
            for name, limit in before.items():
                setattr(iprot, name, limit)

    def _execute(self, requests, iprot):
        begin = time.monotonic()
        replies = [None] * len(requests)

        def run(positions):
            pair = self._pair(iprot) if self._keep_nothing(iprot) else None
            for position in positions:
                request = requests[position]
                late = (request.timeoutMs is not None and
                        (time.monotonic() - begin) * 1000 >= request.timeoutMs)
                replies[position] = self._call(request.message, position, late, iprot, pair)

        if self._executor is None:
            run(range(len(requests)))
            return replies
        in_order = {}
        for position, request in enumerate(requests):
            alone = position if request.lane is None else None
            in_order.setdefault((request.lane, alone), []).append(position)
        # list(): waits for all, and shows what no call should ever raise.
        list(self._executor.map(run, in_order.values()))
        return replies

    def _keep_nothing(self, iprot):
        """The binary protocols keep nothing from one message to the next, so that a pair of
        them serves for many; making a pair costs as much as a call."""
        return (self._protocol_factory is None and
                type(iprot) in (TBinaryProtocol, TBinaryProtocolAccelerated))

    def _pair(self, iprot, message=None):
        """Protocols to read one call from and to write its reply to."""
        source = self._protocol(iprot, TMemoryBuffer(message))
        source.__class__ = _call_protocol(type(source))
        return source, self._protocol(iprot, TMemoryBuffer())

    def _call(self, message, position, late, iprot, pair):
        """The reply to one call; None where none is owed."""
        if pair is None:
            source, target = self._pair(iprot, message)
        else:
            source, target = pair
            source.trans, target.trans = TMemoryBuffer(message), TMemoryBuffer()
        source.seen = []
        source.check = functools.partial(self._check, late)
        try:
            self._inner.process(source, target)
        except Exception as problem:
            return self._failure(problem, source.seen, position, iprot)
        return target.trans.getvalue() or None

    def _check(self, late, name, kind, seqid):
        if kind not in (TMessageType.CALL, TMessageType.ONEWAY):
            raise TApplicationException(TApplicationException.INVALID_MESSAGE_TYPE,
                                        "a request of a batch must be a call")
        if late and not self._is_oneway(name, kind):
            raise TApplicationException(TApplicationException.INTERNAL_ERROR,
                                        "deadline passed")

    def _is_oneway(self, name, kind):
        """Some clients send oneway calls as CALL, and would take an error for the answer to
        their next call. What the compiler made tells: only others have a result struct."""
        processor = self._inner
        if isinstance(processor, TMultiplexedProcessor):
            service, _, name = name.rpartition(":")
            processor = (processor.services.get(service) if service else
                         processor.defaultProcessor)
        method = getattr(processor, "_processMap", {}).get(name)
        return kind == TMessageType.ONEWAY or (
            method is not None and name + "_result" not in method.__globals__)

    def _failure(self, problem, seen, position, iprot):
        name, kind, seqid = seen[0] if seen else ("", TMessageType.CALL, position)
        if isinstance(name, bytes):  # python3-thrift, where the header has no version
            name = name.decode(errors="replace")
        refusal = _refusal(problem, arguments_read=len(seen) > 1)
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
            return self._protocol_factory.getProtocol(memory)
        return type(iprot)(memory)


def _read_again(iprot, header):
    """Lets the next readMessageBegin() return what has been read already."""
    def once():
        del iprot.readMessageBegin
        return header

    iprot.readMessageBegin = once


def _write(oprot, kind, name, seqid, struct):
    oprot.writeMessageBegin(name, kind, seqid)
    struct.write(oprot)
    oprot.writeMessageEnd()
    oprot.trans.flush()


def _is_size_limit(problem):
    return isinstance(problem, OverflowError) or (  # the accelerated protocols'
        isinstance(problem, TTransportException) and
        problem.type == TTransportException.SIZE_LIMIT)


def _is_bad_size(problem):
    return problem.type in (TTransportException.SIZE_LIMIT, TTransportException.NEGATIVE_SIZE)


def _refusal(problem, arguments_read):
    if isinstance(problem, TApplicationException):
        return problem
    if isinstance(problem, TProtocolException) and \
            problem.type == TProtocolException.NOT_IMPLEMENTED:  # TMultiplexedProcessor's
        return TApplicationException(TApplicationException.UNKNOWN_METHOD, problem.message)
    if arguments_read:
        return TApplicationException(TApplicationException.INTERNAL_ERROR, "Internal error")
    return TApplicationException(TApplicationException.PROTOCOL_ERROR,
                                 f"a call that does not parse: {problem!r}")


class _CallProtocol:
    """Mixed into the protocol from which the inner processor reads one call.

    `seen` tells how far it came: the header, then the end of the arguments. It is a list
    because TMultiplexedProcessor puts a copy of the protocol in its place.
    """

    def readMessageBegin(self):
        header = super().readMessageBegin()
        self.seen.append(header)
        self.check(*header)
        return header

    def readMessageEnd(self):
        super().readMessageEnd()
        self.seen.append(None)

    def skip(self, ttype):
        """Bytes that are no UTF-8 are no reason not to skip them, as Apache's skip() thinks."""
        if ttype == TType.STRING:
            self.readBinary()
        else:
            super().skip(ttype)


@functools.lru_cache(maxsize=None)
def _call_protocol(protocol_class):
    return type(protocol_class.__name__, (_CallProtocol, protocol_class), {})


# --- what batch.thrift declares -----------------------------------------------------------------

class _Request(TBase):
    __slots__ = ("message", "timeoutMs", "lane")
    thrift_spec = (None,
                   (1, TType.STRING, "message", "BINARY", None),
                   (2, TType.I32, "timeoutMs", None, None),
                   (3, TType.I32, "lane", None, None))

    def __init__(self, message=None, timeoutMs=None, lane=None):
        self.message = message
        self.timeoutMs = timeoutMs
        self.lane = lane


class _BatchRequest(TBase):
    __slots__ = ("requests",)
    thrift_spec = (None, (1, TType.LIST, "requests",
                          (TType.STRUCT, [_Request, _Request.thrift_spec], False), None))

    def __init__(self, requests=None):
        self.requests = requests


class _Arguments(TBase):
    __slots__ = ("batch",)
    thrift_spec = (None, (1, TType.STRUCT, "batch",
                          [_BatchRequest, _BatchRequest.thrift_spec], None))

    def __init__(self):
        self.batch = None


class _Response(TBase):
    __slots__ = ("message",)
    thrift_spec = (None, (1, TType.STRING, "message", "BINARY", None))

    def __init__(self, message):
        self.message = message


class _BatchResponse(TBase):
    __slots__ = ("responses",)
    thrift_spec = (None, (1, TType.LIST, "responses",
                          (TType.STRUCT, [_Response, _Response.thrift_spec], False), None))

    def __init__(self, responses):
        self.responses = responses


class _Result(TBase):
    __slots__ = ("success",)
    thrift_spec = ((0, TType.STRUCT, "success",
                    [_BatchResponse, _BatchResponse.thrift_spec], None),)

    def __init__(self, success):
        self.success = success
