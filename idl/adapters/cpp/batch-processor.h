/* Serves executeBatch (batch.thrift) in front of a C++ server's own processor:
 *
 *     auto transports = std::make_shared<TFramedTransportFactory>();
 *     auto protocols = std::make_shared<TBinaryProtocolFactory>();
 *     auto directory = std::make_shared<DirectoryProcessor>(handler);
 *     auto processor = std::make_shared<thrift_batch::BatchProcessor>(directory, protocols);
 *     TThreadedServer server(processor, socket, transports, protocols);
 *
 * The processor takes the place of the server's own one, which stays as it is, as do its handlers.
 * A message named executeBatch is taken apart: each of its calls goes to the inner processor over
 * memory, one after another in the order in which they stand (so lanes need no care), and the
 * replies go back together. Every other message goes to the inner processor as if the adapter were
 * not there. This file is all there is: copy it into your server. It needs C++14 and no generated
 * code.
 *
 * - Answers: one Response a Request, in order. It has no message where the inner processor wrote
 *   nothing (a oneway method). A call that does not parse (PROTOCOL_ERROR), on which the inner
 *   processor throws (INTERNAL_ERROR) or that is no call (INVALID_MESSAGE_TYPE) is answered with a
 *   TApplicationException of its own, or not at all if it came as ONEWAY; its neighbours do not
 *   notice. An unknown method is the inner processor's to answer, and a batch in a batch is one.
 * - Deadlines: a CALL whose timeoutMs is over before it begins, counted from when the batch has
 * been read, is answered with INTERNAL_ERROR "deadline passed".
 * - Refused, and nothing executed: a batch above a limit (INTERNAL_ERROR; the connection goes on),
 * a batch that does not parse (PROTOCOL_ERROR; process() then throws, and the server closes the
 *   connection, as it does with any message that does not parse).
 *
 * Any number of threads may process with one adapter at once, if the inner processor allows that.
 */
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thrift/processor/TMultiplexedProcessor.h>
#include <thrift/protocol/TProtocolException.h>
#include <thrift/TApplicationException.h>
#include <thrift/TProcessor.h>
#include <thrift/transport/TBufferTransports.h>
#include <utility>
#include <vector>

namespace thrift_batch {

struct BatchLimits {
    uint32_t maxCalls = 10000;           /* calls in a batch */
    uint32_t maxBytes = 64u << 20;       /* their messages together */
    uint32_t maxReplyBytes = 256u << 20; /* their replies together; one that does not fit any more
                                          * is an INTERNAL_ERROR, which always fits */
};

class BatchProcessor : public apache::thrift::TProcessor {
    using Exception = apache::thrift::TApplicationException;
    using Protocol = apache::thrift::protocol::TProtocol;
    using ProtocolFactory = apache::thrift::protocol::TProtocolFactory;
    using ProtocolException = apache::thrift::protocol::TProtocolException;
    using TransportException = apache::thrift::transport::TTransportException;
    using StoredMessage = apache::thrift::protocol::StoredMessageProtocol;
    using MessageType = apache::thrift::protocol::TMessageType;
    using Type = apache::thrift::protocol::TType;
    using Clock = std::chrono::steady_clock;

  public:
    /* `protocols` makes the protocol of the server's connections: in a batch, calls and replies are
     * written in the same. */
    BatchProcessor(std::shared_ptr<apache::thrift::TProcessor> inner,
                   std::shared_ptr<ProtocolFactory> protocols, BatchLimits limits = BatchLimits())
        : inner_(std::move(inner)), protocols_(std::move(protocols)), limits_(limits)
    {
    }

    using apache::thrift::TProcessor::process;

    bool process(std::shared_ptr<Protocol> in, std::shared_ptr<Protocol> out,
                 void *context) override
    {
        std::string name;
        MessageType type;
        int32_t seqid;

        resetCount(*in);
        in->readMessageBegin(name, type, seqid);
        if (name != "executeBatch")
            return inner_->process(std::make_shared<StoredMessage>(in, name, type, seqid), out,
                                   context);
        Batch batch;
        try {
            readBatch(*in, batch);
            in->readMessageEnd();
            in->getTransport()->readEnd();
        } catch (const TransportException &e) {
            refuse(*out, seqid, Exception(Exception::PROTOCOL_ERROR, e.what()));
            throw;
        } catch (const std::exception &e) { /* also bad_alloc, which servers do not expect */
            refuse(*out, seqid, Exception(Exception::PROTOCOL_ERROR, e.what()));
            throw ProtocolException(ProtocolException::INVALID_DATA, e.what());
        }
        if (!batch.refusal.empty())
            refuse(*out, seqid, Exception(Exception::INTERNAL_ERROR, batch.refusal));
        else
            writeReplies(*out, seqid, executeAll(batch, context));
        return true;
    }

