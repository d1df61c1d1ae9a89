// client.js ADDRESS TRANSPORT PROTOCOL: the checks of ../checks.txt with Thrift's Node library.
//
// Its clients number their calls and match answers by that: `in-flight` runs all checks that have
// passed before once more, at once on one connection, and a hundred echoes with them.
"use strict";

const assert = require("assert");
const thrift = require("thrift");
const Int64 = require("node-int64");
const Newer = require("Newer");
const {NotFound, Point, UserRequest} = require("demo_types");

const {TApplicationException, TApplicationExceptionType} = thrift.Thrift;
const TRANSPORTS = {framed: thrift.TFramedTransport, buffered: thrift.TBufferedTransport};
const PROTOCOLS = {binary: thrift.TBinaryProtocol, compact: thrift.TCompactProtocol};
const PATIENCE = 20000;

const UNICODE = "aé€𝄞 日本語 \n\t";
const ALL_BYTES = Buffer.from(Array.from({length: 256}, (_, i) => i));
const LOWEST = new Int64(0x80000000, 0);
const HIGHEST = new Int64(0x7fffffff, 0xffffffff);
const point = (x, y) => new Point({x, y});
const TYPICAL = {
    token: "t", aBool: true, aByte: 1, anI16: 2, anI32: 3, anI64: new Int64(4), aDouble: 5.5,
    aString: "text", aBinary: Buffer.from([0, 1, 0xfe, 0xff]), aList: [1, 2, 3], aSet: ["a", "b"],
    aMap: {one: new Int64(1)}, aStruct: point(0.5, -0.25), structs: [point(1, 2), point(3, 4)],
};

function connect([address, transport, protocol]) {
    const [host, port] = address.split(":");
    const connection = thrift.createConnection(host, Number(port), {
        transport: TRANSPORTS[transport], protocol: PROTOCOLS[protocol],
    });
    const broken = new Promise((_, reject) => {
        connection.on("error", reject);
        connection.on("close", () => reject(new Error("closed")));
    });
    broken.catch(() => {});
    return {connection, broken, client: thrift.createClient(Newer, connection)};
}

// --- the checks -----------------------------------------------------------------------------------

// Int64 compares by identity, and sets come in any order.
function comparable(value, unordered = false) {
    if (value instanceof Int64) return `i64 ${value.toOctetString()}`;
    if (Buffer.isBuffer(value)) return value;
    if (Array.isArray(value)) {
        const all = value.map((one) => comparable(one));
        return unordered ? all.sort() : all;
    }
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(
        Object.entries(value).map(([name, one]) => [name, comparable(one, name === "aSet")]));
}

function equal(got, wanted) {
    assert.deepStrictEqual(comparable(got), comparable(wanted));
}

async function thrown(kind, promise) {
    let got;
    try {
        got = await promise;
    } catch (error) {
        if (error instanceof kind) return error;
        throw error;
    }
    throw new Error(`returned ${JSON.stringify(got)}`);
}

function user(id, token) {
    return {id: new Int64(id), name: `user-${id}`, active: id % 10 !== 0, token};
}

function users(ids, token) {
    return Object.fromEntries(ids.map((id) => [id, user(id, token)]));
}

async function missing(id, text, promise) {
    const error = await thrown(NotFound, promise);
    equal([error.id, error.reason], [id, `there is no user ${text}`]);
}

const echo = (token) => async (client) => equal(await client.echo(token), token);

const everything = (other = {}) => async (client) => {
    const values = {...TYPICAL, ...other};
    equal({...await client.everything(...Object.values(values))}, values);
};

const unheardOf = (named, numbers) => async (client) => {
    const error = await thrown(TApplicationException, client.unheardOf(
        [true, false, true], named, [[[[[[true, false], []]]]]], numbers));
    equal(error.type, TApplicationExceptionType.UNKNOWN_METHOD);
};

async function getUserBatch(client) {
    const got = await client.getUserBatch([["a", 1], ["b", -1], ["c", 2]].map(
        ([token, id]) => new UserRequest({token, id: new Int64(id)})));
    equal(got.map((result) => result.user), [user(1, "a"), null, user(2, "c")]);
    equal(got.map((result) => result.missing && result.missing.id), [null, new Int64(-1), null]);
}

async function logOneway(client) {
    const before = await client.logged();
    for (let i = 0; i < 3; i++) client.log("line");
    equal(Number(await client.logged()), Number(before) + 3);
}

async function fail(client) {
    const error = await thrown(TApplicationException, client.fail("é"));
    equal([error.type, error.message], [6, "failed as asked: é"]);
}

async function blob1MiB(client) {
    const payload = Buffer.alloc(1 << 20, ALL_BYTES);
    assert(payload.equals(await client.blob(payload, payload.length)), "another payload");
}

async function appendLines(client) {
    const journal = `${process.pid}-${process.hrtime.bigint()}`;
    const lines = ["one", "two", "é"];
    const positions = await Promise.all(lines.map((line) => client.append(journal, line)));
    equal(positions.map(Number), [0, 1, 2]);
    equal(await client.lines(journal), lines);
}

