/* Batches that came back: not a byte of them reached a server. */
#include "scenario.h"

static MethodPolicy slow = {.name = (char *)"slow*", .group = (char *)"slow"};
static MethodPolicy *const policies[] = {&slow};

static Scenario *retrying(uint32_t retries)
{
    BatcherParams params = scenario_params();
    params.retries = retries;
    return scenario_new_with_policies(params, policies, 1);
}

Test(requeue, a_batch_is_sent_again_as_often_as_retries_says)
{
    for (uint32_t retries = 0; retries < 4; retries++) {
        Scenario *scenario = retrying(retries);
        FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
        client_calls(a, "echo", "a1");
        client_calls(b, "echo", "b1");
        client_calls(a, "echo", "a2");
        for (uint32_t i = 0; i <= retries; i++) {
            assert_got(a, "");
            flight_returns(assert_takes(scenario, "a1@1 b1 a2@1"), "no server reached");
        }
        assert_takes_nothing(scenario);
        assert_got(a, "!a1 !a2");
        assert_got(b, "!b1");
        cr_assert_str_eq(b->error, "no server reached");
        cr_assert_eq(b->error_code, EXCEPTION_INTERNAL_ERROR);
        cr_assert_eq(scenario->counters.retries, 3 * retries);
        cr_assert_eq(counters_n_calls(&scenario->counters, CALL_OUTCOME_ERROR), 3);
        cr_assert_eq(scenario->counters.batches[BATCH_REASON_SLOT], 1);
        client_calls(a, "echo", "a3");
        flight_answers(assert_takes(scenario, "a3"));
        scenario_end(scenario);
    }
}

Test(requeue, what_came_back_goes_before_what_came_later)
{
    Scenario *scenario = retrying(1);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    FakeClient *c = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    Flight *flight = assert_takes(scenario, "a1");
    scenario_pass(scenario, 1);
    client_calls(b, "echo", "b1");
    client_calls(a, "echo", "a2");
    client_calls(c, "slow", "c1");
    flight_returns(flight, "");
    Flight *again = assert_takes(scenario, "a1");
    flight_answers(assert_takes(scenario, "b1"));
    flight_answers(assert_takes(scenario, "c1"));
    assert_takes_nothing(scenario);
    flight_answers(again);
    flight_answers(assert_takes(scenario, "a2"));
    assert_got(a, "a1 a2");
    scenario_end(scenario);
}

/* Calls that are read in one turn of the loop have one time. */
Test(requeue, what_came_back_goes_before_what_came_later_at_the_same_time)
{
    Scenario *scenario = retrying(1);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_calls(b, "slow", "b1");
    flight_returns(assert_takes(scenario, "a1"), "");
    Flight *again = assert_takes(scenario, "a1");
    flight_answers(assert_takes(scenario, "b1"));
    flight_answers(again);
    scenario_end(scenario);
}

Test(requeue, a_batch_that_came_back_takes_no_new_calls_and_waits_for_no_window)
{
    BatcherParams params = scenario_params();
    params.flush = FLUSH_WINDOW;
    Scenario *scenario = scenario_new(params);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    scenario_pass(scenario, params.window);
    flight_returns(assert_takes(scenario, "a1"), "");
    client_calls(b, "echo", "b1");
    client_calls(a, "echo", "a2");
    flight_answers(assert_takes(scenario, "a1"));
    assert_takes_nothing(scenario);
    scenario_pass(scenario, params.window);
    flight_answers(assert_takes(scenario, "b1 a2"));
    scenario_end(scenario);
}

Test(requeue, calls_that_expired_meanwhile_are_not_sent_again)
{
    Scenario *scenario = retrying(1);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    scenario_pass(scenario, NSEC_PER_SEC);
    client_calls(b, "echo", "b1");
    Flight *flight = assert_takes(scenario, "a1 b1");
    client_calls(a, "echo", "a2");
    scenario_pass(scenario, 4 * NSEC_PER_SEC);
    assert_got(a, "!a1");
    flight_returns(flight, "");
    Flight *again = assert_takes(scenario, "b1");
    flight_answers(assert_takes(scenario, "a2"));
    cr_assert_eq(again->calls[0].timeout_ms, 1000);
    flight_answers(again);
    assert_got(a, "!a1 a2");
    assert_got(b, "b1");
    cr_assert_eq(scenario->counters.retries, 1);
    scenario_end(scenario);
}

Test(requeue, a_batch_none_of_whose_calls_is_wanted_any_more_is_gone)
{
    Scenario *scenario = retrying(1);
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    Flight *flight = assert_takes(scenario, "a1");
    scenario_pass(scenario, NSEC_PER_SEC);
    client_calls(a, "echo", "a2");
    scenario_pass(scenario, 4 * NSEC_PER_SEC);
    flight_returns(flight, "");
    flight_answers(assert_takes(scenario, "a2"));
    assert_takes_nothing(scenario);
    assert_got(a, "!a1 a2");
    scenario_end(scenario);
}

Test(requeue, a_call_that_came_back_expires_as_not_sent)
{
    Scenario *scenario = retrying(1);
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    flight_returns(assert_takes(scenario, "a1"), "");
    scenario_pass(scenario, 5 * NSEC_PER_SEC);
    assert_got(a, "!a1");
    cr_assert_not_null(strstr(a->error, "was not sent"), "%s", a->error);
    assert_takes_nothing(scenario);
    scenario_end(scenario);
}

/* A client that left when its calls had come back leaves as from any batch that waits. */
Test(requeue, calls_that_came_back_are_withdrawn_with_their_client)
{
    Scenario *scenario = retrying(1);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_calls(b, "echo", "b1");
    client_sends_oneway(a, "log", "a2");
    flight_returns(assert_takes(scenario, "a1@1 b1 a2!@1"), "");
    client_leaves(a);
    Flight *flight = scenario_take(scenario);
    cr_assert_eq(flight->n_calls, 2);
    flight_answers(flight);
    assert_got(b, "b1");
    cr_assert_eq(counters_n_calls(&scenario->counters, CALL_OUTCOME_WITHDRAWN), 1);
    scenario_end(scenario);
}

Test(requeue, a_plain_batch_comes_back_too)
{
    BatcherParams params = scenario_params();
    params.min_calls = 3;
    Scenario *scenario = scenario_new(params);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    flight_answers(assert_takes(scenario, "a1"));
    client_calls(a, "echo", "a2");
    client_calls(b, "echo", "b1");
    flight_returns(assert_takes(scenario, "plain a2 b1"), "");
    flight_answers(assert_takes(scenario, "plain a2 b1"));
    assert_got(a, "a1 a2");
    cr_assert_eq(scenario->counters.plain_calls, 2);
    cr_assert_eq(scenario->counters.retries, 2);
    scenario_end(scenario);
}
