// Client ADDRESS TRANSPORT PROTOCOL: the checks of ../checks.txt with Thrift's Java library.

import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.apache.thrift.TApplicationException;
import org.apache.thrift.protocol.TBinaryProtocol;
import org.apache.thrift.protocol.TCompactProtocol;
import org.apache.thrift.protocol.TProtocol;
import org.apache.thrift.transport.TSocket;
import org.apache.thrift.transport.TTransport;
import org.apache.thrift.transport.layered.TFramedTransport;
import thrift_batch_demo.Everything;
import thrift_batch_demo.NotFound;
import thrift_batch_demo.Point;
import thrift_batch_demo.User;
import thrift_batch_demo.UserRequest;
import thrift_batch_demo.UserResult;
import thrift_batch_interop.Newer;

public final class Client {
    interface Check {
        void run(Newer.Client client) throws Exception;
    }

    static final String UNICODE = "aé€𝄞 日本語 \n\t";

    static Newer.Client connect(String address, String transport, String protocol) throws Exception {
        String[] parts = address.split(":");
        TSocket socket = new TSocket(parts[0], Integer.parseInt(parts[1]), 20000);
        // A socket of this library is buffered by itself.
        TTransport wrapped = transport.equals("framed") ? new TFramedTransport(socket) : socket;
        TProtocol spoken;
        switch (protocol) {
            case "binary": spoken = new TBinaryProtocol(wrapped, true, true); break;
            case "binary-old": spoken = new TBinaryProtocol(wrapped, false, false); break;
            case "compact": spoken = new TCompactProtocol(wrapped); break;
            default: throw new IllegalArgumentException("no protocol " + protocol);
        }
        wrapped.open();
        return new Newer.Client(spoken);
    }

    // --- the checks ---------------------------------------------------------------------------

    static void equal(Object got, Object wanted) {
        if (!Objects.equals(got, wanted)) {
            throw new AssertionError(String.format("got %.200s, wanted %.200s", got, wanted));
        }
    }

    static <E extends Exception> E thrown(Class<E> kind, Check check, Newer.Client client)
            throws Exception {
        try {
            check.run(client);
        } catch (Exception error) {
            if (kind.isInstance(error)) {
                return kind.cast(error);
            }
            throw error;
        }
        throw new AssertionError("did not throw");
    }

    static String repeated(String text, int times) {
        return String.join("", Collections.nCopies(times, text));
    }

    static byte[] allBytes(int size) {
        byte[] bytes = new byte[size];
        for (int i = 0; i < size; i++) {
            bytes[i] = (byte) i;
        }
        return bytes;
    }

    static Check echo(String token) {
        return client -> equal(client.echo(token), token);
    }

    static User user(long id, String token) {
        return new User(id, "user-" + id, id % 10 != 0, token);
    }

    static Map<Long, User> users(String token, long... ids) {
        Map<Long, User> all = new HashMap<>();
        for (long id : ids) {
            all.put(id, user(id, token));
        }
        return all;
    }

    static void missing(long id, Check check, Newer.Client client) throws Exception {
        equal(thrown(NotFound.class, check, client), new NotFound(id, "there is no user " + id));
    }

    static Everything typical() {
        return new Everything("t", true, (byte) 1, (short) 2, 3, 4, 5.5, "text",
                ByteBuffer.wrap(new byte[] {0, 1, (byte) 0xfe, (byte) 0xff}),
                Arrays.asList(1, 2, 3), new HashSet<>(Arrays.asList("a", "b")),
                Collections.singletonMap("one", 1L), new Point(0.5, -0.25),
                Arrays.asList(new Point(1, 2), new Point(3, 4)));
    }

    static Everything ask(Newer.Client client, Everything v) throws Exception {
        return client.everything(v.getToken(), v.isABool(), v.getAByte(), v.getAnI16(),
                v.getAnI32(), v.getAnI64(), v.getADouble(), v.getAString(), v.bufferForABinary(),
                v.getAList(), v.getASet(), v.getAMap(), v.getAStruct(), v.getStructs());
    }

    static Check everything(Consumer<Everything> change) {
        return client -> {
            Everything values = typical();
            change.accept(values);
            equal(ask(client, values), values);
        };
    }

    // Compares the bits, by Double.equals().
    static Check doubled(double value) {
        return client -> equal(ask(client, typical().setADouble(value)).getADouble(), value);
    }

