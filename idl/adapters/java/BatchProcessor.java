package thrift_batch;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.thrift.TApplicationException;
import org.apache.thrift.TByteArrayOutputStream;
import org.apache.thrift.TException;
import org.apache.thrift.TProcessor;
import org.apache.thrift.protocol.TField;
import org.apache.thrift.protocol.TList;
import org.apache.thrift.protocol.TMessage;
import org.apache.thrift.protocol.TMessageType;
import org.apache.thrift.protocol.TProtocol;
import org.apache.thrift.protocol.TProtocolDecorator;
import org.apache.thrift.protocol.TProtocolException;
import org.apache.thrift.protocol.TProtocolFactory;
import org.apache.thrift.protocol.TProtocolUtil;
import org.apache.thrift.protocol.TStruct;
import org.apache.thrift.protocol.TType;
import org.apache.thrift.scheme.IScheme;
import org.apache.thrift.transport.TIOStreamTransport;
import org.apache.thrift.transport.TMemoryInputTransport;
import org.apache.thrift.transport.TTransportException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Serves executeBatch (batch.thrift) in front of a Java server's own processor:
 *
 * <pre>{@code
 * TProtocolFactory protocols = new TBinaryProtocol.Factory();
 * TProcessor directory = new Directory.Processor<>(handler);
 * TProcessor processor = new BatchProcessor(directory, protocols);
 * TServer server = new TThreadPoolServer(new TThreadPoolServer.Args(socket)
 *     .transportFactory(new TFramedTransport.Factory())
 *     .protocolFactory(protocols).processor(processor));
 * }</pre>
 *
 * The processor takes the place of the server's own one, which stays as it is, as do its handlers.
 * A message named executeBatch is taken apart: each of its calls goes to the inner processor over
 * memory, and the replies go back together. Every other message goes to the inner processor as if
 * the adapter were not there. This file is all there is: copy it into your server. It needs Java 8
 * and libthrift 0.14 or later, and no generated code.
 *
 * <ul>
 *   <li>Answers: one Response a Request, in order. It has no message where the inner processor
 *       wrote nothing (a oneway method). A call that does not parse (PROTOCOL_ERROR), on which the
 *       inner processor throws (INTERNAL_ERROR) or that is no call (INVALID_MESSAGE_TYPE) is
 *       answered with a TApplicationException of its own, or not at all if it came as ONEWAY; its
 *       neighbours do not notice. An unknown method is the inner processor's to answer, and a batch
 *       in a batch is one.
 *   <li>Concurrency: one after another in the order in which they stand; with an executor, calls of
 *       the same lane do so and all others run side by side. The thread that reads the batch works
 *       too and never waits for a call that has not begun, so that a busy executor, even the
 *       server's own, delays nothing.
 *   <li>Deadlines: a CALL whose timeoutMs is over before it begins, counted from when the batch has
 *       been read, is answered with INTERNAL_ERROR "deadline passed".
 *   <li>Refused, and nothing executed: a batch above a limit (INTERNAL_ERROR; the connection goes
 *       on), a batch that does not parse (PROTOCOL_ERROR; without frames process() then throws, and
 *       the server closes the connection).
 * </ul>
 *
 * <p>Any number of threads may process with one adapter at once, if the inner processor can do so.
 */
public final class BatchProcessor implements TProcessor {
  public static final int DEFAULT_MAX_CALLS = 10_000;
  public static final int DEFAULT_MAX_BYTES = 64 << 20;
  public static final int DEFAULT_MAX_REPLY_BYTES = 256 << 20;

  private static final Logger LOGGER = LoggerFactory.getLogger(BatchProcessor.class);
  private static final String METHOD = "executeBatch";
  private static final byte[] NO_REPLY = {};
  private static final int MAX_DEPTH = 64;

  private final TProcessor inner;
  private final TProtocolFactory protocols;
  private final Executor executor;
  private final int maxCalls;
  private final int maxBytes;
  private final int maxReplyBytes;

  public BatchProcessor(TProcessor inner, TProtocolFactory protocols) {
    this(inner, protocols, null);
  }

