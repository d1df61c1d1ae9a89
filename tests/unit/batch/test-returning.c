/* Adaptive flush: callers that come back at once are waited for, as long as that pays. */
#include "scenario.h"

enum { CROWD = 3, MAX_CALLS = 4 };

static MethodPolicy off = {.name = (char *)"off", .batch = BATCH_MODE_OFF},
                    slow = {.name = (char *)"slow", .group = (char *)"slow"};
static MethodPolicy *const policies[] = {&off, &slow};

typedef struct Crowd {
    Scenario *scenario;
    FakeClient *clients[CROWD]; /* a, b, c */
    nsec_t upstream, think;
    unsigned round;
} Crowd;

static char *token(unsigned i, unsigned round)
{
    return g_strdup_printf("%c%u", 'a' + (int)i, round);
}

static void crowd_calls(Crowd *crowd, unsigned i)
{
    char *text = token(i, crowd->round);
    client_calls(crowd->clients[i], "echo", text);
    g_free(text);
}

static void crowd_is_answered(Crowd *crowd)
{
    Flight *flight = scenario_take(crowd->scenario);
    expect(flight != NULL);
    expect_eq(flight->n_calls, CROWD);
    scenario_pass(crowd->scenario, crowd->upstream);
    flight_answers(flight);
    crowd->round++;
}

/* Two rounds in which all of them come back together: that is how they become known for it. */
static Crowd crowd_of(nsec_t upstream, nsec_t think)
{
    BatcherParams params = scenario_params();
    params.max_calls = MAX_CALLS;
    Crowd crowd = {.scenario = scenario_new_with_policies(params, policies, G_N_ELEMENTS(policies)),
                   .upstream = upstream,
                   .think = think,
                   .round = 1};
    for (unsigned i = 0; i < CROWD; i++)
        crowd.clients[i] = scenario_client(crowd.scenario);
    for (unsigned round = 0; round < 2; round++) {
        scenario_pass(crowd.scenario, think);
        for (unsigned i = 0; i < CROWD; i++)
            crowd_calls(&crowd, i);
        crowd_is_answered(&crowd);
    }
    return crowd;
}

Test(returning, a_crowd_that_comes_back_at_once_stays_together)
{
    Crowd crowd = crowd_of(NSEC_PER_MSEC, 50 * NSEC_PER_USEC);
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < CROWD; i++) {
            scenario_pass(crowd.scenario, crowd.think);
            assert_takes_nothing(crowd.scenario);
            crowd_calls(&crowd, i);
        }
        crowd_is_answered(&crowd);
    }
    scenario_end(crowd.scenario);
}

/* Answered at 0, with a patience of 300 us; a calls at 30 us, b at 40 us, and c is late. */
static void expect_due(Gathering gathering, nsec_t with_a, nsec_t with_a_and_b)
{
    Crowd crowd = crowd_of(300 * NSEC_PER_USEC, 30 * NSEC_PER_USEC);
    Scenario *scenario = crowd.scenario;
    Batcher *batcher = scenario->batcher;
    nsec_t answered = scenario->now;
    batcher_set_gathering(batcher, gathering);
    scenario_pass(scenario, crowd.think);
    crowd_calls(&crowd, 0);
    assert_takes_nothing(scenario);
    expect_eq(batcher_next_window(batcher, scenario->now), answered + with_a);
    scenario_pass(scenario, 10 * NSEC_PER_USEC);
    crowd_calls(&crowd, 1);
    assert_takes_nothing(scenario);
    expect_eq(batcher_next_window(batcher, scenario->now), answered + with_a_and_b);
    scenario_pass(scenario, answered + with_a_and_b - scenario->now);
    flight_answers(assert_takes(scenario, "a3 b3"));
    scenario_end(scenario);
}

Test(returning, the_fewer_are_late_the_shorter_they_are_waited_for)
{
    expect_due(GATHERING_SLOTS, (30 + 100) * NSEC_PER_USEC, (40 + 50) * NSEC_PER_USEC);
}

Test(returning, with_one_slot_they_are_waited_for_longer)
{
    expect_due(GATHERING_ONE_SLOT, 300 * NSEC_PER_USEC, (40 + 200) * NSEC_PER_USEC);
}