  private:
    /* Libthrift (0.17) counts what comes in frames against the size of the largest message, 100
     * MiB, and only begins anew when the transport is flushed; servers flush another one than they
     * read from. Short connections live with that, a proxy's would break every 100 MiB. */
    static void resetCount(Protocol &in)
    {
        auto framed = std::dynamic_pointer_cast<apache::thrift::transport::TFramedTransport>(
            in.getTransport());

        if (framed)
            framed->flush();
    }

    struct Call {
        std::string message;
        bool hasTimeout = false;
        std::chrono::milliseconds timeout{0};
    };

    struct Batch {
        std::vector<Call> calls;
        uint64_t bytes = 0;
        std::string refusal; /* a limit was passed; the message is read to its end all the same */
    };

    /* Bytes that claim to be more than they are must not make anybody allocate it. */
    class Input : public apache::thrift::transport::TMemoryBuffer {
        /* Protocols look ahead for a number of up to 10 bytes, and do without; but for a string, a
         * refusal makes the binary protocol make room for what it claims to be, up to 2 GiB. */
        enum { LONGEST_NUMBER = 10 };

      public:
        explicit Input(const std::string &message)
            : TMemoryBuffer(reinterpret_cast<uint8_t *>(const_cast<char *>(message.data())),
                            static_cast<uint32_t>(message.size()), OBSERVE,
                            std::make_shared<apache::thrift::TConfiguration>(
                                static_cast<int>(message.size())))
        {
        }

      protected:
        const uint8_t *borrowSlow(uint8_t *buffer, uint32_t *len) override
        {
            if (*len > LONGEST_NUMBER && *len > available_read())
                throw TransportException(TransportException::END_OF_FILE,
                                         "the call ends before its arguments do");
            return TMemoryBuffer::borrowSlow(buffer, len);
        }
    };

    /* --- execution --------------------------------------------------------------------------- */

    /* A reply for each call, empty where none is owed. */
    std::vector<std::string> executeAll(const Batch &batch, void *context)
    {
        const auto begin = Clock::now();
        std::vector<std::string> replies;
        size_t room = limits_.maxReplyBytes;

        replies.reserve(batch.calls.size());
        for (const Call &call : batch.calls) {
            const bool late = call.hasTimeout && Clock::now() - begin >= call.timeout;

            replies.push_back(
                execute(call, static_cast<int32_t>(replies.size()), late, room, context));
            room -= std::min(room, replies.back().size());
        }
        return replies;
    }

    std::string execute(const Call &call, int32_t position, bool late, size_t room, void *context)
    {
        std::string name;
        MessageType type;
        int32_t seqid;

        try {
            over(call.message)->readMessageBegin(name, type, seqid);
        } catch (const std::exception &e) {
            return exception("", position, Exception::PROTOCOL_ERROR, e.what());
        }
        if (type != MessageType::T_CALL && type != MessageType::T_ONEWAY)
            return exception(name, seqid, Exception::INVALID_MESSAGE_TYPE,
                             "a request of a batch must be a call");
        if (late && type == MessageType::T_CALL)
            return exception(name, seqid, Exception::INTERNAL_ERROR, "deadline passed");
        try {
            return processOver(call.message, room, context);
        } catch (const Exception &e) {
            return type == MessageType::T_ONEWAY ? std::string()
                                                 : exception(name, seqid, e.getType(), e.what());
        }
    }

    /* What the inner processor writes; throws an Exception and nothing else. */
    std::string processOver(const std::string &message, size_t room, void *context)
    {
        auto output = std::make_shared<apache::thrift::transport::TMemoryBuffer>();

        output->setMaxBufferSize(std::max(static_cast<uint32_t>(room), output->getBufferSize()));
        try {
            if (!inner_->process(over(message), protocols_->getProtocol(output), context) &&
                output->available_read() == 0)
                throw apache::thrift::TException("the call could not be processed");
            return output->getBufferAsString();
        } catch (const ProtocolException &e) {
            throw Exception(Exception::PROTOCOL_ERROR, e.what());
        } catch (const TransportException &e) { /* of memory: its end on either side */
            throw Exception(e.getType() == TransportException::END_OF_FILE
                                ? Exception::PROTOCOL_ERROR
                                : Exception::INTERNAL_ERROR,
                            e.what());
        } catch (const std::exception &e) {
            throw Exception(Exception::INTERNAL_ERROR, e.what());
        } catch (...) {
            throw Exception(Exception::INTERNAL_ERROR, "the handler threw no std::exception");
        }
    }

    /* A protocol that reads from memory, which has to outlive it. */
    std::shared_ptr<Protocol> over(const std::string &message)
    {
        return protocols_->getProtocol(std::make_shared<Input>(message));
    }

    std::string exception(const std::string &name, int32_t seqid,
                          Exception::TApplicationExceptionType type, const std::string &text)
    {
        auto output = std::make_shared<apache::thrift::transport::TMemoryBuffer>();

        writeException(*protocols_->getProtocol(output), name, seqid, Exception(type, text));
        return output->getBufferAsString();
    }

