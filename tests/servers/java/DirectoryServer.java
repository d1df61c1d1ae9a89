import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.thrift.TException;
import org.apache.thrift.TProcessor;
import org.apache.thrift.protocol.TBinaryProtocol;
import org.apache.thrift.protocol.TCompactProtocol;
import org.apache.thrift.protocol.TProtocolFactory;
import org.apache.thrift.server.TServer;
import org.apache.thrift.server.TThreadPoolServer;
import org.apache.thrift.server.TThreadedSelectorServer;
import org.apache.thrift.transport.TNonblockingServerSocket;
import org.apache.thrift.transport.TServerSocket;
import org.apache.thrift.transport.TTransportException;
import org.apache.thrift.transport.TTransportFactory;
import org.apache.thrift.transport.layered.TFramedTransport;
import thrift_batch.BatchProcessor;
import thrift_batch_demo.Counters;
import thrift_batch_demo.Directory;
import thrift_batch_demo.Everything;
import thrift_batch_demo.NotFound;
import thrift_batch_demo.Point;
import thrift_batch_demo.User;
import thrift_batch_demo.UserRequest;
import thrift_batch_demo.UserResult;

/**
 * An upstream in Java: the demo service (demo.thrift) behind the batch adapter. Listens on loopback
 * where the kernel says, and prints the address.
 */
public final class DirectoryServer {
  private static final long LAST_USER = 1_000_000;

  /** The service: it knows nothing of batches. */
  private static final class Handler implements Directory.Iface {
    final AtomicLong messages = new AtomicLong();
    final AtomicLong calls = new AtomicLong();
    final AtomicLong logged = new AtomicLong();
    final Map<String, List<String>> journals = new HashMap<>();

    @Override
    public String echo(String token) {
      calls.incrementAndGet();
      return token;
    }

    @Override
    public User getUser(String token, long id) throws NotFound {
      calls.incrementAndGet();
      return user(token, id);
    }

    @Override
    public User findUser(long id) throws NotFound {
      return getUser("", id);
    }

    @Override
    public Map<Long, User> getUsers(String token, List<Long> ids) {
      calls.incrementAndGet();
      Map<Long, User> users = new HashMap<>();
      for (long id : ids) {
        try {
          users.put(id, user(token, id));
        } catch (NotFound e) {
          // has no entry
        }
      }
      return users;
    }

    @Override
    public Map<Long, User> findUsers(List<Long> ids) {
      return getUsers("", ids);
    }

    @Override
    public List<UserResult> getUserBatch(List<UserRequest> requests) {
      calls.incrementAndGet();
      List<UserResult> results = new ArrayList<>();
      for (UserRequest request : requests) {
        try {
          results.add(new UserResult().setUser(user(request.token, request.id)));
        } catch (NotFound e) {
          results.add(new UserResult().setMissing(e));
        }
      }
      return results;
    }

    @Override
    public void touch(String token) {
      calls.incrementAndGet();
    }

    @Override
    public void log(String line) {
      calls.incrementAndGet();
      if (line.equals("fail")) {
        throw new IllegalArgumentException("failed as asked");
      }
      logged.incrementAndGet();
    }

    @Override
    public long logged() {
      calls.incrementAndGet();
      return logged.get();
    }

    @Override
    public Everything everything(
        String token,
        boolean aBool,
        byte aByte,
        short anI16,
        int anI32,
        long anI64,
        double aDouble,
        String aString,
        ByteBuffer aBinary,
        List<Integer> aList,
        Set<String> aSet,
        Map<String, Long> aMap,
        Point aStruct,
        List<Point> structs) {
      calls.incrementAndGet();
      return new Everything(
          token, aBool, aByte, anI16, anI32, anI64, aDouble, aString, aBinary, aList, aSet, aMap,
          aStruct, structs);
    }

    @Override
    public ByteBuffer blob(ByteBuffer payload, int size) {
      calls.incrementAndGet();
      ByteBuffer blob = ByteBuffer.allocate(size);
      for (int i = 0; i < size && payload.remaining() > 0; i++) {
        blob.put(i, payload.get(payload.position() + i % payload.remaining()));
      }
      return blob;
    }