Test(returning, who_was_late_is_not_waited_for)
{
    Crowd crowd = crowd_of(800 * NSEC_PER_USEC, 50 * NSEC_PER_USEC);
    Scenario *scenario = crowd.scenario;
    crowd_calls(&crowd, 0);
    crowd_calls(&crowd, 1);
    scenario_pass(scenario, crowd.upstream);
    crowd_calls(&crowd, 2);
    crowd_is_answered(&crowd);
    crowd_calls(&crowd, 0);
    assert_takes_nothing(scenario); /* b is to come */
    crowd_calls(&crowd, 1);
    flight_answers(assert_takes(scenario, "a4 b4"));
    scenario_end(scenario);
}

/* Each is away for as long as the other's call takes, and waits for its own answer only. */
Test(returning, callers_that_take_turns_do_not_wait_for_each_other)
{
    Scenario *scenario = scenario_new(scenario_params());
    batcher_set_gathering(scenario->batcher, GATHERING_ONE_SLOT);
    FakeClient *clients[] = {scenario_client(scenario), scenario_client(scenario)};
    for (unsigned i = 0; i < 20; i++) {
        char *token = g_strdup_printf("t%u", i);
        client_calls(clients[i % 2], "echo", token);
        Flight *flight = assert_takes(scenario, token);
        scenario_pass(scenario, (i % 3 == 0 ? 1700 : 2000) * NSEC_PER_USEC);
        flight_answers(flight);
        g_free(token);
    }
    scenario_end(scenario);
}

/* At one slot; a has come back, `away` after the answer. */
static Crowd crowd_at_one_slot(nsec_t upstream, nsec_t think, nsec_t away)
{
    Crowd crowd = crowd_of(upstream, think);
    batcher_set_gathering(crowd.scenario->batcher, GATHERING_ONE_SLOT);
    scenario_pass(crowd.scenario, away);
    crowd_calls(&crowd, 0);
    return crowd;
}

Test(returning, a_batch_waits_no_longer_than_the_window)
{
    Crowd crowd = crowd_at_one_slot(100 * NSEC_PER_MSEC, 50 * NSEC_PER_USEC, 20 * NSEC_PER_USEC);
    assert_takes_nothing(crowd.scenario);
    cr_assert_eq(batcher_next_window(crowd.scenario->batcher, crowd.scenario->now),
                 crowd.scenario->now + crowd.scenario->params.window);
    scenario_pass(crowd.scenario, crowd.scenario->params.window);
    flight_answers(assert_takes(crowd.scenario, "a3"));
    scenario_end(crowd.scenario);
}

/* They take longer than the window to come back, but less than three quarters of the upstream's
 * time. */
Test(returning, callers_that_come_back_late_and_together_are_waited_for)
{
    Crowd crowd = crowd_at_one_slot(2 * NSEC_PER_MSEC, NSEC_PER_MSEC, NSEC_PER_MSEC);
    assert_takes_nothing(crowd.scenario);
    scenario_pass(crowd.scenario, 100 * NSEC_PER_USEC);
    crowd_calls(&crowd, 1);
    crowd_calls(&crowd, 2);
    flight_answers(assert_takes(crowd.scenario, "a3 b3 c3"));
    scenario_end(crowd.scenario);
}

Test(returning, after_three_quarters_of_the_upstreams_time_nobody_is_waited_for)
{
    Crowd crowd = crowd_at_one_slot(2 * NSEC_PER_MSEC, NSEC_PER_MSEC, 1501 * NSEC_PER_USEC);
    flight_answers(assert_takes(crowd.scenario, "a3"));
    scenario_end(crowd.scenario);
}

/* d and e wait for a slot when the crowd is answered; with max_calls 4 not all of it fits into
 * their batch, which waits for it all the same, at most for `window`. */
