#include "scenario.h"

static const nsec_t timeout = 5 * NSEC_PER_SEC;

static MethodPolicy slow = {.name = (char *)"slow*", .group = (char *)"slow"};
static MethodPolicy *const policies[] = {&slow};

static uint64_t timed_out(const Scenario *scenario)
{
    return counters_n_calls(&scenario->counters, CALL_OUTCOME_TIMEOUT);
}

Test(deadline, a_waiting_call_ends_with_an_error_that_says_it_was_not_sent)
{
    Scenario *scenario = scenario_new_with_policies(scenario_params(), policies, 1);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_calls(a, "slow", "a2");
    nsec_t due = scenario->now + timeout;
    cr_assert_eq(batcher_next_deadline(scenario->batcher), due);
    scenario_pass(scenario, timeout / 2);
    client_calls(b, "echo", "b1");
    scenario_pass(scenario, timeout / 2 - 1);
    assert_got(a, "");
    scenario_pass(scenario, 1);
    assert_got(a, "!a1 !a2");
    cr_assert_eq(a->error_code, EXCEPTION_INTERNAL_ERROR);
    cr_assert_not_null(strstr(a->error, "call_timeout (5 s)"), "%s", a->error);
    cr_assert_not_null(strstr(a->error, "was not sent"), "%s", a->error);
    cr_assert_eq(timed_out(scenario), 2);
    cr_assert_eq(batcher_next_deadline(scenario->batcher), due + timeout / 2);
    flight_answers(assert_takes(scenario, "b1"));
    scenario_end(scenario);
}

Test(deadline, a_call_in_flight_ends_with_an_error_that_says_it_may_have_been_executed)
{
    Scenario *scenario = scenario_new(scenario_params());
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    scenario_pass(scenario, NSEC_PER_SEC);
    client_calls(b, "echo", "b1");
    client_calls(a, "echo", "a2");
    Flight *flight = assert_takes(scenario, "a1@1 b1 a2@1");
    scenario_pass(scenario, timeout - NSEC_PER_SEC);
    assert_got(a, "!a1");
    cr_assert_not_null(strstr(a->error, "may have been executed"), "%s", a->error);
    cr_assert(!flight->abandoned);
    flight_answers(flight);
    assert_got(a, "!a1 a2");
    assert_got(b, "b1");
    cr_assert_eq(timed_out(scenario), 1);
    scenario_end(scenario);
}

Test(deadline, a_batch_is_abandoned_when_its_last_unanswered_call_has_expired)
{
    Scenario *scenario = scenario_new(scenario_params());
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    scenario_pass(scenario, NSEC_PER_SEC);
    client_calls(b, "echo", "b1");
    client_sends_oneway(b, "log", "b2");
    Flight *flight = assert_takes(scenario, "a1 b1@1 b2!@1");
    scenario_pass(scenario, timeout - NSEC_PER_SEC);
    cr_assert(!flight->abandoned);
    scenario_pass(scenario, NSEC_PER_SEC - 1);
    cr_assert(!flight->abandoned);
    scenario_pass(scenario, 1);
    cr_assert(flight->abandoned);
    scenario_pass(scenario, timeout);
    flight_fails(flight, "");
    assert_got(a, "!a1");
    assert_got(b, "!b1");
    cr_assert_eq(timed_out(scenario), 3);
    scenario_end(scenario);
}

Test(deadline, a_failed_or_answered_batch_is_not_abandoned)
{
    BatcherParams params = scenario_params();
    params.min_calls = 3;
    Scenario *scenario = scenario_new(params);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    flight_answers(assert_takes(scenario, "a1"));
    client_calls(a, "echo", "a2");
    scenario_pass(scenario, NSEC_PER_SEC);
    client_calls(b, "echo", "b2");
    Flight *flight = assert_takes(scenario, "plain a2 b2");
    scenario_pass(scenario, timeout - NSEC_PER_SEC);
    assert_got(a, "a1 !a2");
    flight_answers_next(flight);
    cr_assert(!flight->abandoned);
    flight_answers_next(flight);
    assert_got(a, "a1 !a2");
    assert_got(b, "b2");

    client_calls(a, "echo", "a3");
    client_calls(b, "echo", "b3");
    flight = assert_takes(scenario, "plain a3 b3");
    flight_answers_next(flight);
    scenario_pass(scenario, timeout);
    cr_assert(flight->abandoned, "the only unanswered call has expired");
    flight_fails(flight, "");
    assert_got(a, "a1 !a2 a3");
    assert_got(b, "b2 !b3");
    scenario_end(scenario);
}

