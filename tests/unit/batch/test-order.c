/* In which order a client's calls go upstream. */
#include "scenario.h"

static MethodPolicy slow = {.name = (char *)"slow*", .group = (char *)"slow"};
static MethodPolicy *const policies[] = {&slow};

static Scenario *ordered(Ordering ordering)
{
    BatcherParams params = scenario_params();
    params.ordering = ordering;
    return scenario_new_with_policies(params, policies, G_N_ELEMENTS(policies));
}

Test(strict_order, a_client_s_calls_are_never_in_two_batches)
{
    Scenario *scenario = ordered(ORDERING_STRICT);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    Flight *first = assert_takes(scenario, "a1");
    client_calls(a, "echo", "a2");
    assert_takes_nothing(scenario);
    client_calls(b, "echo", "b1");
    client_sends_oneway(a, "log", "a3");
    client_calls(a, "slow", "a4");
    client_calls(a, "echo", "a5");
    flight_answers(assert_takes(scenario, "b1"));
    assert_takes_nothing(scenario);
    flight_answers(first);
    Flight *second = assert_takes(scenario, "a2@1 a3!@1");
    assert_takes_nothing(scenario);
    flight_answers(second);
    Flight *third = assert_takes(scenario, "a4");
    assert_takes_nothing(scenario);
    flight_answers(third);
    flight_answers(assert_takes(scenario, "a5"));
    assert_got(a, "a1 a2 a4 a5");
    scenario_end(scenario);
}

Test(strict_order, held_calls_join_the_batch_that_is_open_then)
{
    Scenario *scenario = ordered(ORDERING_STRICT);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    FakeClient *c = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_calls(b, "echo", "b1");
    Flight *first = assert_takes(scenario, "a1 b1");
    client_calls(b, "echo", "b2");
    client_calls(a, "echo", "a2");
    client_calls(c, "echo", "c1");
    client_calls(a, "echo", "a3");
    flight_answers(first);
    flight_answers(assert_takes(scenario, "c1 a2@1 a3@1 b2"));
    assert_got(a, "a1 a2 a3");
    assert_got(b, "b1 b2");
    scenario_end(scenario);
}

Test(strict_order, lanes_tell_the_clients_with_several_calls_apart)
{
    Scenario *scenario = ordered(ORDERING_STRICT);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    FakeClient *c = scenario_client(scenario), *d = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_calls(b, "echo", "b1");
    client_calls(c, "echo", "c1");
    client_calls(c, "echo", "c2");
    client_calls(d, "echo", "d1");
    client_calls(a, "echo", "a2");
    client_calls(c, "echo", "c3");
    flight_answers(assert_takes(scenario, "a1@2 b1 c1@1 c2@1 d1 a2@2 c3@1"));
    client_calls(a, "echo", "a3");
    client_calls(b, "echo", "b2");
    client_calls(b, "echo", "b3");
    flight_answers(assert_takes(scenario, "a3 b2@1 b3@1"));
    scenario_end(scenario);
}

Test(strict_order, calls_behind_a_full_batch_wait_until_it_is_over)
{
    BatcherParams params = scenario_params();
    params.max_calls = 2;
    Scenario *scenario = scenario_new(params);
    FakeClient *a = scenario_client(scenario);
    static const char *const tokens[] = {"a1", "a2", "a3", "a4", "a5"};
    for (unsigned i = 0; i < 5; i++)
        client_calls(a, "echo", tokens[i]);
    static const char *const batches[] = {"a1@1 a2@1", "a3@1 a4@1", "a5"};
    for (unsigned i = 0; i < 3; i++) {
        Flight *flight = assert_takes(scenario, batches[i]);
        assert_takes_nothing(scenario);
        flight_answers(flight);
    }
    assert_got(a, "a1 a2 a3 a4 a5");
    scenario_end(scenario);
}

/* The full batch has not even been sent. */
Test(strict_order, a_call_never_joins_another_batch_than_its_client_s_earlier_ones)
{
    BatcherParams params = scenario_params();
    params.max_calls = 2;
    Scenario *scenario = scenario_new(params);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(b, "echo", "b1");
    client_calls(a, "echo", "a1");
    client_calls(a, "echo", "a2");
    Flight *first = assert_takes(scenario, "b1 a1");
    assert_takes_nothing(scenario);
    client_calls(b, "echo", "b2");
    flight_answers(first);
    flight_answers(assert_takes(scenario, "b2 a2"));
    scenario_end(scenario);
}

/* A batch in flight may still be executed after its calls have expired. */
Test(strict_order, a_call_is_held_behind_an_expired_one_whose_batch_is_in_flight)
{
    Scenario *scenario = ordered(ORDERING_STRICT);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    scenario_pass(scenario, 3 * NSEC_PER_SEC);
    client_calls(b, "echo", "b1");
    Flight *flight = assert_takes(scenario, "a1 b1");
    scenario_pass(scenario, 2 * NSEC_PER_SEC);
    assert_got(a, "!a1");
    client_calls(a, "echo", "a2");
    assert_takes_nothing(scenario);
    flight_answers(flight);
    flight_answers(assert_takes(scenario, "a2"));
    assert_got(a, "!a1 a2");
    assert_got(b, "b1");
    scenario_end(scenario);
}

Test(strict_order, goes_on_behind_a_failed_batch)
{
    Scenario *scenario = ordered(ORDERING_STRICT);
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    Flight *flight = assert_takes(scenario, "a1");
    client_calls(a, "echo", "a2");
    flight_fails(flight, "the connection was lost");
    assert_got(a, "!a1");
    cr_assert_str_eq(a->error, "the connection was lost");
    cr_assert_eq(a->error_code, EXCEPTION_INTERNAL_ERROR);
    flight_answers(assert_takes(scenario, "a2"));
    assert_got(a, "!a1 a2");
    cr_assert_eq(counters_n_calls(&scenario->counters, CALL_OUTCOME_ERROR), 1);
    scenario_end(scenario);
}

Test(relaxed_order, a_client_s_calls_overlap_and_have_no_lanes)
{
    Scenario *scenario = ordered(ORDERING_RELAXED);
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    Flight *first = assert_takes(scenario, "a1");
    client_calls(a, "echo", "a2");
    client_calls(a, "slow", "a3");
    client_calls(a, "echo", "a4");
    Flight *second = assert_takes(scenario, "a2 a4");
    Flight *third = assert_takes(scenario, "a3");
    flight_answers(third);
    flight_answers(second);
    flight_answers(first);
    assert_got(a, "a3 a2 a4 a1");
    scenario_end(scenario);
}

Test(strict_order, what_waits_is_failed_in_order_and_what_is_in_flight_goes_on)
{
    Scenario *scenario = ordered(ORDERING_STRICT);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    Flight *flight = assert_takes(scenario, "a1");
    client_calls(a, "echo", "a2");
    client_calls(b, "echo", "b1");
    client_calls(a, "slow", "a3");
    batcher_fail_waiting(scenario->batcher, "no server", scenario->now);
    assert_got(a, "");
    assert_got(b, "!b1");
    assert_takes_nothing(scenario);
    flight_answers(flight);
    assert_got(a, "a1 !a2 !a3");
    cr_assert_str_eq(a->error, "no server");
    assert_takes_nothing(scenario);
    scenario_end(scenario);
}
