/*
 * Serves executeBatch (batch.thrift) in front of a Node.js server's own processor.
 *
 *     const { BatchProcessor } = require('./batch-adapter');
 *
 *     const inner = new Directory.Processor(handler);
 *     const processor = new BatchProcessor(inner, Directory);
 *     const server = thrift.createMultiplexServer(processor, options);
 *     server.on('error', console.error);
 *
 * in place of createServer(Directory, handler, options), which does the same without batches.
 * `Directory` is the module that the Thrift compiler made of the service (js:node): from its
 * client the adapter knows which methods are oneway; such never call back. In front of a
 * MultiplexedProcessor the second argument is an object that has all its services by name:
 * { Directory, Search }. Nothing has to be generated from batch.thrift.
 *
 * Each call of a batch goes to the inner processor over memory, in the protocol of the
 * connection. Requests of the same lane run in their order, each when the one before it has
 * been answered; all others run side by side. When the last has been answered, the replies go
 * back together, one Response a Request, in order. Every other message goes to the inner
 * processor as if the adapter were not there.
 *
 * - A Response has no message where the method is oneway.
 * - A call that does not parse, is no call, or on which the inner processor throws is answered
 *   with a TApplicationException of its own; its neighbours do not notice. So is a call whose
 *   timeoutMs is over before it begins; oneway methods are executed all the same.
 * - Refused with a TApplicationException, and nothing executed: a batch above a limit
 *   (INTERNAL_ERROR) or one that does not parse (PROTOCOL_ERROR). Where the end of the message
 *   is not known then, process() throws behind the answer: the server emits 'error' and closes
 *   the connection, as it does for other bytes that are no Thrift. A server without a listener
 *   for 'error' ends there, with or without this adapter.
 * - A batch inside a batch is an unknown method.
 * - BatchService:executeBatch is answered like executeBatch.
 */
'use strict';

const { Thrift, TFramedTransport } = require('thrift');

const { MessageType, TApplicationExceptionType: Code, Type } = Thrift;

const METHODS = ['executeBatch', 'BatchService:executeBatch'];

class BatchProcessor {
    /**
     * `protocol` makes the protocols of the single calls; by default they are of the connection's
     * class, which does for binary and compact.
     */
    constructor(inner, service, options = {}) {
        this.inner = inner;
        this.service = service;
        this.maxRequests = options.maxRequests ?? 10000;
        this.maxBytes = options.maxBytes ?? 64 * 1024 * 1024;
        this.protocol = options.protocol;
    }

    process(input, output) {
        const header = input.readMessageBegin();
        if (!METHODS.includes(header.fname)) {
            return this.inner.process(readAgain(input, header), output);
        }
        let requests;
        try {
            requests = this.read(input);
        } catch (error) {
            const framed = input.trans instanceof TFramedTransport;
            // The server calls again when more has come; in a frame, all has.
            if (error.name === 'InputBufferUnderrunError' && !framed) throw error;
            writeError(output, 'executeBatch', header.rseqid, asRefusal(error));
            if (!framed && !(error instanceof Refusal)) throw error;
            if (framed) skipFrame(input.trans);
            return undefined;
        }
        const Protocol = this.protocol ?? input.constructor;
        return this.execute(requests, Protocol).then((replies) => {
            writeReplies(output, header.rseqid, replies);
        });
    }

    /** Reads the arguments to their end, but keeps nothing above the limits. */
    read(input) {
        let requests = null;
        let bytes = 0;
        const readMessage = (request) => {
            request.message = input.readBinary();
            bytes += request.message.length;
        };
        const readRequest = () => {
            const request = {};
            readStruct(input, {
                1: [Type.STRING, () => readMessage(request)],
                2: [Type.I32, () => (request.timeoutMs = input.readI32())],
                3: [Type.I32, () => (request.lane = input.readI32())],
            });
            if (requests.length <= this.maxRequests && bytes <= this.maxBytes)
                requests.push(request);
        };
        const readRequests = () => {
            const { etype, size } = input.readListBegin();
            requests = [];
            for (let i = 0; i < size; i++) {
                if (etype === Type.STRUCT) readRequest();
                else input.skip(etype);
            }
            input.readListEnd();
        };
        readStruct(input, {
            1: [Type.STRUCT, () => readStruct(input, { 1: [Type.LIST, readRequests] })],
        });
        input.readMessageEnd();

        if (requests === null || !requests.every((request) => request.message)) {
            throw new Refusal(Code.PROTOCOL_ERROR, 'a batch lacks a required field');
        }
        if (requests.length > this.maxRequests || bytes > this.maxBytes) {
            throw new Refusal(
                Code.INTERNAL_ERROR,
                `a batch of more than ${this.maxRequests} requests or ${this.maxBytes} bytes`,
            );
        }
        return requests;
    }

    /** Resolves to the replies, a Buffer each, or null where none is owed. */
    execute(requests, Protocol) {
        const begin = performance.now();
        const lanes = new Map();
        const start = ({ message, timeoutMs }, position) =>
            new Promise((done) => {
                const late = timeoutMs !== undefined && performance.now() - begin >= timeoutMs;
                this.call(message, position, late, Protocol, done);
            });
        return Promise.all(
            requests.map((request, position) => {
                const before = lanes.get(request.lane);
                const reply = before
                    ? before.then(() => start(request, position))
                    : start(request, position);
                if (request.lane !== undefined) lanes.set(request.lane, reply);
                return reply;
            }),
        );
    }