  public BatchProcessor(TProcessor inner, TProtocolFactory protocols, Executor executor) {
    this(inner, protocols, executor, DEFAULT_MAX_CALLS, DEFAULT_MAX_BYTES, DEFAULT_MAX_REPLY_BYTES);
  }

  /**
   * @param protocols makes the protocol of the server's connections: in a batch, calls and replies
   *     are written in the same
   * @param executor runs calls of one batch side by side; null: they run in order
   * @param maxCalls calls in a batch
   * @param maxBytes their messages together
   * @param maxReplyBytes their replies together; one that does not fit is an INTERNAL_ERROR
   */
  public BatchProcessor(
      TProcessor inner,
      TProtocolFactory protocols,
      Executor executor,
      int maxCalls,
      int maxBytes,
      int maxReplyBytes) {
    this.inner = inner;
    this.protocols = protocols;
    this.executor = executor;
    this.maxCalls = maxCalls;
    this.maxBytes = maxBytes;
    this.maxReplyBytes = maxReplyBytes;
  }

  @Override
  public void process(TProtocol in, TProtocol out) throws TException {
    TMessage header = in.readMessageBegin();
    if (!header.name.equals(METHOD)) {
      inner.process(new Begun(in, header), out);
      return;
    }
    Batch batch = new Batch();
    try {
      readBatch(in, batch);
      in.readMessageEnd();
    } catch (TException | RuntimeException e) {
      refuse(out, header.seqid, TApplicationException.PROTOCOL_ERROR, e.toString());
      int restOfFrame = in.getTransport().getBytesRemainingInBuffer();
      if (restOfFrame < 0) { // there are no frames: who knows where the next message begins
        throw e;
      }
      in.getTransport().consumeBuffer(restOfFrame);
      in.reset();
      return;
    }
    if (batch.refusal != null) {
      refuse(out, header.seqid, TApplicationException.INTERNAL_ERROR, batch.refusal);
    } else {
      writeReplies(out, header.seqid, new Run(batch.calls).execute());
    }
  }

  // --- execution --------------------------------------------------------------------------------

  private static final class Call {
    ByteBuffer message;
    Integer timeoutMs;
    Integer lane;
  }

  /** One batch being executed. */
  private final class Run {
    final long begin = System.nanoTime();
    final List<Call> calls;
    final byte[][] replies;
    final AtomicLong replyBytes = new AtomicLong();

    Run(List<Call> calls) {
      this.calls = calls;
      this.replies = new byte[calls.size()][];
    }

    /** A reply for each call, empty where none is owed. */
    byte[][] execute() throws TException {
      if (executor == null) {
        for (int i = 0; i < replies.length; i++) {
          replies[i] = reply(i);
        }
        return replies;
      }
      List<List<Integer>> chains = chains();
      AtomicInteger next = new AtomicInteger();
      CountDownLatch left = new CountDownLatch(chains.size());
      Runnable work =
          () -> {
            for (int at; (at = next.getAndIncrement()) < chains.size(); ) {
              try {
                for (int i : chains.get(at)) {
                  replies[i] = reply(i);
                }
              } finally {
                left.countDown();
              }
            }
          };
      try {
        for (int i = 1; i < chains.size(); i++) {
          executor.execute(work);
        }
      } catch (RejectedExecutionException e) {
        LOGGER.debug("the executor takes no more, this thread does it", e);
      }
      work.run();
      try {
        left.await();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new TException("interrupted while calls of a batch ran", e);
      }
      return replies;
    }

    /** The positions of the calls, those that have to follow each other in one list. */
    List<List<Integer>> chains() {
      List<List<Integer>> chains = new ArrayList<>();
      Map<Integer, List<Integer>> lanes = new HashMap<>();
      for (int i = 0; i < calls.size(); i++) {
        Integer lane = calls.get(i).lane;
        List<Integer> chain = lane == null ? null : lanes.get(lane);
        if (chain == null) {
          chain = new ArrayList<>(1);
          chains.add(chain);
          if (lane != null) {
            lanes.put(lane, chain);
          }
        }
        chain.add(i);
      }
      return chains;
    }

