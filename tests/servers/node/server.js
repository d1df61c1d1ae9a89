// Serves the demo service with the thrift package and idl/adapters/node. Half of the handler's
// methods call back, half return promises.
'use strict';

const path = require('path');
const { parseArgs } = require('util');
const thrift = require('thrift');

const Directory = require(path.join(process.env.GEN_NODE, 'Directory'));
const types = require(path.join(process.env.GEN_NODE, 'demo_types'));
const { BatchProcessor } = require(
    path.join(process.env.IDL_DIR, 'adapters', 'node', 'batch-adapter'),
);

const TRANSPORTS = { framed: thrift.TFramedTransport, buffered: thrift.TBufferedTransport };
const PROTOCOLS = { binary: thrift.TBinaryProtocol, compact: thrift.TCompactProtocol };

let messages = 0;
let logged = 0;
const journals = new Map();

const handler = {
    async echo(token) {
        return token === 'unwritable' ? { not: 'text' } : token;
    },

    getUser(token, id, callback) {
        if (id < 1 || id > 1e6) {
            callback(new types.NotFound({ id, reason: 'no such user' }));
        } else {
            const name = `user-${id}`;
            callback(null, new types.User({ id, name, active: id % 10 !== 0, token }));
        }
    },

    async touch() {},

    log(line) {
        logged++;
        if (line === 'fail') throw new Error('the log is full');
    },

    logged(callback) {
        setImmediate(callback, null, logged);
    },

    async everything(...values) {
        const everything = new types.Everything();
        Object.keys(everything).forEach((name, i) => (everything[name] = values[i]));
        return everything;
    },

    async blob(payload, size) {
        return Buffer.alloc(size, payload);
    },

    fail(token, callback) {
        if (token === 'lost') throw new Error('the database has gone');
        callback(new Error(token));
    },

    wait(token, milliseconds, callback) {
        setTimeout(callback, milliseconds, null, token);
    },

    async append(journal, line) {
        const lines = journals.get(journal) ?? [];
        journals.set(journal, lines);
        return lines.push(line) - 1;
    },

    async lines(journal) {
        return journals.get(journal) ?? [];
    },

    async stats() {
        return new types.Counters({ messages });
    },
};
// Generated code tells the two kinds of methods apart by how many arguments they declare.
Object.defineProperty(handler.everything, 'length', { value: 14 });
Object.defineProperty(handler.touch, 'length', { value: 1 });

const { values: options } = parseArgs({
    options: {
        transport: { type: 'string', default: 'framed' },
        protocol: { type: 'string', default: 'binary' },
        multiplexed: { type: 'boolean', default: false },
        'max-requests': { type: 'string' },
        'max-bytes': { type: 'string' },
    },
});
const limits = {
    maxRequests: options['max-requests'] && Number(options['max-requests']),
    maxBytes: options['max-bytes'] && Number(options['max-bytes']),
};

let processor = new Directory.Processor(handler);
if (options.multiplexed) {
    const multiplexed = new thrift.MultiplexedProcessor();
    multiplexed.registerProcessor('Directory', processor);
    processor = new BatchProcessor(multiplexed, { Directory }, limits);
} else {
    processor = new BatchProcessor(processor, Directory, limits);
}

const counting = {
    process(input, output) {
        processor.process(input, output);
        messages++;
    },
};
const server = thrift.createMultiplexServer(counting, {
    transport: TRANSPORTS[options.transport],
    protocol: PROTOCOLS[options.protocol],
});
server.on('error', (error) => console.error(`error: ${error.message}`));
server.listen(0, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${server.address().port}`));