    /** Calls done() with the reply, or with null; only the first time counts. */
    call(message, position, late, Protocol, done) {
        const reply = new ReplyTransport(done);
        const output = new Protocol(reply);
        const input = new Protocol(new TFramedTransport(message));
        const progress = { header: null, argumentsRead: false };
        let oneway = false;
        // What the generated code has written of a result before it failed has to go.
        const writeMessageBegin = output.writeMessageBegin;
        output.writeMessageBegin = function (...header) {
            reply.chunks = [];
            writeMessageBegin.apply(this, header);
        };
        try {
            progress.header = input.readMessageBegin();
            const { fname, mtype } = progress.header;
            const client = this.clientOf(fname);
            const method = bareName(fname);
            if (mtype !== MessageType.CALL && mtype !== MessageType.ONEWAY) {
                throw new Refusal(Code.INVALID_MESSAGE_TYPE, 'a request of a batch must be a call');
            }
            // Here, because the library's own answer to an unknown method lacks the type.
            if (!(`send_${method}` in client)) {
                throw new Refusal(Code.UNKNOWN_METHOD, `Unknown function ${method}`);
            }
            oneway = mtype === MessageType.ONEWAY || !(`recv_${method}` in client);
            if (late && !oneway) throw new Refusal(Code.INTERNAL_ERROR, 'deadline passed');
            this.inner.process(readAgain(input, progress.header, progress), output);
            if (oneway) done(null);
        } catch (error) {
            const { fname, rseqid } = progress.header ?? { fname: '', rseqid: position };
            if (oneway) done(null);
            else writeError(output, bareName(fname), rseqid, asRefusal(error, progress));
        }
    }

    /** The methods of the client that the compiler made of the message's service. */
    clientOf(name) {
        if (typeof this.service.Client === 'function') return this.service.Client.prototype;
        const [service, method] = String(name).split(':');
        if (method !== undefined && Object.hasOwn(this.service, service)) {
            return this.service[service].Client.prototype;
        }
        return {};
    }
}

/** What is answered as it stands. */
class Refusal extends Thrift.TApplicationException {
    constructor(code, message) {
        super(code, message);
        this.code = code; // the library writes this one, but sets another
    }
}

/** Where the inner processor writes; tells at once what comes, whenever that is. */
class ReplyTransport {
    constructor(done) {
        this.done = done;
        this.chunks = [];
    }

    setCurrSeqId() {}

    write(chunk) {
        this.chunks.push(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
    }

    flush() {
        this.done(Buffer.concat(this.chunks));
    }
}

/** The input as it was before its header was read; notes when the arguments have been read. */
function readAgain(input, header, progress = {}) {
    const again = Object.create(input);
    again.readMessageBegin = () => header;
    again.readMessageEnd = function () {
        progress.argumentsRead = true;
        return input.readMessageEnd.call(this);
    };
    return again;
}

function readStruct(input, fields) {
    input.readStructBegin();
    for (;;) {
        const { ftype, fid } = input.readFieldBegin();
        if (ftype === Type.STOP) break;
        const [type, read] = fields[fid] ?? [];
        if (ftype === type) read();
        else input.skip(ftype);
        input.readFieldEnd();
    }
    input.readStructEnd();
}

function writeReplies(output, seqid, replies) {
    output.writeMessageBegin('executeBatch', MessageType.REPLY, seqid);
    output.writeStructBegin('executeBatch_result');
    output.writeFieldBegin('success', Type.STRUCT, 0);
    output.writeStructBegin('BatchResponse');
    output.writeFieldBegin('responses', Type.LIST, 1);
    output.writeListBegin(Type.STRUCT, replies.length);
    for (const reply of replies) {
        output.writeStructBegin('Response');
        if (reply !== null) {
            output.writeFieldBegin('message', Type.STRING, 1);
            output.writeBinary(reply);
            output.writeFieldEnd();
        }
        output.writeFieldStop();
        output.writeStructEnd();
    }
    output.writeListEnd();
    output.writeFieldEnd();
    output.writeFieldStop();
    output.writeStructEnd();
    output.writeFieldEnd();
    output.writeFieldStop();
    output.writeStructEnd();
    output.writeMessageEnd();
    output.flush();
}

function writeError(output, name, seqid, refusal) {
    output.writeMessageBegin(name, MessageType.EXCEPTION, seqid);
    refusal.write(output);
    output.writeMessageEnd();
    output.flush();
}

function asRefusal(error, progress = {}) {
    if (error instanceof Refusal) return error;
    const what = error?.message || error?.name || String(error);
    if (progress.argumentsRead) return new Refusal(Code.INTERNAL_ERROR, what);
    return new Refusal(Code.PROTOCOL_ERROR, `does not parse: ${what}`);
}

function skipFrame(transport) {
    const { readIndex, writeIndex } = transport.borrow();
    transport.consume(writeIndex - readIndex);
}

/** Multiplexed servers answer with the bare name. A header without version has it as bytes. */
function bareName(name) {
    return String(name).replace(/^[^:]*:/, '');
}

module.exports = { BatchProcessor };
