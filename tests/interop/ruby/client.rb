# client.rb ADDRESS TRANSPORT PROTOCOL: the checks of ../checks.txt with Thrift's Ruby library.

require "set"
require "thrift"
require "newer"

include ThriftBatchDemo

UNICODE = "aé€𝄞 日本語 \n\t"
ALL_BYTES = (0..255).to_a.pack("C*")
LOWEST = -2**63
TYPICAL = {
  token: "t", aBool: true, aByte: 1, anI16: 2, anI32: 3, anI64: 4, aDouble: 5.5, aString: "text",
  aBinary: "\0\1\xfe\xff".b, aList: [1, 2, 3], aSet: Set["a", "b"], aMap: {"one" => 1},
  aStruct: Point.new(x: 0.5, y: -0.25),
  structs: [Point.new(x: 1.0, y: 2.0), Point.new(x: 3.0, y: 4.0)]
}

def connect(address, transport, protocol)
  host, port = address.split(":")
  socket = Thrift::Socket.new(host, port.to_i, 20)
  wrapped = {"framed" => Thrift::FramedTransport,
             "buffered" => Thrift::BufferedTransport}.fetch(transport).new(socket)
  spoken = case protocol
           when "binary" then Thrift::BinaryProtocol.new(wrapped)
           when "binary-old" then Thrift::BinaryProtocol.new(wrapped, false, false)
           when "binary-accelerated" then Thrift::BinaryProtocolAccelerated.new(wrapped)
           when "compact" then Thrift::CompactProtocol.new(wrapped)
           else raise "no protocol #{protocol}"
           end
  wrapped.open
  ThriftBatchInterop::Newer::Client.new(spoken)
end

def equal(got, wanted)
  raise "got #{got.inspect[0, 200]}, wanted #{wanted.inspect[0, 200]}" unless got == wanted
end

def thrown(kind)
  got = yield
rescue kind => error
  error
else
  raise "returned #{got.inspect[0, 200]}"
end

def user(id, token)
  User.new(id: id, name: "user-#{id}", active: id % 10 != 0, token: token)
end

def missing(id, &call)
  error = thrown(NotFound, &call)
  equal([error.id, error.reason], [id, "there is no user #{id}"])
end

def users(ids, token)
  ids.to_h { |id| [id, user(id, token)] }
end

def ask_everything(client, other)
  client.everything(*TYPICAL.merge(other).values)
end

def everything(other = {})
  lambda do |client|
    got = ask_everything(client, other)
    TYPICAL.merge(other).each { |name, value| equal(got.send(name), value) }
  end
end

def double(value, &same)
  lambda do |client|
    got = ask_everything(client, aDouble: value).aDouble
    raise "got #{got}" unless same.call(got)
  end
end

def echo(token)
  ->(client) { equal(client.echo(token), token) }
end

def unheard_of(named, numbers)
  lambda do |client|
    error = thrown(Thrift::ApplicationException) do
      client.unheardOf([true, false, true], named, [[[[[[true, false], []]]]]], numbers)
    end
    equal(error.type, Thrift::ApplicationException::UNKNOWN_METHOD)
  end
end

