/* Thousands of random steps; the scenario checks every rule at every step. A failure is repeated by
 * its seed, which the test's output names. */
#include "scenario.h"

#include "../wire/random.h"
#include "../wire/stream.h"

enum { STEPS = 3000, MAX_CLIENTS = 9, SLOTS = 3 };

static MethodPolicy slow = {.name = (char *)"slow*", .group = (char *)"slow"};
static MethodPolicy off = {.name = (char *)"off*", .batch = BATCH_MODE_OFF};
static MethodPolicy log_off = {.name = (char *)"logOff", .batch = BATCH_MODE_OFF};
static MethodPolicy same = {.name = (char *)"same*", .dedupe = true};
static MethodPolicy many = {
    .name = (char *)"many",
    .batch = BATCH_MODE_NATIVE,
    .batch_method = (char *)"manyList",
    .batch_item = 1,
    .batch_requests = {.ids = {7}, .len = 1},
    .batch_responses = {.ids = {0}, .len = 1},
};
static MethodPolicy keyed = {
    .name = (char *)"keyed",
    .batch = BATCH_MODE_NATIVE,
    .dedupe = true,
    .batch_method = (char *)"Users:keyedMap",
    .batch_item = 1,
    .batch_requests = {.ids = {1}, .len = 1},
    .batch_responses = {.ids = {0}, .len = 1},
};
static MethodPolicy again = {.name = (char *)"again*", .idempotent = true};
static MethodPolicy off_again = {
    .name = (char *)"offAgain*", .batch = BATCH_MODE_OFF, .idempotent = true};
static MethodPolicy *const policies[] = {&slow, &off,   &log_off, &same,
                                         &many, &keyed, &again,   &off_again};

typedef struct Walk {
    Random random;
    Scenario *scenario;
    unsigned n_tokens;
} Walk;

static FakeClient *any_client(Walk *walk)
{
    GPtrArray *clients = walk->scenario->clients;
    guint newest = MIN(clients->len, (guint)MAX_CLIENTS);
    return g_ptr_array_index(clients, clients->len - 1 - random_below(&walk->random, newest));
}

static Flight *any_flight(Walk *walk)
{
    GPtrArray *flights = walk->scenario->flights;
    if (flights->len == 0)
        return NULL;
    return g_ptr_array_index(flights, random_below(&walk->random, flights->len));
}

/* A ONEWAY message goes only to methods that owe no answer: of others a later CALL would be taken
 * for one that is owed none. */
static void submit(Walk *walk)
{
    static const char *const methods[] = {"echo",      "Users:getUser", "slowOne",  "fail",
                                          "Users:log", "logSlow",       "large",    "offOne",
                                          "offTwo",    "logOff",        "same",     "many",
                                          "keyed",     "again",         "againTwo", "offAgain"};
    Random *random = &walk->random;
    FakeClient *client = any_client(walk);
    const char *method = methods[random_below(random, G_N_ELEMENTS(methods))];
    bool oneway = strstr(method, "log") != NULL && random_one_in(random, 2);
    if (client->caller.departed && !oneway)
        return;
    char *token = g_strdup_printf("t%u", walk->n_tokens++);
    if (!oneway && random_one_in(random, 2) &&
        (strcmp(method, "same") == 0 || strcmp(method, "keyed") == 0 ||
         strcmp(method, "many") == 0)) {
        char *key = g_strdup_printf("k%u", random_below(random, 3));
        client_asks(client, method, key, token);
        g_free(key);
        g_free(token);
        return;
    }
    client_sends(client, oneway ? MESSAGE_ONEWAY : MESSAGE_CALL, method, token,
                 random_one_in(random, 5) ? random_below(random, 800) : 0);
    g_free(token);
}

static void take(Walk *walk)
{
    if (walk->scenario->flights->len < SLOTS)
        scenario_take(walk->scenario);
}

static void answer(Walk *walk)
{
    Flight *flight = any_flight(walk);
    if (flight == NULL || flight->abandoned)
        return;
    if (flight->plain && random_one_in(&walk->random, 2))
        flight_answers_next(flight);
    else
        flight_answers(flight);
}

static Line *any_line(Walk *walk)
{
    GPtrArray *lines = walk->scenario->lines;
    if (lines->len == 0)
        return NULL;
    return g_ptr_array_index(lines, random_below(&walk->random, lines->len));
}

static void send_through(Walk *walk)
{
    walk->scenario->breaks = random_one_in(&walk->random, 10);
    g_free(scenario_send_through(walk->scenario));
    walk->scenario->breaks = false;
}

static void answer_line(Walk *walk)
{
    Line *line = any_line(walk);
    if (line != NULL && !line->abandoned)
        line_answers(line);
}

/* The server has turned out not to batch. */
static void fall_back(Walk *walk)
{
    Scenario *scenario = walk->scenario;
    Flight *flight = any_flight(walk);
    Batch *due = batcher_next_due(scenario->batcher, scenario->now);
    if (due != NULL && random_one_in(&walk->random, 2))
        batcher_pass_through(scenario->batcher, due, scenario->now + SCENARIO_RETRY, scenario->now);
    else if (flight != NULL && !flight->plain && !flight->abandoned)
        flight_is_unknown(flight);
}

static void drop_abandoned(Walk *walk)
{
    GPtrArray *lines = walk->scenario->lines;
    for (guint i = lines->len; i-- > 0;) {
        Line *line = g_ptr_array_index(lines, i);
        if (line->abandoned)
            line_fails(line, "");
    }
    GPtrArray *flights = walk->scenario->flights;
    for (guint i = flights->len; i-- > 0;) {
        Flight *flight = g_ptr_array_index(flights, i);
        if (flight->abandoned)
            flight_fails(flight, "");
    }
}