    /** The reply to one call: the processor's, or an exception. */
    byte[] reply(int position) {
      Call call = calls.get(position);
      TMessage header = new TMessage("", TMessageType.CALL, position);
      TProtocol in;
      try {
        in = over(call.message);
        header = in.readMessageBegin();
      } catch (TException | RuntimeException e) {
        return exception(header, TApplicationException.PROTOCOL_ERROR, e.toString());
      }
      if (header.type != TMessageType.CALL && header.type != TMessageType.ONEWAY) {
        return exception(
            header,
            TApplicationException.INVALID_MESSAGE_TYPE,
            "a request of a batch must be a call");
      }
      if (header.type == TMessageType.CALL && isLate(call)) {
        return exception(header, TApplicationException.INTERNAL_ERROR, "deadline passed");
      }
      byte[] reply = process(new Begun(in, header));
      if (replyBytes.addAndGet(reply.length) > maxReplyBytes) {
        replyBytes.addAndGet(-reply.length);
        return exception(
            header,
            TApplicationException.INTERNAL_ERROR,
            "the replies of the batch are too large together");
      }
      return reply;
    }

    boolean isLate(Call call) {
      return call.timeoutMs != null
          && System.nanoTime() - begin >= TimeUnit.MILLISECONDS.toNanos(call.timeoutMs);
    }
  }

  private byte[] process(Begun message) {
    Throwable problem;
    try {
      TByteArrayOutputStream output = new TByteArrayOutputStream(256);
      inner.process(message, protocols.getProtocol(new TIOStreamTransport(output)));
      return output.toByteArray();
    } catch (Throwable e) { // an Error too: it would take the neighbours along
      problem = e;
    }
    // Libthrift reads over unknown fields by recursion, which arguments can make too deep.
    boolean malformed =
        problem instanceof TProtocolException
            || problem instanceof TTransportException
            || problem instanceof StackOverflowError;
    int type = TApplicationException.PROTOCOL_ERROR;
    if (!malformed || message.isRead) { // then it comes from the handler
      LOGGER.error("Internal error processing {} in a batch", message.header.name, problem);
      type = TApplicationException.INTERNAL_ERROR;
    }
    return message.header.type == TMessageType.ONEWAY
        ? NO_REPLY
        : exception(message.header, type, problem.toString());
  }

  private byte[] exception(TMessage header, int type, String text) {
    TByteArrayOutputStream output = new TByteArrayOutputStream(256);
    try {
      TProtocol out = protocols.getProtocol(new TIOStreamTransport(output));
      writeException(out, header.name, header.seqid, type, text);
    } catch (TException e) {
      throw new IllegalStateException("memory cannot be written", e);
    }
    return output.toByteArray();
  }

  /** A protocol that reads from memory. */
  private TProtocol over(ByteBuffer message) throws TTransportException {
    int begin = message.arrayOffset() + message.position();
    return protocols.getProtocol(
        new TMemoryInputTransport(message.array(), begin, message.remaining()));
  }

  /** A message whose header has been read. */
  private static final class Begun extends TProtocolDecorator {
    final TProtocol in;
    final TMessage header;
    boolean isRead;

    Begun(TProtocol in, TMessage header) {
      super(in);
      this.in = in;
      this.header = header;
    }

    @Override
    public TMessage readMessageBegin() {
      return header;
    }

    @Override
    public void readMessageEnd() throws TException {
      in.readMessageEnd();
      isRead = true;
    }

    @Override
    @SuppressWarnings("rawtypes")
    public Class<? extends IScheme> getScheme() {
      return in.getScheme();
    }
  }

  // --- the envelope -----------------------------------------------------------------------------
  //
  // By hand, because generated code knows no limits: it makes room for the whole list before
  // anybody could look at its size.

  private static final class Batch {
    final List<Call> calls = new ArrayList<>();
    long bytes;
    String refusal; // a limit was passed; the message is read to its end all the same
    boolean hasRequests;
  }

  private interface FieldReader {
    /** Reads the field's value; false if it does not know the field. */
    boolean read(TField field) throws TException;
  }