async function manyCalls(client) {
    for (let i = 0; i < 200; i++) await echo(`token ${i}`)(client);
}

async function inFlight(client) {
    const named = passed.map((name) => CHECKS[name](client).catch((error) => {
        error.message = `${name}: ${error.message}`;
        throw error;
    }));
    const echoes = Array.from({length: 100}, (_, i) => echo(`token ${i}`)(client));
    await Promise.all([...named, ...echoes]);
}

const passed = [];
const CHECKS = {
    "echo-ascii": echo("hello"),
    "echo-empty": echo(""),
    "echo-unicode": echo(UNICODE),
    "echo-long": echo("0123456789".repeat(10000)),
    "get-user": async (client) => equal({...await client.getUser("t", 7)}, user(7, "t")),
    "get-user-inactive": async (client) => equal({...await client.getUser("t", 10)}, user(10, "t")),
    "get-user-last": async (client) => equal({...await client.getUser("é", 1000000)},
        user(1000000, "é")),
    "get-user-missing": async (client) => missing(new Int64(-5), "-5",
        client.getUser("t", -5)),
    "get-users": async (client) => equal(await client.getUsers("t", [1, 2, 10, 0]),
        users([1, 2, 10], "t")),
    "get-users-empty": async (client) => equal(await client.getUsers("t", []), {}),
    "find-user": async (client) => equal({...await client.findUser(42)}, user(42, "")),
    "find-user-missing": async (client) => missing(LOWEST, "-9223372036854775808",
        client.findUser(LOWEST)),
    "find-users": async (client) => equal(await client.findUsers([5, 6, -1]), users([5, 6], "")),
    "get-user-batch": getUserBatch,
    "touch": async (client) => client.touch("t"),
    "log-oneway": logOneway,
    "everything-typical": everything(),
    "bool-false": everything({aBool: false}),
    "byte-min": everything({aByte: -128}),
    "byte-max": everything({aByte: 127}),
    "i16-min": everything({anI16: -32768}),
    "i16-max": everything({anI16: 32767}),
    "i32-min": everything({anI32: -2147483648}),
    "i32-max": everything({anI32: 2147483647}),
    "i64-min": everything({anI64: LOWEST}),
    "i64-max": everything({anI64: HIGHEST}),
    "double-max": everything({aDouble: Number.MAX_VALUE}),
    "double-tiny": everything({aDouble: 5e-324}),
    "double-minus-zero": everything({aDouble: -0}),
    "double-nan": everything({aDouble: NaN}),
    "double-infinity": everything({aDouble: Infinity}),
    "double-minus-infinity": everything({aDouble: -Infinity}),
    "string-empty": everything({aString: ""}),
    "string-unicode": everything({aString: UNICODE}),
    "binary-empty": everything({aBinary: Buffer.alloc(0)}),
    "binary-all": everything({aBinary: ALL_BYTES}),
    "list-empty": everything({aList: []}),
    "list-long": everything({aList: Array.from({length: 2000}, (_, i) => i - 1000)}),
    "set-empty": everything({aSet: []}),
    "set-long": everything({aSet: Array.from({length: 100}, (_, i) => String(i))}),
    "map-empty": everything({aMap: {}}),
    "map-values": everything({aMap: {"": new Int64(0), "é": LOWEST, "max": HIGHEST}}),
    "structs-empty": everything({structs: []}),
    "structs-long": everything({structs: Array.from({length: 100}, (_, i) => point(i, 0 - i))}),
    "fail": fail,
    "after-fail": echo("still there"),
    "blob-empty": async (client) => equal(await client.blob(Buffer.alloc(0), 0), Buffer.alloc(0)),
    "blob-grown": async (client) => equal(await client.blob(Buffer.from("abc"), 10),
        Buffer.from("abcabcabca")),
    "blob-1mib": blob1MiB,
    "wait": async (client) => equal(await client.wait("t", 20), "t"),
    "append-lines": appendLines,
    "unheard-of": unheardOf({}, {one: 1}),
    "unheard-of-bool-map": unheardOf({yes: true, no: false}, {}),
    "after-unheard-of": echo("still there"),
    "many-calls": manyCalls,
    "in-flight": inFlight,
    "stats": async (client) => assert(Number((await client.stats()).calls) >= 200),
};

// --- running them ---------------------------------------------------------------------------------

function patience() {
    return new Promise((_, reject) => {
        setTimeout(() => reject(new Error(`no answer within ${PATIENCE} ms`)), PATIENCE).unref();
    });
}

async function main() {
    let open = null;
    for (const [name, check] of Object.entries(CHECKS)) {
        try {
            open = open || connect(process.argv.slice(2));
            await Promise.race([check(open.client), open.broken, patience()]);
            console.log(`ok ${name}`);
            passed.push(name);
        } catch (error) {
            console.log(`not ok ${name}: ${error.name}: ${error.message}`.replace(/\s+/g, " "));
            open.connection.destroy(); // what is left on it is no business of the next check
            open = null;
        }
    }
    process.exit(0);
}

process.on("unhandledRejection", () => {}); // of calls on a connection that has been given up
main();