Test(returning, callers_are_waited_for_although_not_all_fit_into_the_batch)
{
    Crowd crowd = crowd_of(NSEC_PER_MSEC, 50 * NSEC_PER_USEC);
    Scenario *scenario = crowd.scenario;
    for (unsigned i = 0; i < CROWD; i++)
        crowd_calls(&crowd, i);
    Flight *flight = scenario_take(scenario);
    client_calls(scenario_client(scenario), "echo", "d");
    client_calls(scenario_client(scenario), "echo", "e");
    batcher_set_blocked(scenario->batcher, true);
    scenario_pass(scenario, crowd.upstream);
    flight_answers(flight);
    assert_takes_nothing(scenario);
    scenario_pass(scenario, scenario->params.window);
    flight_answers(assert_takes(scenario, "d e"));
    scenario_end(scenario);
}

Test(returning, a_full_batch_waits_for_nobody)
{
    Crowd crowd = crowd_of(NSEC_PER_MSEC, 50 * NSEC_PER_USEC);
    scenario_pass(crowd.scenario, crowd.think);
    crowd_calls(&crowd, 0);
    assert_takes_nothing(crowd.scenario);
    client_sends(crowd.clients[1], MESSAGE_CALL, "echo", "b3", crowd.scenario->params.max_bytes);
    flight_answers(assert_takes(crowd.scenario, "a3"));
    flight_answers(assert_takes(crowd.scenario, "b3"));
    scenario_end(crowd.scenario);
}

Test(returning, nobody_waits_for_a_fast_upstream_or_for_clients_that_take_their_time)
{
    static const struct {
        nsec_t upstream, think;
    } table[] = {{20 * NSEC_PER_USEC, 5 * NSEC_PER_USEC}, {NSEC_PER_MSEC, 2 * NSEC_PER_MSEC}};
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        Crowd crowd = crowd_of(table[i].upstream, table[i].think);
        scenario_pass(crowd.scenario, 5 * NSEC_PER_USEC);
        crowd_calls(&crowd, 0);
        flight_answers(assert_takes(crowd.scenario, "a3"));
        scenario_end(crowd.scenario);
    }
}

/* In front of a fast upstream and away for longer than the window, twice more since it was found
 * that the crowd is to be waited for; another client is connected and does not call. */
static Crowd found_crowd(nsec_t window)
{
    Crowd crowd = crowd_of(20 * NSEC_PER_USEC, 4 * NSEC_PER_MSEC);
    scenario_client(crowd.scenario);
    batcher_set_gathering(crowd.scenario->batcher, GATHERING_CROWD);
    BatcherParams params = *batcher_params(crowd.scenario->batcher);
    params.window = window;
    batcher_set_params(crowd.scenario->batcher, &params);
    for (unsigned round = 0; round < 2; round++) {
        scenario_pass(crowd.scenario, crowd.think);
        for (unsigned i = 0; i < CROWD; i++)
            crowd_calls(&crowd, i);
        crowd_is_answered(&crowd);
    }
    return crowd;
}

Test(returning, a_crowd_is_waited_for_although_it_is_away_for_long)
{
    Crowd crowd = found_crowd(NSEC_PER_MSEC);
    scenario_pass(crowd.scenario, crowd.think);
    crowd_calls(&crowd, 0);
    for (unsigned i = 1; i < CROWD; i++) {
        scenario_pass(crowd.scenario, NSEC_PER_MSEC / 4);
        assert_takes_nothing(crowd.scenario);
        crowd_calls(&crowd, i);
    }
    crowd_is_answered(&crowd);
    scenario_end(crowd.scenario);
}

static void expect_crowd_waits(nsec_t window, nsec_t at_most)
{
    Crowd crowd = found_crowd(window);
    Scenario *scenario = crowd.scenario;
    scenario_pass(scenario, crowd.think);
    crowd_calls(&crowd, 0);
    scenario_pass(scenario, at_most - 1);
    crowd_calls(&crowd, 1);
    assert_takes_nothing(scenario);
    scenario_pass(scenario, 1);
    flight_answers(assert_takes(scenario, "a5 b5"));
    scenario_end(scenario);
}

Test(returning, a_crowd_is_waited_for_no_longer_than_the_window_and_2_ms)
{
    expect_crowd_waits(NSEC_PER_MSEC, NSEC_PER_MSEC);
    expect_crowd_waits(10 * NSEC_PER_MSEC, 2 * NSEC_PER_MSEC);
}