  private void readBatch(TProtocol in, Batch batch) throws TException {
    readStruct(
        in,
        argument -> {
          if (argument.id != 1 || argument.type != TType.STRUCT) {
            return false;
          }
          readStruct(
              in,
              field -> {
                if (field.id != 1 || field.type != TType.LIST) {
                  return false;
                }
                batch.hasRequests = true;
                readRequests(in, batch);
                return true;
              });
          return true;
        });
    if (!batch.hasRequests) {
      throw malformed("a batch without a list of requests");
    }
  }

  private void readRequests(TProtocol in, Batch batch) throws TException {
    TList list = in.readListBegin();
    if (list.size > 0 && list.elemType != TType.STRUCT) {
      throw malformed("the requests of a batch must be structs");
    }
    if (list.size > maxCalls) {
      batch.refusal = "a batch has at most " + maxCalls + " calls";
    }
    for (int i = 0; i < list.size; i++) {
      readRequest(in, batch);
    }
    in.readListEnd();
  }

  private void readRequest(TProtocol in, Batch batch) throws TException {
    Call call = new Call();
    readStruct(
        in,
        field -> {
          if (field.id == 1 && field.type == TType.STRING) {
            call.message = in.readBinary();
          } else if (field.id == 2 && field.type == TType.I32) {
            call.timeoutMs = in.readI32();
          } else if (field.id == 3 && field.type == TType.I32) {
            call.lane = in.readI32();
          } else {
            return false;
          }
          return true;
        });
    if (call.message == null) {
      throw malformed("a request without a message");
    }
    batch.bytes += call.message.remaining();
    if (batch.refusal == null && batch.bytes > maxBytes) {
      batch.refusal = "a batch has at most " + maxBytes + " bytes";
    }
    if (batch.refusal == null) {
      batch.calls.add(call);
    }
  }

  private static void readStruct(TProtocol in, FieldReader reader) throws TException {
    in.readStructBegin();
    for (TField field = in.readFieldBegin();
        field.type != TType.STOP;
        field = in.readFieldBegin()) {
      if (!reader.read(field)) {
        TProtocolUtil.skip(in, field.type, MAX_DEPTH);
      }
      in.readFieldEnd();
    }
    in.readStructEnd();
  }

  private static TProtocolException malformed(String text) {
    return new TProtocolException(TProtocolException.INVALID_DATA, text);
  }

  private static void refuse(TProtocol out, int seqid, int type, String text) throws TException {
    writeException(out, METHOD, seqid, type, text);
    out.getTransport().flush();
  }

  private static void writeException(
      TProtocol out, String name, int seqid, int type, String text) throws TException {
    out.writeMessageBegin(new TMessage(name, TMessageType.EXCEPTION, seqid));
    new TApplicationException(type, text).write(out);
    out.writeMessageEnd();
  }

  private static void writeReplies(TProtocol out, int seqid, byte[][] replies) throws TException {
    out.writeMessageBegin(new TMessage(METHOD, TMessageType.REPLY, seqid));
    out.writeStructBegin(new TStruct("executeBatch_result"));
    out.writeFieldBegin(new TField("success", TType.STRUCT, (short) 0));
    out.writeStructBegin(new TStruct("BatchResponse"));
    out.writeFieldBegin(new TField("responses", TType.LIST, (short) 1));
    out.writeListBegin(new TList(TType.STRUCT, replies.length));
    for (byte[] reply : replies) {
      writeResponse(out, reply);
    }
    out.writeListEnd();
    writeStructClose(out);
    writeStructClose(out);
    out.writeMessageEnd();
    out.getTransport().flush();
  }

  private static void writeResponse(TProtocol out, byte[] reply) throws TException {
    out.writeStructBegin(new TStruct("Response"));
    if (reply.length > 0) {
      out.writeFieldBegin(new TField("message", TType.STRING, (short) 1));
      out.writeBinary(ByteBuffer.wrap(reply));
      out.writeFieldEnd();
    }
    out.writeFieldStop();
    out.writeStructEnd();
  }

  /** The end of a struct's only field, and the struct's. */
  private static void writeStructClose(TProtocol out) throws TException {
    out.writeFieldEnd();
    out.writeFieldStop();
    out.writeStructEnd();
  }
}
