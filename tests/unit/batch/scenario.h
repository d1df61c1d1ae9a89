/* Stories about batching, in virtual time: clients that call, an upstream with slots that takes
 * batches as bytes and answers with bytes, and a clock that only scenario_pass() moves.
 *
 * A call is known by its token, a string that stands in its arguments and comes back in its result.
 * The fake server tells by a method's bare name what to do: "log..." owes no answer, "fail..." says
 * an exception, "large..." and "wide..." answer at length (in one value, in many), every other
 * method gives the token back.
 *
 * Whatever the story, the scenario checks: join's bytes are what c_glib reads, sequence ids and
 * lanes are right, strict order is kept, limits are kept, every reply has the form, name, sequence
 * id and token of its call, no call ends twice; and, at the end, that every call has ended, every
 * CALL was answered and the counters agree. */
#pragma once

#include <glib.h>

#include "batch/batcher.h"
#include "batch/split.h"

#include "../base/expect.h"

enum { SCENARIO_MAX_MESSAGE = 64 << 20 };

#define SCENARIO_RETRY (30 * NSEC_PER_SEC) /* batch_retry_interval */

typedef struct Scenario Scenario;

typedef struct FakeClient {
    Scenario *scenario;
    Caller caller;
    Form form;
    GPtrArray *sent; /* of SentCall */
    GString *got;    /* tokens in order: "a1 ?a2 !a3"; ?: the upstream's exception, !: an error */
    char *error;     /* the latest exception's text */
    int32_t error_code;
    unsigned executed;    /* strict order: the calls up to this number have been executed */
    bool lost_calls;      /* withdrawn, or expired while they waited */
    unsigned oneway_line; /* strict order: where its latest call, a ONEWAY, went; 0: none */
} FakeClient;

typedef struct SentCall {
    FakeClient *client;
    char *name, *token;
    char *key; /* what travels; the token, unless another was given */
    MessageType type;
    int32_t seqid;
    unsigned number; /* of the client's calls, from 1 */
    unsigned n_ended, n_replies;
    bool broken; /* the server failed while it was in flight */
    size_t size;
} SentCall;

typedef struct FlightCall {
    SentCall *sent;
    Call *call;
    MessageType type;
    int32_t seqid, timeout_ms, lane; /* lane 0: none */
} FlightCall;

/* A batch on its way. */
typedef struct Flight {
    Scenario *scenario;
    Batch *batch;
    Carrier carrier;
    FlightCall *calls;
    unsigned n_calls;    /* that travel */
    unsigned n_all;      /* with followers, which stand behind them in `calls` */
    unsigned n_answered; /* plain: the answers come one by one */
    bool plain;
    bool abandoned;
    char *text; /* "a1 b1", "plain a1"; "a1@2": lane 2, "a1!": as ONEWAY */
} Flight;

/* A connection for calls that are passed through. */
typedef struct Line {
    Scenario *scenario;
    Carrier carrier;
    unsigned number; /* from 1 */
    Batch *batch;
    Call *due;
    GPtrArray *server; /* of FlightCall: read by the server and not answered */
    bool abandoned;
} Line;

struct Scenario {
    BatcherParams params;
    Counters counters;
    MethodTable *methods;
    Batcher *batcher;
    nsec_t now;
    GPtrArray *clients, *flights;
    GPtrArray *lines;   /* in the order in which they were opened */
    unsigned max_lines; /* passthrough_connections */
    unsigned n_lines;   /* opened so far */
    bool breaks;        /* the next write to an idle line fails */
    GHashTable *tokens; /* token -> SentCall, borrowed */
    int32_t next_seqid; /* upstream */
    size_t large;       /* bytes, or values, of a long answer */
    unsigned n_sent;
};

/* Adaptive, strict, framed binary; window 500 us, 64 calls or 1 MiB, min_calls 1, 1 retry, 5 s. */
BatcherParams scenario_params(void);

Scenario *scenario_new(BatcherParams params);
Scenario *scenario_new_with_policies(BatcherParams params, MethodPolicy *const *policies,
                                     size_t n_policies);

bool scenario_is_strict(const Scenario *scenario);

/* Every flight must have ended. Those clients that are left leave. */
void scenario_end(Scenario *scenario);

/* Time passes, and calls expire. */
void scenario_pass(Scenario *scenario, nsec_t time);

FakeClient *scenario_client(Scenario *scenario); /* framed binary */
FakeClient *scenario_client_of(Scenario *scenario, Form form);

void client_calls(FakeClient *client, const char *method, const char *token);
void client_sends_oneway(FakeClient *client, const char *method, const char *token);
void client_sends(FakeClient *client, MessageType type, const char *method, const char *token,
                  size_t padding);
/* What travels is `key`, which other calls may have too; the story knows the call by `token`. */
void client_asks(FakeClient *client, const char *method, const char *key, const char *token);
void client_leaves(FakeClient *client);
SentCall *sent_of(const Call *call);

/* The upstream has a free slot; a batch that reads on finds nothing more. NULL when none is due. */
Flight *scenario_take(Scenario *scenario);

/* How a flight ends; it is freed. */
void flight_answers(Flight *flight);
void flight_fails(Flight *flight, const char *text);
void flight_returns(Flight *flight, const char *text); /* not a byte of it was sent */
void flight_breaks(Flight *flight, const char *text);  /* the server failed */

void flight_is_unknown(Flight *flight); /* UNKNOWN_METHOD: it is passed through */

/* Sends what is to be passed through, on idle lines or new ones, and tells what went where:
 * "1:a1 1:a2! 2:b1". */
char *scenario_send_through(Scenario *scenario);
void scenario_assert_passes(Scenario *scenario, const char *expected, int line);
Line *scenario_line(Scenario *scenario, unsigned number); /* NULL when it is closed */

/* The server answers the next call that it owes an answer to; false when there is none. */
bool line_answers(Line *line);
void line_fails(Line *line, const char *text);  /* it is closed */
void line_breaks(Line *line, const char *text); /* the server failed */

/* A call that was in flight when its server failed is sent again only if that does no harm. */
void check_sent_again(const FlightCall *call);

/* The next answer to a plain batch; with the last one the flight has ended. */
void flight_answers_next(Flight *flight);

/* The right answer to an envelope, without frame; and an answer as split_envelope() judges it,
 * undelivered. */
Buffer flight_right_answer(const Flight *flight);
SplitStatus flight_split(Flight *flight, Bytes message, char why[SPLIT_WHY_SIZE]);

/* Appends the fake server's answer to one call, as a message without frame; nothing where none is
 * owed. */
void append_answer(const Scenario *scenario, const FlightCall *call, Buffer *out);

Flight *scenario_assert_takes(Scenario *scenario, const char *expected, int line);

#define assert_takes(scenario, expected)  scenario_assert_takes(scenario, expected, __LINE__)
#define assert_passes(scenario, expected) scenario_assert_passes(scenario, expected, __LINE__)
#define assert_takes_nothing(scenario)                                                             \
    expect(batcher_next_due((scenario)->batcher, (scenario)->now) == NULL)
#define assert_got(client, expected) expect_str_eq((client)->got->str, expected)