/* d waits for a slot when a, b and c are answered. */
Test(returning, a_crowd_is_waited_for_no_longer_because_a_slot_becomes_free)
{
    Crowd crowd = found_crowd(NSEC_PER_MSEC);
    Scenario *scenario = crowd.scenario;
    for (unsigned i = 0; i < CROWD; i++)
        crowd_calls(&crowd, i);
    Flight *flight = assert_takes(scenario, "a5 b5 c5");
    client_calls(scenario_client(scenario), "echo", "d");
    nsec_t since = scenario->now;
    batcher_set_blocked(scenario->batcher, true);
    scenario_pass(scenario, NSEC_PER_MSEC / 2);
    flight_answers(flight);
    batcher_set_blocked(scenario->batcher, false);
    assert_takes_nothing(scenario);
    expect_eq(batcher_next_window(scenario->batcher, scenario->now), since + NSEC_PER_MSEC);
    scenario_pass(scenario, NSEC_PER_MSEC / 2);
    flight_answers(assert_takes(scenario, "d"));
    scenario_end(scenario);
}

Test(returning, a_crowd_that_has_gone_is_not_waited_for)
{
    Crowd crowd = found_crowd(NSEC_PER_MSEC);
    Scenario *scenario = crowd.scenario;
    scenario_pass(scenario, RETURNING_MOST_ABSENCE);
    crowd_calls(&crowd, 0);
    flight_answers(assert_takes(scenario, "a5"));
    scenario_end(scenario);
}

Test(returning, who_has_left_is_not_waited_for)
{
    Crowd crowd = crowd_of(NSEC_PER_MSEC, 50 * NSEC_PER_USEC);
    client_leaves(crowd.clients[2]);
    scenario_pass(crowd.scenario, crowd.think);
    crowd_calls(&crowd, 0);
    assert_takes_nothing(crowd.scenario);
    crowd_calls(&crowd, 1);
    flight_answers(assert_takes(crowd.scenario, "a3 b3"));
    scenario_end(crowd.scenario);
}

Test(returning, a_lone_client_waits_for_nothing)
{
    Scenario *scenario = scenario_new(scenario_params());
    FakeClient *a = scenario_client(scenario);
    scenario_client(scenario); /* connected, and never calls */
    for (unsigned round = 1; round <= 4; round++) {
        char *text = token(0, round);
        client_calls(a, "echo", text);
        Flight *flight = assert_takes(scenario, text);
        scenario_pass(scenario, NSEC_PER_MSEC);
        flight_answers(flight);
        scenario_pass(scenario, 20 * NSEC_PER_USEC);
        g_free(text);
    }
    cr_assert_eq(scenario->counters.batch_wait_nsec.sum, 0);
    scenario_end(scenario);
}

Test(returning, who_calls_another_method_is_not_waited_for)
{
    Crowd crowd = crowd_of(NSEC_PER_MSEC, 50 * NSEC_PER_USEC);
    scenario_pass(crowd.scenario, crowd.think);
    client_calls(crowd.clients[2], "off", "passed");
    g_free(scenario_send_through(crowd.scenario));
    crowd_calls(&crowd, 0);
    assert_takes_nothing(crowd.scenario);
    crowd_calls(&crowd, 1);
    flight_answers(assert_takes(crowd.scenario, "a3 b3"));
    expect(line_answers(scenario_line(crowd.scenario, 1)));
    scenario_end(crowd.scenario);
}

