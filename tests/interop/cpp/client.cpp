// client ADDRESS TRANSPORT PROTOCOL: the checks of ../checks.txt with Thrift's C++ library.

#include "Newer.h"
#include <algorithm>
#include <cmath>
#include <functional>
#include <iostream>
#include <limits>
#include <thrift/TApplicationException.h>
#include <thrift/TToString.h>
#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/protocol/TCompactProtocol.h>
#include <thrift/transport/TBufferTransports.h>
#include <thrift/transport/TSocket.h>
#include <time.h>
#include <unistd.h>

using namespace apache::thrift;
using namespace thrift_batch_demo;
using thrift_batch_interop::NewerClient;

namespace {

using Check = std::function<void(NewerClient &)>;

const std::string unicode = "aé€𝄞 日本語 \n\t";

std::unique_ptr<NewerClient> connect(const std::string &address, const std::string &transport,
                                     const std::string &protocol)
{
    size_t colon = address.rfind(':');
    auto socket = std::make_shared<transport::TSocket>(address.substr(0, colon),
                                                       std::stoi(address.substr(colon + 1)));
    std::shared_ptr<transport::TTransport> wrapped;
    std::shared_ptr<protocol::TProtocol> spoken;

    socket->setConnTimeout(20000);
    socket->setRecvTimeout(20000);
    if (transport == "framed")
        wrapped = std::make_shared<transport::TFramedTransport>(socket);
    else
        wrapped = std::make_shared<transport::TBufferedTransport>(socket);
    if (protocol == "compact")
        spoken = std::make_shared<protocol::TCompactProtocol>(wrapped);
    else if (protocol == "binary" || protocol == "binary-old")
        spoken = std::make_shared<protocol::TBinaryProtocol>(wrapped, 0, 0, protocol == "binary",
                                                             protocol == "binary");
    else
        throw std::runtime_error("no protocol " + protocol);
    wrapped->open();
    return std::make_unique<NewerClient>(spoken);
}

// --- the checks -------------------------------------------------------------------------------

template <typename T> void equal(const T &got, const T &wanted)
{
    using apache::thrift::to_string;
    if (!(got == wanted))
        throw std::runtime_error("got " + to_string(got).substr(0, 200) + ", wanted " +
                                 to_string(wanted).substr(0, 200));
}

template <typename E> E thrown(const std::function<void()> &call)
{
    try {
        call();
    } catch (const E &error) {
        return error;
    }
    throw std::runtime_error("did not throw");
}

Check echo(const std::string &token)
{
    return [token](NewerClient &client) {
        std::string got;
        client.echo(got, token);
        equal(got, token);
    };
}

User user(int64_t id, const std::string &token)
{
    User made;
    made.__set_id(id);
    made.__set_name("user-" + std::to_string(id));
    made.__set_active(id % 10 != 0);
    made.__set_token(token);
    return made;
}

std::map<int64_t, User> users(const std::string &token, const std::vector<int64_t> &ids)
{
    std::map<int64_t, User> all;
    for (int64_t id : ids)
        all[id] = user(id, token);
    return all;
}

Check get_user(const std::string &token, int64_t id)
{
    return [=](NewerClient &client) {
        User got;
        client.getUser(got, token, id);
        equal(got, user(id, token));
    };
}

void is_missing(int64_t id, const std::function<void()> &call)
{
    auto error = thrown<NotFound>(call);
    equal(error.id, id);
    equal(error.reason, "there is no user " + std::to_string(id));
}

Point point(double x, double y)
{
    Point made;
    made.__set_x(x);
    made.__set_y(y);
    return made;
}

Everything typical()
{
    Everything made;
    made.__set_token("t");
    made.__set_aBool(true);
    made.__set_aByte(1);
    made.__set_anI16(2);
    made.__set_anI32(3);
    made.__set_anI64(4);
    made.__set_aDouble(5.5);
    made.__set_aString("text");
    made.__set_aBinary(std::string("\0\1\xfe\xff", 4));
    made.__set_aList({1, 2, 3});
    made.__set_aSet({"a", "b"});
    made.__set_aMap({{"one", 1}});
    made.__set_aStruct(point(0.5, -0.25));
    made.__set_structs({point(1, 2), point(3, 4)});
    return made;
}

Everything ask(NewerClient &client, const Everything &v)
{
    Everything got;
    client.everything(got, v.token, v.aBool, v.aByte, v.anI16, v.anI32, v.anI64, v.aDouble,
                      v.aString, v.aBinary, v.aList, v.aSet, v.aMap, v.aStruct, v.structs);
    return got;
}

Check everything(const std::function<void(Everything &)> &change)
{
    return [=](NewerClient &client) {
        Everything values = typical();
        change(values);
        equal(ask(client, values), values);
    };
}

Check real(double value, const std::function<bool(double)> &same)
{
    return [=](NewerClient &client) {
        Everything values = typical();
        values.aDouble = value;
        if (!same(ask(client, values).aDouble))
            throw std::runtime_error("got another number");
    };
}

void get_user_batch(NewerClient &client)
{
    std::vector<UserRequest> requests(3);
    std::vector<UserResult> got;
    const char *tokens[] = {"a", "b", "c"};
    const int64_t ids[] = {1, -1, 2};

    for (size_t i = 0; i < 3; i++) {
        requests[i].__set_token(tokens[i]);
        requests[i].__set_id(ids[i]);
    }
    client.getUserBatch(got, requests);
    equal(got.size(), size_t{3});
    equal(got[0].user, user(1, "a"));
    equal(got[1].__isset.user, false);
    equal(got[1].missing.id, int64_t{-1});
    equal(got[2].user, user(2, "c"));
}

void log_oneway(NewerClient &client)
{
    int64_t before = client.logged();

    for (int i = 0; i < 3; i++)
        client.log("line");
    equal(client.logged(), before + 3);
}

void fails(NewerClient &client)
{
    std::string got;
    auto error = thrown<TApplicationException>([&] { client.fail(got, "é"); });

    equal<int>(error.getType(), TApplicationException::INTERNAL_ERROR);
    equal<std::string>(error.what(), "failed as asked: é");
}

Check blob(const std::string &payload, size_t size, const std::string &wanted)
{
    return [=](NewerClient &client) {
        std::string got;
        client.blob(got, payload, static_cast<int32_t>(size));
        if (got != wanted)
            throw std::runtime_error("another payload, of " + std::to_string(got.size()));
    };
}

void append_lines(NewerClient &client)
{
    const std::vector<std::string> lines = {"one", "two", "é"};
    std::vector<std::string> got;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    std::string journal = std::to_string(getpid()) + "-" + std::to_string(now.tv_sec) + "-" +
                          std::to_string(now.tv_nsec);
    for (size_t i = 0; i < lines.size(); i++)
        equal(client.append(journal, lines[i]), static_cast<int64_t>(i));
    client.lines(got, journal);
    equal(got, lines);
}

Check unheard_of(const std::map<std::string, bool> &named,
                 const std::map<std::string, int64_t> &numbers)
{
    using L1 = std::vector<bool>;
    using L2 = std::vector<L1>;
    using L3 = std::vector<L2>;
    using L4 = std::vector<L3>;
    using L5 = std::vector<L4>;
    using L6 = std::vector<L5>;
    L2 inner;
    inner.push_back(L1{true, false});
    inner.push_back(L1());
    L6 deep(1, L5(1, L4(1, L3(1, inner))));

    return [=](NewerClient &client) {
        auto error = thrown<TApplicationException>(
            [&] { client.unheardOf({true, false, true}, named, deep, numbers); });
        equal<int>(error.getType(), TApplicationException::UNKNOWN_METHOD);
    };
}

void many_calls(NewerClient &client)
{
    for (int i = 0; i < 200; i++)
        echo("token " + std::to_string(i))(client);
}

void in_flight(NewerClient &client)
{
    for (int i = 0; i < 100; i++)
        client.send_echo("token " + std::to_string(i));
    for (int i = 0; i < 100; i++) {
        std::string got;
        client.recv_echo(got);
        equal(got, "token " + std::to_string(i));
    }
}

void stats(NewerClient &client)
{
    Counters got;
    client.stats(got);
    equal(got.calls >= 200, true);
}

std::string repeated(const std::string &text, int times)
{
    std::string all;
    while (times-- > 0)
        all += text;
    return all;
}

template <typename T> using Limits = std::numeric_limits<T>;

std::vector<std::pair<std::string, Check>> checks()
{
    std::string all_bytes;
    std::vector<int32_t> list;
    std::set<std::string> set;
    std::vector<Point> points;

    for (int i = 0; i < 256; i++)
        all_bytes += static_cast<char>(i);
    for (int i = -1000; i < 1000; i++)
        list.push_back(i);
    for (int i = 0; i < 100; i++) {
        set.insert(std::to_string(i));
        points.push_back(point(i, -i));
    }
    std::string big = repeated(all_bytes, 4096);
    const double infinity = Limits<double>::infinity();

    return {
        {"echo-ascii", echo("hello")},
        {"echo-empty", echo("")},
        {"echo-unicode", echo(unicode)},
        {"echo-long", echo(repeated("0123456789", 10000))},
        {"get-user", get_user("t", 7)},
        {"get-user-inactive", get_user("t", 10)},
        {"get-user-last", get_user("é", 1000000)},
        {"get-user-missing",
         [](NewerClient &client) {
             User got;
             is_missing(-5, [&] { client.getUser(got, "t", -5); });
         }},
        {"get-users",
         [](NewerClient &client) {
             std::map<int64_t, User> got;
             client.getUsers(got, "t", {1, 2, 10, 0});
             equal(got, users("t", {1, 2, 10}));
         }},
        {"get-users-empty",
         [](NewerClient &client) {
             std::map<int64_t, User> got;
             client.getUsers(got, "t", {});
             equal(got, users("t", {}));
         }},
        {"find-user",
         [](NewerClient &client) {
             User got;
             client.findUser(got, 42);
             equal(got, user(42, ""));
         }},
        {"find-user-missing",
         [](NewerClient &client) {
             User got;
             is_missing(Limits<int64_t>::min(),
                        [&] { client.findUser(got, Limits<int64_t>::min()); });
         }},
        {"find-users",
         [](NewerClient &client) {
             std::map<int64_t, User> got;
             client.findUsers(got, {5, 6, -1});
             equal(got, users("", {5, 6}));
         }},
        {"get-user-batch", get_user_batch},
        {"touch", [](NewerClient &client) { client.touch("t"); }},
        {"log-oneway", log_oneway},
        {"everything-typical", everything([](Everything &) {})},
        {"bool-false", everything([](Everything &v) { v.aBool = false; })},
        {"byte-min", everything([](Everything &v) { v.aByte = Limits<int8_t>::min(); })},
        {"byte-max", everything([](Everything &v) { v.aByte = Limits<int8_t>::max(); })},
        {"i16-min", everything([](Everything &v) { v.anI16 = Limits<int16_t>::min(); })},
        {"i16-max", everything([](Everything &v) { v.anI16 = Limits<int16_t>::max(); })},
        {"i32-min", everything([](Everything &v) { v.anI32 = Limits<int32_t>::min(); })},
        {"i32-max", everything([](Everything &v) { v.anI32 = Limits<int32_t>::max(); })},
        {"i64-min", everything([](Everything &v) { v.anI64 = Limits<int64_t>::min(); })},
        {"i64-max", everything([](Everything &v) { v.anI64 = Limits<int64_t>::max(); })},
        {"double-max", everything([](Everything &v) { v.aDouble = Limits<double>::max(); })},
        {"double-tiny", everything([](Everything &v) { v.aDouble = 5e-324; })},
        {"double-minus-zero",
         real(-0.0, [](double got) { return got == 0 && std::signbit(got); })},
        {"double-nan",
         real(Limits<double>::quiet_NaN(), [](double got) { return std::isnan(got); })},
        {"double-infinity", everything([=](Everything &v) { v.aDouble = infinity; })},
        {"double-minus-infinity", everything([=](Everything &v) { v.aDouble = -infinity; })},
        {"string-empty", everything([](Everything &v) { v.aString = ""; })},
        {"string-unicode", everything([](Everything &v) { v.aString = unicode; })},
        {"binary-empty", everything([](Everything &v) { v.aBinary = ""; })},
        {"binary-all", everything([=](Everything &v) { v.aBinary = all_bytes; })},
        {"list-empty", everything([](Everything &v) { v.aList.clear(); })},
        {"list-long", everything([=](Everything &v) { v.aList = list; })},
        {"set-empty", everything([](Everything &v) { v.aSet.clear(); })},
        {"set-long", everything([=](Everything &v) { v.aSet = set; })},
        {"map-empty", everything([](Everything &v) { v.aMap.clear(); })},
        {"map-values", everything([](Everything &v) {
             v.aMap = {{"", 0},
                       {"é", Limits<int64_t>::min()},
                       {"max", Limits<int64_t>::max()}};
         })},
        {"structs-empty", everything([](Everything &v) { v.structs.clear(); })},
        {"structs-long", everything([=](Everything &v) { v.structs = points; })},
        {"fail", fails},
        {"after-fail", echo("still there")},
        {"blob-empty", blob("", 0, "")},
        {"blob-grown", blob("abc", 10, "abcabcabca")},
        {"blob-1mib", blob(big, big.size(), big)},
        {"wait",
         [](NewerClient &client) {
             std::string got;
             client.wait(got, "t", 20);
             equal<std::string>(got, "t");
         }},
        {"append-lines", append_lines},
        {"unheard-of", unheard_of({}, {{"one", 1}})},
        {"unheard-of-bool-map", unheard_of({{"yes", true}, {"no", false}}, {})},
        {"after-unheard-of", echo("still there")},
        {"many-calls", many_calls},
        {"in-flight", in_flight},
        {"stats", stats},
    };
}

} // namespace

int main(int argc, char **argv)
{
    std::unique_ptr<NewerClient> client;

    if (argc != 4)
        return 2;
    for (const auto &check : checks()) {
        try {
            if (!client)
                client = connect(argv[1], argv[2], argv[3]);
            check.second(*client);
            std::cout << "ok " << check.first << std::endl;
        } catch (const std::exception &error) {
            std::string why = error.what();
            std::replace(why.begin(), why.end(), '\n', ' ');
            std::cout << "not ok " << check.first << ": " << why << std::endl;
            client.reset(); // what is left on that connection is no business of the next check
        }
    }
    return 0;
}
