#include "scenario.h"

static MethodPolicy slow = {.name = (char *)"slow*", .group = (char *)"slow"};
static MethodPolicy *const policies[] = {&slow};

static uint64_t withdrawn(const Scenario *scenario)
{
    return counters_n_calls(&scenario->counters, CALL_OUTCOME_WITHDRAWN);
}

Test(departure, withdraws_the_waiting_calls_and_nobody_else_notices)
{
    Scenario *scenario = scenario_new(scenario_params());
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(b, "echo", "b1");
    client_calls(a, "echo", "a1");
    client_calls(a, "echo", "a2");
    client_calls(b, "echo", "b2");
    client_leaves(a);
    cr_assert_eq(withdrawn(scenario), 2);
    cr_assert_eq(scenario->counters.pending_calls, 2);
    flight_answers(assert_takes(scenario, "b1@2 b2@2"));
    assert_got(a, "");
    assert_got(b, "b1 b2");
    scenario_end(scenario);
}

Test(departure, a_batch_that_loses_its_last_call_vanishes)
{
    Ordering both[] = {ORDERING_STRICT, ORDERING_RELAXED};
    for (unsigned i = 0; i < 2; i++) {
        BatcherParams params = scenario_params();
        params.ordering = both[i];
        params.max_calls = 2;
        Scenario *scenario = scenario_new_with_policies(params, policies, G_N_ELEMENTS(policies));
        FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
        client_calls(a, "echo", "a1");
        client_calls(a, "echo", "a2");
        client_calls(a, "slow", "a3");
        client_leaves(a);
        assert_takes_nothing(scenario);
        cr_assert_eq(withdrawn(scenario), 3);
        client_calls(b, "echo", "b1");
        client_calls(b, "echo", "b2");
        Flight *flight = scenario_take(scenario);
        cr_assert_eq(flight->n_calls, 2);
        flight_answers(flight);
        scenario_end(scenario);
    }
}

Test(departure, a_full_batch_stays_full_when_a_call_is_withdrawn)
{
    BatcherParams params = scenario_params();
    params.max_calls = 2;
    Scenario *scenario = scenario_new(params);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_calls(b, "echo", "b1");
    client_leaves(a);
    FakeClient *c = scenario_client(scenario);
    client_calls(c, "echo", "c1");
    Flight *first = assert_takes(scenario, "b1");
    flight_answers(assert_takes(scenario, "c1"));
    flight_answers(first);
    scenario_end(scenario);
}

Test(departure, oneway_calls_still_travel_in_order)
{
    Scenario *scenario = scenario_new_with_policies(scenario_params(), policies, 1);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_sends_oneway(a, "log", "a2");
    client_sends_oneway(a, "slowLog", "a3");
    client_calls(a, "echo", "a4");
    client_sends_oneway(a, "log", "a5");
    client_calls(b, "echo", "b1");
    client_leaves(a);
    cr_assert_eq(withdrawn(scenario), 2);
    Flight *first = scenario_take(scenario);
    cr_assert_eq(first->n_calls, 2);
    cr_assert_eq(first->calls[0].type, MESSAGE_ONEWAY);
    cr_assert_str_eq(first->calls[0].sent->token, "a2");
    cr_assert_str_eq(first->calls[1].sent->token, "b1");
    assert_takes_nothing(scenario);
    flight_answers(first);
    Flight *second = assert_takes(scenario, "a3!");
    assert_takes_nothing(scenario);
    flight_answers(second);
    flight_answers(assert_takes(scenario, "a5!"));
    cr_assert_eq(counters_n_calls(&scenario->counters, CALL_OUTCOME_OK), 4);
    scenario_end(scenario);
}

/* The first call of its batch is withdrawn, and nothing holds the oneway call any longer. */
Test(departure, releases_a_oneway_call_that_was_held)
{
    Scenario *scenario = scenario_new_with_policies(scenario_params(), policies, 1);
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_sends_oneway(a, "slowLog", "a2");
    client_leaves(a);
    flight_answers(assert_takes(scenario, "a2!"));
    assert_takes_nothing(scenario);
    scenario_end(scenario);
}

Test(departure, answers_to_calls_in_flight_are_dropped)
{
    Ordering both[] = {ORDERING_STRICT, ORDERING_RELAXED};
    for (unsigned i = 0; i < 2; i++) {
        BatcherParams params = scenario_params();
        params.ordering = both[i];
        Scenario *scenario = scenario_new(params);
        FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
        client_calls(a, "echo", "a1");
        client_calls(b, "echo", "b1");
        Flight *flight = assert_takes(scenario, "a1 b1");
        client_calls(a, "echo", "a2");
        client_leaves(a);
        cr_assert_eq(withdrawn(scenario), 1);
        cr_assert_eq(a->caller.n_calls, 1);
        flight_answers(flight);
        cr_assert_eq(a->caller.n_calls, 0);
        assert_got(a, "");
        assert_got(b, "b1");
        cr_assert_eq(counters_n_calls(&scenario->counters, CALL_OUTCOME_OK), 2);
        assert_takes_nothing(scenario);
        scenario_end(scenario);
    }
}

/* A ONEWAY that had arrived whole is read after its client has gone. */
Test(departure, a_oneway_call_may_still_be_submitted)
{
    Scenario *scenario = scenario_new(scenario_params());
    FakeClient *a = scenario_client(scenario);
    client_leaves(a);
    client_sends_oneway(a, "log", "a1");
    flight_answers(assert_takes(scenario, "a1!"));
    cr_assert_eq(a->caller.n_calls, 0);
    scenario_end(scenario);
}