/* Where a slot was free, nothing that comes later makes a batch wait longer. */
Test(returning, an_answer_does_not_put_off_a_batch_that_could_go)
{
    Crowd crowd = crowd_of(NSEC_PER_MSEC, 50 * NSEC_PER_USEC);
    Scenario *scenario = crowd.scenario;
    crowd_calls(&crowd, 0);
    crowd_calls(&crowd, 1);
    assert_takes_nothing(scenario);
    scenario_pass(scenario, NSEC_PER_MSEC / 2);
    Flight *flight = assert_takes(scenario, "a3 b3");
    crowd_calls(&crowd, 2);
    Flight *other = assert_takes(scenario, "c3");
    scenario_pass(scenario, NSEC_PER_MSEC);
    flight_answers(flight);
    crowd.round++;
    scenario_pass(scenario, crowd.think);
    crowd_calls(&crowd, 0);
    assert_takes_nothing(scenario); /* b is to come */
    nsec_t due = batcher_next_window(scenario->batcher, scenario->now);
    scenario_pass(scenario, due - scenario->now);
    flight_answers(other); /* c is to come now; a4 has waited for a while */
    scenario_pass(scenario, 65 * NSEC_PER_USEC);
    flight_answers(assert_takes(scenario, "a4"));
    scenario_end(scenario);
}

/* The answer to c lets c be waited for. The patience is of 7 parts 300 us and 1 part 240 us; it
 * began when a called, and neither that answer nor d, who joins, begin it anew. */
Test(returning, a_batch_does_not_wait_longer_because_others_come)
{
    Crowd crowd = crowd_of(300 * NSEC_PER_USEC, 30 * NSEC_PER_USEC);
    Scenario *scenario = crowd.scenario;
    nsec_t answered = scenario->now;
    batcher_set_gathering(scenario->batcher, GATHERING_NONE);
    scenario_pass(scenario, 10 * NSEC_PER_USEC);
    crowd_calls(&crowd, 2);
    Flight *flight = assert_takes(scenario, "c3");
    batcher_set_gathering(scenario->batcher, GATHERING_ONE_SLOT);
    scenario_pass(scenario, 20 * NSEC_PER_USEC);
    crowd_calls(&crowd, 0);
    scenario_pass(scenario, 200 * NSEC_PER_USEC);
    client_calls(scenario_client(scenario), "echo", "d");
    scenario_pass(scenario, 20 * NSEC_PER_USEC);
    flight_answers(flight);
    assert_takes_nothing(scenario);
    nsec_t due = batcher_next_window(scenario->batcher, scenario->now);
    expect_eq(due - answered, 30 * NSEC_PER_USEC + 292500);
    scenario_pass(scenario, due - scenario->now);
    flight_answers(assert_takes(scenario, "a3 d"));
    scenario_end(scenario);
}

/* Each group has a patience of its own, so the batch that came first is not the first to be due. */
Test(returning, the_timer_is_of_the_batch_that_is_due_first)
{
    Crowd crowd = crowd_of(200 * NSEC_PER_USEC, 20 * NSEC_PER_USEC);
    Scenario *scenario = crowd.scenario;
    FakeClient *d = scenario_client(scenario), *e = scenario_client(scenario);
    static const char *const tokens[][2] = {{"d1", "e1"}, {"d2", "e2"}, {"d3", "e3"}};
    Flight *flight = NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(tokens); i++) {
        client_calls(d, "slow", tokens[i][0]);
        client_calls(e, "slow", tokens[i][1]);
        flight = scenario_take(scenario);
        scenario_pass(scenario, 2 * NSEC_PER_MSEC);
        if (i + 1 < G_N_ELEMENTS(tokens))
            flight_answers(flight);
    }
    for (unsigned i = 0; i < CROWD; i++) {
        crowd.clients[i]->caller.answered = scenario->now;
        crowd_calls(&crowd, i);
    }
    Flight *fast = scenario_take(scenario);
    scenario_pass(scenario, 200 * NSEC_PER_USEC);
    flight_answers(flight);
    client_calls(d, "slow", "d4"); /* waits for e */
    flight_answers(fast);
    crowd.round++;
    crowd_calls(&crowd, 0); /* waits for b and c */
    assert_takes_nothing(scenario);
    nsec_t due = batcher_next_window(scenario->batcher, scenario->now);
    cr_assert_leq(due - scenario->now, 100 * NSEC_PER_USEC);
    scenario_pass(scenario, due - scenario->now);
    flight_answers(assert_takes(scenario, "a4"));
    scenario_pass(scenario, NSEC_PER_MSEC);
    flight_answers(assert_takes(scenario, "d4"));
    scenario_end(scenario);
}