    static void getUserBatch(Newer.Client client) throws Exception {
        UserResult missing = new UserResult();
        missing.setMissing(new NotFound(-1, "there is no user -1"));
        UserResult a = new UserResult();
        a.setUser(user(1, "a"));
        UserResult c = new UserResult();
        c.setUser(user(2, "c"));
        equal(client.getUserBatch(Arrays.asList(new UserRequest("a", 1), new UserRequest("b", -1),
                new UserRequest("c", 2))), Arrays.asList(a, missing, c));
    }

    static void logOneway(Newer.Client client) throws Exception {
        long before = client.logged();
        for (int i = 0; i < 3; i++) {
            client.log("line");
        }
        equal(client.logged(), before + 3);
    }

    static void fail(Newer.Client client) throws Exception {
        TApplicationException error =
                thrown(TApplicationException.class, same -> same.fail("é"), client);
        equal(error.getType(), TApplicationException.INTERNAL_ERROR);
        equal(error.getMessage(), "failed as asked: é");
    }

    static Check blob(byte[] payload, int size, byte[] wanted) {
        return client -> {
            ByteBuffer got = client.blob(ByteBuffer.wrap(payload), size);
            if (!got.equals(ByteBuffer.wrap(wanted))) {
                throw new AssertionError("another payload, of " + got.remaining() + " bytes");
            }
        };
    }

    static void appendLines(Newer.Client client) throws Exception {
        String journal = System.currentTimeMillis() + "-" + System.nanoTime();
        List<String> lines = Arrays.asList("one", "two", "é");
        for (int i = 0; i < lines.size(); i++) {
            equal(client.append(journal, lines.get(i)), (long) i);
        }
        equal(client.lines(journal), lines);
    }

    static Check unheardOf(Map<String, Boolean> named, Map<String, Long> numbers) {
        List<List<List<List<List<List<Boolean>>>>>> deep = Collections.singletonList(
                Collections.singletonList(Collections.singletonList(Collections.singletonList(
                        Arrays.asList(Arrays.asList(true, false), Collections.emptyList())))));
        return client -> {
            TApplicationException error = thrown(TApplicationException.class,
                    same -> same.unheardOf(Arrays.asList(true, false, true), named, deep, numbers),
                    client);
            equal(error.getType(), TApplicationException.UNKNOWN_METHOD);
        };
    }

    static void manyCalls(Newer.Client client) throws Exception {
        for (int i = 0; i < 200; i++) {
            equal(client.echo("token " + i), "token " + i);
        }
    }

    // The library's client insists that an answer has the number of the call it sent last.
    static void inFlight(Newer.Client client) throws Exception {
        TProtocol protocol = client.getOutputProtocol();
        for (int i = 0; i < 100; i++) {
            new Numbered(protocol, 1000 + i).send_echo("token " + i);
        }
        for (int i = 0; i < 100; i++) {
            equal(new Numbered(protocol, 1000 + i).recv_echo(), "token " + i);
        }
    }

    static final class Numbered extends Newer.Client {
        Numbered(TProtocol protocol, int number) {
            super(protocol);
            seqid_ = number - 1;
            toReceive = number;
        }

        private final int toReceive;

        @Override
        public String recv_echo() throws org.apache.thrift.TException {
            seqid_ = toReceive;
            return super.recv_echo();
        }
    }