/* Only a batch of which nothing was written, and so nothing answered, comes back. */
static void lose(Walk *walk)
{
    Flight *flight = any_flight(walk);
    Line *line = any_line(walk);
    if (line != NULL && random_one_in(&walk->random, 2)) {
        if (random_one_in(&walk->random, 2))
            line_fails(line, "lost");
        else
            line_breaks(line, "lost");
        return;
    }
    if (flight == NULL)
        return;
    if (flight->n_answered == 0 && random_one_in(&walk->random, 2))
        flight_returns(flight, "nothing was sent");
    else if (random_one_in(&walk->random, 2))
        flight_breaks(flight, "lost");
    else
        flight_fails(flight, "lost");
}

static void pass_time(Walk *walk)
{
    Random *random = &walk->random;
    nsec_t time = random_below(random, 300) * NSEC_PER_USEC;
    if (random_one_in(random, 20))
        time = random_below(random, 6000) * NSEC_PER_MSEC;
    scenario_pass(walk->scenario, time);
}

static void come_or_leave(Walk *walk)
{
    FakeClient *client = any_client(walk);
    if (!client->caller.departed)
        client_leaves(client);
    scenario_client_of(walk->scenario, all_forms[random_below(&walk->random, FORMS)]);
}

static void step(Walk *walk)
{
    unsigned dice = random_below(&walk->random, 100);
    if (dice < 40)
        submit(walk);
    else if (dice < 52)
        take(walk);
    else if (dice < 60)
        send_through(walk);
    else if (dice < 69)
        answer(walk);
    else if (dice < 78)
        answer_line(walk);
    else if (dice < 80)
        fall_back(walk);
    else if (dice < 90)
        pass_time(walk);
    else if (dice < 93)
        lose(walk);
    else if (dice < 95)
        come_or_leave(walk);
    else if (dice < 98)
        drop_abandoned(walk);
    else if (random_one_in(&walk->random, 5))
        batcher_fail_waiting(walk->scenario->batcher, "no server", walk->scenario->now);
}

/* The window is a promise: a timer set to it finds a batch that is due. */
static void check_timers(const Walk *walk)
{
    const Scenario *scenario = walk->scenario;
    nsec_t window = batcher_next_window(scenario->batcher, scenario->now);
    expect(window > scenario->now);
    if (window != NSEC_NEVER)
        expect(batcher_next_due(scenario->batcher, window) != NULL);
    expect(batcher_next_deadline(scenario->batcher) > scenario->now);
}

static bool answer_lines(Walk *walk)
{
    bool moved = false;
    for (guint i = 0; i < walk->scenario->lines->len; i++)
        moved = line_answers(g_ptr_array_index(walk->scenario->lines, i)) || moved;
    return moved;
}

static void settle(Walk *walk)
{
    unsigned n_stuck = 0;
    Scenario *scenario = walk->scenario;
    batcher_drain(scenario->batcher);
    while (scenario->counters.pending_calls > 0 || scenario->flights->len > 0) {
        drop_abandoned(walk);
        Flight *flight = any_flight(walk);
        bool moved = answer_lines(walk);
        char *text = scenario_send_through(scenario);
        moved = moved || text[0] != '\0';
        g_free(text);
        if (flight != NULL)
            flight_answers(flight);
        else if (scenario_take(scenario) == NULL && !moved && ++n_stuck > 10)
            break;
    }
    /* A method that never answers, last on its connection, is known by its timeout only. */
    scenario_pass(scenario, scenario->params.call_timeout);
    drop_abandoned(walk);
    expect_eq(scenario->counters.pending_calls, 0, "calls are left that no batch has");
}

static void walk_with(BatcherParams params, uint64_t seed)
{
    Walk walk = {
        .random = {seed},
        .scenario = scenario_new_with_policies(params, policies, G_N_ELEMENTS(policies)),
    };
    scenario_client(walk.scenario);
    for (unsigned i = 0; i < STEPS; i++) {
        step(&walk);
        check_timers(&walk);
    }
    settle(&walk);
    scenario_end(walk.scenario);
}

static BatcherParams random_params(Random *random, Ordering ordering, Flush flush)
{
    BatcherParams params = scenario_params();
    params.ordering = ordering;
    params.flush = flush;
    params.upstream.transport = random_one_in(random, 2) ? TRANSPORT_FRAMED : TRANSPORT_BUFFERED;
    params.upstream.protocol = random_one_in(random, 2) ? PROTOCOL_BINARY : PROTOCOL_COMPACT;
    params.max_calls = 1 + random_below(random, 12);
    params.max_bytes = 200 + random_below(random, 3000);
    params.min_calls = 1 + random_below(random, 5);
    params.retries = random_below(random, 3);
    params.window = random_below(random, 2000) * NSEC_PER_USEC + 1;
    return params;
}

static void walk_often(Ordering ordering, Flush flush)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        Random random = {seed};
        cr_log_info("seed %lu", (unsigned long)seed);
        walk_with(random_params(&random, ordering, flush), random_bits(&random));
    }
}

Test(random, strict_order_adaptive, .timeout = 60)
{
    walk_often(ORDERING_STRICT, FLUSH_ADAPTIVE);
}

Test(random, strict_order_window, .timeout = 60)
{
    walk_often(ORDERING_STRICT, FLUSH_WINDOW);
}

Test(random, relaxed_order_adaptive, .timeout = 60)
{
    walk_often(ORDERING_RELAXED, FLUSH_ADAPTIVE);
}

Test(random, relaxed_order_window, .timeout = 60)
{
    walk_often(ORDERING_RELAXED, FLUSH_WINDOW);
}