CHECKS = {
  "echo-ascii" => echo("hello"),
  "echo-empty" => echo(""),
  "echo-unicode" => echo(UNICODE),
  "echo-long" => echo("0123456789" * 10_000),
  "get-user" => ->(client) { equal(client.getUser("t", 7), user(7, "t")) },
  "get-user-inactive" => ->(client) { equal(client.getUser("t", 10), user(10, "t")) },
  "get-user-last" => ->(client) { equal(client.getUser("é", 1_000_000), user(1_000_000, "é")) },
  "get-user-missing" => ->(client) { missing(-5) { client.getUser("t", -5) } },
  "get-users" => ->(client) { equal(client.getUsers("t", [1, 2, 10, 0]), users([1, 2, 10], "t")) },
  "get-users-empty" => ->(client) { equal(client.getUsers("t", []), {}) },
  "find-user" => ->(client) { equal(client.findUser(42), user(42, "")) },
  "find-user-missing" => ->(client) { missing(LOWEST) { client.findUser(LOWEST) } },
  "find-users" => ->(client) { equal(client.findUsers([5, 6, -1]), users([5, 6], "")) },
  "get-user-batch" => lambda do |client|
    got = client.getUserBatch([["a", 1], ["b", -1], ["c", 2]].map do |token, id|
      UserRequest.new(token: token, id: id)
    end)
    equal(got.map(&:user), [user(1, "a"), nil, user(2, "c")])
    equal(got.map { |result| result.missing&.id }, [nil, -1, nil])
  end,
  "touch" => ->(client) { client.touch("t") },
  "log-oneway" => lambda do |client|
    before = client.logged
    3.times { client.log("line") }
    equal(client.logged, before + 3)
  end,
  "everything-typical" => everything,
  "bool-false" => everything(aBool: false),
  "byte-min" => everything(aByte: -128),
  "byte-max" => everything(aByte: 127),
  "i16-min" => everything(anI16: -2**15),
  "i16-max" => everything(anI16: 2**15 - 1),
  "i32-min" => everything(anI32: -2**31),
  "i32-max" => everything(anI32: 2**31 - 1),
  "i64-min" => everything(anI64: LOWEST),
  "i64-max" => everything(anI64: 2**63 - 1),
  "double-max" => everything(aDouble: Float::MAX),
  "double-tiny" => everything(aDouble: 5e-324),
  "double-minus-zero" => double(-0.0) { |got| got.zero? && 1 / got == -Float::INFINITY },
  "double-nan" => double(Float::NAN, &:nan?),
  "double-infinity" => everything(aDouble: Float::INFINITY),
  "double-minus-infinity" => everything(aDouble: -Float::INFINITY),
  "string-empty" => everything(aString: ""),
  "string-unicode" => everything(aString: UNICODE),
  "binary-empty" => everything(aBinary: ""),
  "binary-all" => everything(aBinary: ALL_BYTES),
  "list-empty" => everything(aList: []),
  "list-long" => everything(aList: (-1000..999).to_a),
  "set-empty" => everything(aSet: Set[]),
  "set-long" => everything(aSet: Set.new((0..99).map(&:to_s))),
  "map-empty" => everything(aMap: {}),
  "map-values" => everything(aMap: {"" => 0, "é" => LOWEST, "max" => 2**63 - 1}),
  "structs-empty" => everything(structs: []),
  "structs-long" => everything(structs: (0..99).map { |i| Point.new(x: i.to_f, y: -i.to_f) }),
  "fail" => lambda do |client|
    error = thrown(Thrift::ApplicationException) { client.fail("é") }
    equal([error.type, error.message], [6, "failed as asked: é"])
  end,
  "after-fail" => echo("still there"),
  "blob-empty" => ->(client) { equal(client.blob("", 0), "") },
  "blob-grown" => ->(client) { equal(client.blob("abc", 10), "abcabcabca") },
  "blob-1mib" => lambda do |client|
    payload = ALL_BYTES * 4096
    raise "another payload" unless client.blob(payload, payload.bytesize) == payload
  end,
  "wait" => ->(client) { equal(client.wait("t", 20), "t") },
  "append-lines" => lambda do |client|
    journal = "#{Process.pid}-#{Process.clock_gettime(Process::CLOCK_REALTIME, :nanosecond)}"
    lines = %w[one two é]
    lines.each_with_index { |line, position| equal(client.append(journal, line), position) }
    equal(client.lines(journal), lines)
  end,
  "unheard-of" => unheard_of({}, {"one" => 1}),
  "unheard-of-bool-map" => unheard_of({"yes" => true, "no" => false}, {}),
  "after-unheard-of" => echo("still there"),
  "many-calls" => lambda do |client|
    200.times { |i| equal(client.echo("token #{i}"), "token #{i}") }
  end,
  "in-flight" => lambda do |client|
    100.times { |i| client.send_echo("token #{i}") }
    100.times { |i| equal(client.recv_echo, "token #{i}") }
  end,
  "stats" => ->(client) { equal(client.stats.calls >= 200, true) }
}

$stdout.sync = true
client = nil
CHECKS.each do |name, check|
  client ||= connect(*ARGV)
  check.call(client)
  puts "ok #{name}"
rescue StandardError => error
  puts "not ok #{name}: #{error.class}: #{error.message}".tr("\n", " ")
  client = nil # whatever is left on that connection is no business of the next check
end