    static Map<String, Check> checks() {
        Map<String, Check> all = new LinkedHashMap<>();
        List<Integer> list = new ArrayList<>();
        Set<String> set = new HashSet<>();
        List<Point> points = new ArrayList<>();
        for (int i = -1000; i < 1000; i++) {
            list.add(i);
        }
        for (int i = 0; i < 100; i++) {
            set.add(Integer.toString(i));
            points.add(new Point(i, -i));
        }
        Map<String, Long> map = new TreeMap<>();
        map.put("", 0L);
        map.put("é", Long.MIN_VALUE);
        map.put("max", Long.MAX_VALUE);
        Map<String, Boolean> named = new HashMap<>();
        named.put("yes", true);
        named.put("no", false);
        byte[] big = allBytes(1 << 20);

        all.put("echo-ascii", echo("hello"));
        all.put("echo-empty", echo(""));
        all.put("echo-unicode", echo(UNICODE));
        all.put("echo-long", echo(repeated("0123456789", 10000)));
        all.put("get-user", client -> equal(client.getUser("t", 7), user(7, "t")));
        all.put("get-user-inactive", client -> equal(client.getUser("t", 10), user(10, "t")));
        all.put("get-user-last",
                client -> equal(client.getUser("é", 1000000), user(1000000, "é")));
        all.put("get-user-missing",
                client -> missing(-5, same -> same.getUser("t", -5), client));
        all.put("get-users", client -> equal(client.getUsers("t", Arrays.asList(1L, 2L, 10L, 0L)),
                users("t", 1, 2, 10)));
        all.put("get-users-empty",
                client -> equal(client.getUsers("t", Collections.emptyList()), users("t")));
        all.put("find-user", client -> equal(client.findUser(42), user(42, "")));
        all.put("find-user-missing", client ->
                missing(Long.MIN_VALUE, same -> same.findUser(Long.MIN_VALUE), client));
        all.put("find-users", client ->
                equal(client.findUsers(Arrays.asList(5L, 6L, -1L)), users("", 5, 6)));
        all.put("get-user-batch", Client::getUserBatch);
        all.put("touch", client -> client.touch("t"));
        all.put("log-oneway", Client::logOneway);
        all.put("everything-typical", everything(v -> { }));
        all.put("bool-false", everything(v -> v.setABool(false)));
        all.put("byte-min", everything(v -> v.setAByte(Byte.MIN_VALUE)));
        all.put("byte-max", everything(v -> v.setAByte(Byte.MAX_VALUE)));
        all.put("i16-min", everything(v -> v.setAnI16(Short.MIN_VALUE)));
        all.put("i16-max", everything(v -> v.setAnI16(Short.MAX_VALUE)));
        all.put("i32-min", everything(v -> v.setAnI32(Integer.MIN_VALUE)));
        all.put("i32-max", everything(v -> v.setAnI32(Integer.MAX_VALUE)));
        all.put("i64-min", everything(v -> v.setAnI64(Long.MIN_VALUE)));
        all.put("i64-max", everything(v -> v.setAnI64(Long.MAX_VALUE)));
        all.put("double-max", doubled(Double.MAX_VALUE));
        all.put("double-tiny", doubled(Double.MIN_VALUE));
        all.put("double-minus-zero", doubled(-0.0));
        all.put("double-nan", doubled(Double.NaN));
        all.put("double-infinity", doubled(Double.POSITIVE_INFINITY));
        all.put("double-minus-infinity", doubled(Double.NEGATIVE_INFINITY));
        all.put("string-empty", everything(v -> v.setAString("")));
        all.put("string-unicode", everything(v -> v.setAString(UNICODE)));
        all.put("binary-empty", everything(v -> v.setABinary(new byte[0])));
        all.put("binary-all", everything(v -> v.setABinary(allBytes(256))));
        all.put("list-empty", everything(v -> v.setAList(Collections.emptyList())));
        all.put("list-long", everything(v -> v.setAList(list)));
        all.put("set-empty", everything(v -> v.setASet(Collections.emptySet())));
        all.put("set-long", everything(v -> v.setASet(set)));
        all.put("map-empty", everything(v -> v.setAMap(Collections.emptyMap())));
        all.put("map-values", everything(v -> v.setAMap(map)));
        all.put("structs-empty", everything(v -> v.setStructs(Collections.emptyList())));
        all.put("structs-long", everything(v -> v.setStructs(points)));
        all.put("fail", Client::fail);
        all.put("after-fail", echo("still there"));
        all.put("blob-empty", blob(new byte[0], 0, new byte[0]));
        all.put("blob-grown", blob("abc".getBytes(), 10, "abcabcabca".getBytes()));
        all.put("blob-1mib", blob(big, big.length, big));
        all.put("wait", client -> equal(client.wait("t", 20), "t"));
        all.put("append-lines", Client::appendLines);
        all.put("unheard-of", unheardOf(new HashMap<>(), Collections.singletonMap("one", 1L)));
        all.put("unheard-of-bool-map", unheardOf(named, new HashMap<>()));
        all.put("after-unheard-of", echo("still there"));
        all.put("many-calls", Client::manyCalls);
        all.put("in-flight", Client::inFlight);
        all.put("stats", client -> equal(client.stats().getCalls() >= 200, true));
        return all;
    }

    public static void main(String[] form) throws Exception {
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        Newer.Client client = null;
        for (Map.Entry<String, Check> check : checks().entrySet()) {
            try {
                if (client == null) {
                    client = connect(form[0], form[1], form[2]);
                }
                check.getValue().run(client);
                out.println("ok " + check.getKey());
            } catch (Exception | AssertionError error) {
                out.println("not ok " + check.getKey() + ": " + error.toString().replace("\n", " "));
                client = null; // what is left on that connection is no business of the next check
            }
        }
    }

    private Client() { }
}
