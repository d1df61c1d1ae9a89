/* An upstream in C++: the demo service (demo.thrift) behind the batch adapter. Listens on loopback
 * where the kernel says, and prints the address. */

#include "batch-processor.h"
#include "Directory.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <signal.h>
#include <stdexcept>
#include <thread>
#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/protocol/TCompactProtocol.h>
#include <thrift/server/TThreadedServer.h>
#include <thrift/transport/TServerSocket.h>

using namespace apache::thrift;
using namespace thrift_batch_demo;

namespace {

const int64_t LAST_USER = 1000000;

/* The service: it knows nothing of batches. */
class Handler : public DirectoryIf {
  public:
    std::atomic<int64_t> messages{0}, calls{0}, logged_{0};

    void echo(std::string &_return, const std::string &token) override
    {
        calls++;
        _return = token;
    }

    void getUser(User &_return, const std::string &token, const int64_t id) override
    {
        calls++;
        fill(_return, token, id);
    }

    void getUsers(std::map<int64_t, User> &_return, const std::string &token,
                  const std::vector<int64_t> &ids) override
    {
        calls++;
        collect(_return, token, ids);
    }

    void findUser(User &_return, const int64_t id) override
    {
        calls++;
        fill(_return, "", id);
    }

    void findUsers(std::map<int64_t, User> &_return, const std::vector<int64_t> &ids) override
    {
        calls++;
        collect(_return, "", ids);
    }

    void getUserBatch(std::vector<UserResult> &_return,
                      const std::vector<UserRequest> &requests) override
    {
        calls++;
        for (const UserRequest &request : requests) {
            UserResult result;
            try {
                User user;
                fill(user, request.token, request.id);
                result.__set_user(user);
            } catch (const NotFound &missing) {
                result.__set_missing(missing);
            }
            _return.push_back(result);
        }
    }

    void touch(const std::string &) override
    {
        calls++;
    }

    void log(const std::string &line) override
    {
        calls++;
        if (line == "fail")
            throw std::runtime_error("failed as asked");
        logged_++;
    }

    int64_t logged() override
    {
        calls++;
        return logged_;
    }

    void everything(Everything &_return, const std::string &token, const bool aBool,
                    const int8_t aByte, const int16_t anI16, const int32_t anI32,
                    const int64_t anI64, const double aDouble, const std::string &aString,
                    const std::string &aBinary, const std::vector<int32_t> &aList,
                    const std::set<std::string> &aSet, const std::map<std::string, int64_t> &aMap,
                    const Point &aStruct, const std::vector<Point> &structs) override
    {
        calls++;
        _return.__set_token(token);
        _return.__set_aBool(aBool);
        _return.__set_aByte(aByte);
        _return.__set_anI16(anI16);
        _return.__set_anI32(anI32);
        _return.__set_anI64(anI64);
        _return.__set_aDouble(aDouble);
        _return.__set_aString(aString);
        _return.__set_aBinary(aBinary);
        _return.__set_aList(aList);
        _return.__set_aSet(aSet);
        _return.__set_aMap(aMap);
        _return.__set_aStruct(aStruct);
        _return.__set_structs(structs);
    }

    void blob(std::string &_return, const std::string &payload, const int32_t size) override
    {
        calls++;
        while (!payload.empty() && _return.size() < static_cast<size_t>(size))
            _return += payload;
        _return.resize(static_cast<size_t>(size));
    }

    /* Throws what is no exception of C++'s own where the token says so. */
    void fail(std::string &, const std::string &token) override
    {
        calls++;
        if (token == "hard")
            throw 42;
        throw std::runtime_error("failed as asked: " + token);
    }

    void wait(std::string &_return, const std::string &token, const int32_t milliseconds) override
    {
        calls++;
        std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
        _return = token;
    }

    int64_t append(const std::string &journal, const std::string &line) override
    {
        std::lock_guard<std::mutex> guard(lock_);

        calls++;
        journals_[journal].push_back(line);
        return static_cast<int64_t>(journals_[journal].size()) - 1;
    }