Test(deadline, held_calls_expire_too_and_later_ones_are_released)
{
    Scenario *scenario = scenario_new(scenario_params());
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    Flight *flight = assert_takes(scenario, "a1");
    client_calls(a, "echo", "a2");
    scenario_pass(scenario, NSEC_PER_SEC);
    client_calls(a, "echo", "a3");
    scenario_pass(scenario, timeout - NSEC_PER_SEC);
    cr_assert(flight->abandoned);
    assert_got(a, "!a1 !a2");
    cr_assert_not_null(strstr(a->error, "was not sent"), "%s", a->error);
    assert_takes_nothing(scenario);
    flight_fails(flight, "");
    flight_answers(assert_takes(scenario, "a3"));
    assert_got(a, "!a1 !a2 a3");
    scenario_end(scenario);
}

/* The call in the open batch and the one held behind it end at different times. */
Test(deadline, of_the_call_in_front_releases_the_one_that_is_held)
{
    BatcherParams params = scenario_params();
    params.flush = FLUSH_WINDOW;
    params.window = 60 * NSEC_PER_SEC;
    Scenario *scenario = scenario_new_with_policies(params, policies, 1);
    FakeClient *a = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    scenario_pass(scenario, 1);
    client_calls(a, "slow", "a2");
    scenario_pass(scenario, timeout - 1);
    assert_got(a, "!a1");
    batcher_drain(scenario->batcher);
    flight_answers(assert_takes(scenario, "a2"));
    assert_got(a, "!a1 a2");
    scenario_end(scenario);
}

Test(deadline, of_the_first_call_moves_the_window_to_the_next)
{
    BatcherParams params = scenario_params();
    params.flush = FLUSH_WINDOW;
    params.window = 2 * timeout;
    Scenario *scenario = scenario_new(params);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    scenario_pass(scenario, timeout - 1);
    client_calls(b, "echo", "b1");
    nsec_t since = scenario->now;
    scenario_pass(scenario, 1);
    assert_got(a, "!a1");
    cr_assert_eq(batcher_next_window(scenario->batcher, scenario->now), since + params.window);
    batcher_drain(scenario->batcher);
    flight_answers(assert_takes(scenario, "b1"));
    scenario_end(scenario);
}

/* Rounded up: a server must not give a call up before the daemon does. */
Test(deadline, the_envelope_says_what_is_left_of_it)
{
    Scenario *scenario = scenario_new(scenario_params());
    static const struct {
        nsec_t waited;
        int32_t left;
    } table[] = {
        {0, 5000},
        {1, 5000},
        {NSEC_PER_MSEC, 4999},
        {1250 * NSEC_PER_MSEC, 3750},
        {timeout - NSEC_PER_MSEC, 1},
        {timeout - 1, 1},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        FakeClient *client = scenario_client(scenario);
        char token[8];
        g_snprintf(token, sizeof token, "c%zu", i);
        client_calls(client, "echo", token);
        scenario_pass(scenario, table[i].waited);
        Flight *flight = assert_takes(scenario, token);
        cr_assert_eq(flight->calls[0].timeout_ms, table[i].left, "after %lu ns: %d",
                     (unsigned long)table[i].waited, flight->calls[0].timeout_ms);
        flight_answers(flight);
    }
    scenario_end(scenario);
}

Test(deadline, a_very_long_one_fits_the_envelope)
{
    BatcherParams params = scenario_params();
    params.call_timeout = 1000000 * NSEC_PER_SEC * 60;
    Scenario *scenario = scenario_new(params);
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    Flight *flight = assert_takes(scenario, "a1");
    cr_assert_eq(flight->calls[0].timeout_ms, INT32_MAX);
    flight_answers(flight);
    scenario_end(scenario);
}
