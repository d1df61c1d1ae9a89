#include "scenario.h"

Test(adaptive, a_lone_call_is_due_at_once)
{
    Scenario *scenario = scenario_new(scenario_params());
    FakeClient *a = scenario_client(scenario);
    scenario_client(scenario);
    assert_takes_nothing(scenario);
    client_calls(a, "echo", "a1");
    flight_answers(assert_takes(scenario, "a1"));
    assert_got(a, "a1");
    assert_takes_nothing(scenario);
    cr_assert_eq(scenario->counters.batch_wait_nsec.sum, 0);
    scenario_end(scenario);
}

Test(adaptive, a_batch_goes_when_no_more_calls_come)
{
    Scenario *scenario = scenario_new(scenario_params());
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    FakeClient *c = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_calls(b, "echo", "b1");
    cr_assert_null(batcher_next_due(scenario->batcher, scenario->now));
    cr_assert_eq(batcher_next_window(scenario->batcher, scenario->now), scenario->now + 1);
    scenario_pass(scenario, 1);
    client_calls(c, "echo", "c1");
    cr_assert_null(batcher_next_due(scenario->batcher, scenario->now));
    flight_answers(assert_takes(scenario, "a1 b1 c1"));
    scenario_end(scenario);
}

Test(adaptive, calls_that_keep_coming_do_not_make_a_batch_wait_longer_than_the_window)
{
    BatcherParams params = scenario_params();
    params.window = 2;
    Scenario *scenario = scenario_new(params);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_calls(b, "echo", "b1");
    scenario_pass(scenario, 1);
    client_calls(a, "echo", "a2");
    cr_assert_null(batcher_next_due(scenario->batcher, scenario->now));
    scenario_pass(scenario, 1);
    client_calls(b, "echo", "b2");
    cr_assert_not_null(batcher_next_due(scenario->batcher, scenario->now));
    flight_answers(assert_takes(scenario, "a1@1 b1@2 a2@1 b2@2"));
    scenario_end(scenario);
}

Test(adaptive, calls_that_come_while_every_slot_is_busy_form_the_next_batch)
{
    Scenario *scenario = scenario_new(scenario_params());
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    FakeClient *c = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    Flight *first = assert_takes(scenario, "a1");
    scenario_pass(scenario, NSEC_PER_MSEC);
    client_calls(b, "echo", "b1");
    scenario_pass(scenario, 3 * NSEC_PER_MSEC);
    client_calls(c, "getUser", "c1");
    client_calls(b, "echo", "b2");
    flight_answers(first);
    flight_answers(assert_takes(scenario, "b1@1 c1 b2@1"));
    assert_takes_nothing(scenario);
    assert_got(b, "b1 b2");
    assert_got(c, "c1");

    const Counters *counters = &scenario->counters;
    cr_assert_eq(counters->batches[BATCH_REASON_SLOT], 2);
    cr_assert(counters->batch_calls.count == 2 && counters->batch_calls.sum == 4);
    cr_assert_eq(counters->batch_wait_nsec.sum, 3 * NSEC_PER_MSEC);
    cr_assert_eq(counters->upstream_nsec.sum, 4 * NSEC_PER_MSEC);
    cr_assert_eq(counters->call_nsec.sum, 7 * NSEC_PER_MSEC);
    cr_assert_eq(counters_n_calls(counters, CALL_OUTCOME_OK), 4);
    scenario_end(scenario);
}

Test(adaptive, a_full_batch_takes_no_more_and_the_earliest_goes_first)
{
    BatcherParams params = scenario_params();
    params.max_calls = 2;
    Scenario *scenario = scenario_new(params);
    FakeClient *clients[5];
    static const char *const tokens[] = {"a", "b", "c", "d", "e"};
    for (unsigned i = 0; i < 5; i++) {
        clients[i] = scenario_client(scenario);
        client_calls(clients[i], "echo", tokens[i]);
    }
    Flight *one = assert_takes(scenario, "a b");
    Flight *two = assert_takes(scenario, "c d");
    Flight *three = assert_takes(scenario, "e");
    assert_takes_nothing(scenario);
    cr_assert_eq(scenario->counters.batches[BATCH_REASON_FULL_CALLS], 2);
    cr_assert_eq(scenario->counters.batches[BATCH_REASON_SLOT], 1);
    flight_answers(three);
    flight_answers(one);
    flight_answers(two);
    for (unsigned i = 0; i < 5; i++)
        assert_got(clients[i], tokens[i]);
    scenario_end(scenario);
}

Test(adaptive, draining_waits_for_nothing)
{
    BatcherParams params = scenario_params();
    params.flush = FLUSH_WINDOW;
    Scenario *scenario = scenario_new(params);
    FakeClient *a = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    assert_takes_nothing(scenario);
    batcher_drain(scenario->batcher);
    flight_answers(assert_takes(scenario, "a1"));
    assert_got(a, "a1");
    scenario_end(scenario);
}