    void lines(std::vector<std::string> &_return, const std::string &journal) override
    {
        std::lock_guard<std::mutex> guard(lock_);

        calls++;
        _return = journals_[journal];
    }

    void stats(Counters &_return) override
    {
        _return.__set_calls(++calls);
        _return.__set_messages(messages);
    }

  private:
    static void fill(User &user, const std::string &token, int64_t id)
    {
        if (id < 1 || id > LAST_USER) {
            NotFound missing;
            missing.__set_id(id);
            missing.__set_reason("there is no user " + std::to_string(id));
            throw missing;
        }
        user.__set_id(id);
        user.__set_name("user-" + std::to_string(id));
        user.__set_active(id % 10 != 0);
        user.__set_token(token);
    }

    static void collect(std::map<int64_t, User> &users, const std::string &token,
                        const std::vector<int64_t> &ids)
    {
        for (int64_t id : ids) {
            if (id >= 1 && id <= LAST_USER)
                fill(users[id], token, id);
        }
    }

    std::mutex lock_; /* of the journals */
    std::map<std::string, std::vector<std::string>> journals_;
};

/* Counts the messages that come over connections. */
class Counted : public TProcessor {
  public:
    Counted(std::shared_ptr<TProcessor> inner, std::shared_ptr<Handler> handler)
        : inner_(std::move(inner)), handler_(std::move(handler))
    {
    }

    bool process(std::shared_ptr<protocol::TProtocol> in, std::shared_ptr<protocol::TProtocol> out,
                 void *context) override
    {
        bool ok = inner_->process(in, out, context);

        handler_->messages++;
        return ok;
    }

  private:
    std::shared_ptr<TProcessor> inner_;
    std::shared_ptr<Handler> handler_;
};

class Announce : public server::TServerEventHandler {
  public:
    explicit Announce(std::shared_ptr<transport::TServerSocket> socket) : socket_(std::move(socket))
    {
    }

    void preServe() override
    {
        printf("listening on 127.0.0.1:%d\n", socket_->getPort());
        fflush(stdout);
    }

  private:
    std::shared_ptr<transport::TServerSocket> socket_;
};

} // namespace

int main(int argc, char **argv)
{
    std::map<std::string, std::string> options;
    thrift_batch::BatchLimits limits;
    std::shared_ptr<transport::TTransportFactory> transports;
    std::shared_ptr<protocol::TProtocolFactory> protocols;

    signal(SIGPIPE, SIG_IGN);
    for (int i = 1; i + 1 < argc; i += 2)
        options[argv[i]] = argv[i + 1];
    if (options.count("--max-calls"))
        limits.maxCalls = static_cast<uint32_t>(std::stoul(options["--max-calls"]));
    if (options.count("--max-bytes"))
        limits.maxBytes = static_cast<uint32_t>(std::stoul(options["--max-bytes"]));
    if (options.count("--max-reply-bytes"))
        limits.maxReplyBytes = static_cast<uint32_t>(std::stoul(options["--max-reply-bytes"]));
    if (options["--transport"] == "buffered")
        transports = std::make_shared<transport::TBufferedTransportFactory>();
    else
        transports = std::make_shared<transport::TFramedTransportFactory>();
    if (options["--protocol"] == "compact")
        protocols = std::make_shared<protocol::TCompactProtocolFactory>();
    else
        protocols = std::make_shared<protocol::TBinaryProtocolFactory>();

    auto handler = std::make_shared<Handler>();
    auto directory = std::make_shared<DirectoryProcessor>(handler);
    auto processor = std::make_shared<thrift_batch::BatchProcessor>(directory, protocols, limits);
    auto counted = std::make_shared<Counted>(processor, handler);
    auto socket = std::make_shared<transport::TServerSocket>("127.0.0.1", 0);
    server::TThreadedServer server(counted, socket, transports, protocols);
    server.setServerEventHandler(std::make_shared<Announce>(socket));
    server.serve();
    return 0;
}