    /** Throws what servers do not expect where the token says so. */
    @Override
    public String fail(String token) throws TException {
      calls.incrementAndGet();
      switch (token) {
        case "hard":
          throw new AssertionError("failed as asked: " + token);
        case "transport": // as when another service that the handler needs is down
          throw new TTransportException(TTransportException.END_OF_FILE, "failed as asked");
        default:
          throw new TException("failed as asked: " + token);
      }
    }

    @Override
    public String wait(String token, int milliseconds) throws TException {
      calls.incrementAndGet();
      try {
        Thread.sleep(milliseconds);
      } catch (InterruptedException e) {
        throw new TException(e);
      }
      return token;
    }

    @Override
    public synchronized long append(String journal, String line) {
      calls.incrementAndGet();
      List<String> lines = journals.computeIfAbsent(journal, name -> new ArrayList<>());
      lines.add(line);
      return lines.size() - 1;
    }

    @Override
    public synchronized List<String> lines(String journal) {
      calls.incrementAndGet();
      return new ArrayList<>(journals.getOrDefault(journal, new ArrayList<>()));
    }

    @Override
    public Counters stats() {
      return new Counters().setCalls(calls.incrementAndGet()).setMessages(messages.get());
    }

    private static User user(String token, long id) throws NotFound {
      if (id < 1 || id > LAST_USER) {
        throw new NotFound(id, "there is no user " + id);
      }
      return new User(id, "user-" + id, id % 10 != 0, token);
    }
  }

  public static void main(String[] args) throws Exception {
    Map<String, String> options = new HashMap<>();
    for (int i = 0; i + 1 < args.length; i += 2) {
      options.put(args[i], args[i + 1]);
    }
    TProtocolFactory protocols =
        "compact".equals(options.get("--protocol"))
            ? new TCompactProtocol.Factory()
            : new TBinaryProtocol.Factory();
    ExecutorService executor = null;
    if (options.containsKey("--parallel")) {
      executor = Executors.newFixedThreadPool(Integer.parseInt(options.get("--parallel")));
    }
    Handler handler = new Handler();
    TProcessor processor =
        new BatchProcessor(
            new Directory.Processor<>(handler),
            protocols,
            executor,
            limit(options, "--max-calls", BatchProcessor.DEFAULT_MAX_CALLS),
            limit(options, "--max-bytes", BatchProcessor.DEFAULT_MAX_BYTES),
            limit(options, "--max-reply-bytes", BatchProcessor.DEFAULT_MAX_REPLY_BYTES));
    TProcessor counted =
        (in, out) -> {
          processor.process(in, out);
          handler.messages.incrementAndGet();
        };
    boolean framed = !"buffered".equals(options.get("--transport"));
    if ("nonblocking".equals(options.get("--server"))) {
      serveNonblocking(counted, protocols);
    } else {
      serve(counted, protocols, framed ? new TFramedTransport.Factory() : new TTransportFactory());
    }
  }

  private static int limit(Map<String, String> options, String name, int standard) {
    return Integer.parseInt(options.getOrDefault(name, String.valueOf(standard)));
  }

  private static void serve(
      TProcessor processor, TProtocolFactory protocols, TTransportFactory transports)
      throws Exception {
    ServerSocket socket = new ServerSocket(0, 128, InetAddress.getLoopbackAddress());
    TServer server =
        new TThreadPoolServer(
            new TThreadPoolServer.Args(new TServerSocket(socket))
                .transportFactory(transports)
                .protocolFactory(protocols)
                .processor(processor));
    announce(socket.getLocalPort());
    server.serve();
  }

  private static void serveNonblocking(TProcessor processor, TProtocolFactory protocols)
      throws Exception {
    TNonblockingServerSocket socket =
        new TNonblockingServerSocket(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
    TServer server =
        new TThreadedSelectorServer(
            new TThreadedSelectorServer.Args(socket)
                .protocolFactory(protocols)
                .processor(processor));
    announce(socket.getPort());
    server.serve();
  }

  private static void announce(int port) {
    System.out.println("listening on 127.0.0.1:" + port);
    System.out.flush();
  }
}