    /* --- the envelope ------------------------------------------------------------------------ *
     *
     * By hand, because generated code knows no limits: it makes room for the whole list before
     * anybody could look at its size. */

    void readBatch(Protocol &in, Batch &batch)
    {
        bool found = false;

        readStruct(in, [&](int16_t argument, Type type) {
            if (argument != 1 || type != Type::T_STRUCT)
                return false;
            readStruct(in, [&](int16_t field, Type fieldType) {
                if (field != 1 || fieldType != Type::T_LIST)
                    return false;
                found = true;
                readRequests(in, batch);
                return true;
            });
            return true;
        });
        if (!found)
            throw ProtocolException(ProtocolException::INVALID_DATA,
                                    "a batch without a list of requests");
    }

    void readRequests(Protocol &in, Batch &batch)
    {
        Type type;
        uint32_t size;

        in.readListBegin(type, size);
        if (size > 0 && type != Type::T_STRUCT)
            throw ProtocolException(ProtocolException::INVALID_DATA,
                                    "the requests of a batch must be structs");
        if (size > limits_.maxCalls)
            batch.refusal = "a batch has at most " + std::to_string(limits_.maxCalls) + " calls";
        for (uint32_t i = 0; i < size; i++)
            readRequest(in, batch);
        in.readListEnd();
    }

    void readRequest(Protocol &in, Batch &batch)
    {
        Call call;
        bool found = false;

        readStruct(in, [&](int16_t field, Type type) {
            if (field == 1 && type == Type::T_STRING) {
                in.readBinary(call.message);
                found = true;
            } else if (field == 2 && type == Type::T_I32) {
                int32_t milliseconds;
                in.readI32(milliseconds);
                call.timeout = std::chrono::milliseconds(milliseconds);
                call.hasTimeout = true;
            } else {
                return false;
            }
            return true;
        });
        if (!found)
            throw ProtocolException(ProtocolException::INVALID_DATA, "a request without a message");
        batch.bytes += call.message.size();
        if (batch.refusal.empty() && batch.bytes > limits_.maxBytes)
            batch.refusal = "a batch has at most " + std::to_string(limits_.maxBytes) + " bytes";
        if (batch.refusal.empty())
            batch.calls.push_back(std::move(call));
    }

    /* Hands each field to readField(id, type), and skips those that it does not know. */
    template <typename ReadField> static void readStruct(Protocol &in, ReadField readField)
    {
        std::string name;
        Type type;
        int16_t id;

        in.readStructBegin(name);
        for (in.readFieldBegin(name, type, id); type != Type::T_STOP;
             in.readFieldBegin(name, type, id)) {
            if (!readField(id, type))
                in.skip(type);
            in.readFieldEnd();
        }
        in.readStructEnd();
    }

    static void refuse(Protocol &out, int32_t seqid, const Exception &exception)
    {
        writeException(out, "executeBatch", seqid, exception);
        flush(out);
    }

    static void writeException(Protocol &out, const std::string &name, int32_t seqid,
                               const Exception &exception)
    {
        out.writeMessageBegin(name, MessageType::T_EXCEPTION, seqid);
        exception.write(&out);
        out.writeMessageEnd();
    }

    static void writeReplies(Protocol &out, int32_t seqid, const std::vector<std::string> &replies)
    {
        out.writeMessageBegin("executeBatch", MessageType::T_REPLY, seqid);
        out.writeStructBegin("executeBatch_result");
        out.writeFieldBegin("success", Type::T_STRUCT, 0);
        out.writeStructBegin("BatchResponse");
        out.writeFieldBegin("responses", Type::T_LIST, 1);
        out.writeListBegin(Type::T_STRUCT, static_cast<uint32_t>(replies.size()));
        for (const std::string &reply : replies)
            writeResponse(out, reply);
        out.writeListEnd();
        writeStructClose(out);
        writeStructClose(out);
        out.writeMessageEnd();
        flush(out);
    }

    static void writeResponse(Protocol &out, const std::string &reply)
    {
        out.writeStructBegin("Response");
        if (!reply.empty()) {
            out.writeFieldBegin("message", Type::T_STRING, 1);
            out.writeBinary(reply);
            out.writeFieldEnd();
        }
        out.writeFieldStop();
        out.writeStructEnd();
    }

    /* The end of a struct's only field, and the struct's. */
    static void writeStructClose(Protocol &out)
    {
        out.writeFieldEnd();
        out.writeFieldStop();
        out.writeStructEnd();
    }

    static void flush(Protocol &out)
    {
        out.getTransport()->writeEnd();
        out.getTransport()->flush();
    }

    std::shared_ptr<apache::thrift::TProcessor> inner_;
    std::shared_ptr<ProtocolFactory> protocols_;
    BatchLimits limits_;
};

} // namespace thrift_batch
