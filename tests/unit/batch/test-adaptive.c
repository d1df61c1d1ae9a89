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

static bool some_due(const Scenario *scenario)
{
    return batcher_next_due(scenario->batcher, scenario->now) != NULL;
}

/* A batch is due in the next turn, unless more comes. */
static void assert_reading_on(const Scenario *scenario)
{
    expect(!some_due(scenario));
    expect(batcher_reading_on(scenario->batcher, scenario->now) != NULL);
    expect_eq(batcher_next_window(scenario->batcher, scenario->now), scenario->now + 1);
}

Test(adaptive, a_batch_goes_when_no_more_calls_come)
{
    Scenario *scenario = scenario_new(scenario_params());
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    FakeClient *c = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_calls(b, "echo", "b1");
    assert_reading_on(scenario);
    scenario_pass(scenario, 1);
    client_calls(c, "echo", "c1");
    assert_reading_on(scenario);
    scenario_pass(scenario, 1);
    expect(some_due(scenario));
    flight_answers(assert_takes(scenario, "a1 b1 c1"));
    scenario_end(scenario);
}

Test(adaptive, a_client_that_is_the_only_one_to_call_waits_for_nobody)
{
    Scenario *scenario = scenario_new(scenario_params());
    FakeClient *a = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_calls(a, "getUser", "a2");
    expect(some_due(scenario));
    flight_answers(assert_takes(scenario, "a1@1 a2@1"));
    cr_assert_eq(scenario->counters.batch_wait_nsec.sum, 0);
    scenario_end(scenario);
}

/* Or nobody would look again: what ends within a turn sets no timer. */
Test(adaptive, a_call_beside_another_stays_so_when_that_one_ends)
{
    Scenario *scenario = scenario_new(scenario_params());
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    Flight *flight = assert_takes(scenario, "a1");
    client_calls(b, "echo", "b1");
    assert_reading_on(scenario);
    flight_answers(flight);
    assert_reading_on(scenario);
    flight_answers(assert_takes(scenario, "b1"));
    scenario_end(scenario);
}

Test(adaptive, without_a_slot_a_batch_waits_for_that_alone)
{
    Scenario *scenario = scenario_new(scenario_params());
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_calls(b, "echo", "b1");
    batcher_set_blocked(scenario->batcher, true);
    expect(some_due(scenario));
    expect_eq(batcher_next_window(scenario->batcher, scenario->now), NSEC_NEVER);
    batcher_set_blocked(scenario->batcher, false);
    assert_reading_on(scenario);
    flight_answers(assert_takes(scenario, "a1 b1"));
    scenario_end(scenario);
}

Test(adaptive, a_full_batch_and_one_that_is_drained_do_not_read_on)
{
    BatcherParams params = scenario_params();
    params.max_calls = 2;
    Scenario *scenario = scenario_new(params);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    FakeClient *c = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_calls(b, "echo", "b1");
    expect(some_due(scenario));
    Flight *flight = assert_takes(scenario, "a1 b1");
    client_calls(c, "echo", "c1");
    assert_reading_on(scenario);
    batcher_drain(scenario->batcher);
    expect(some_due(scenario));
    flight_answers(assert_takes(scenario, "c1"));
    flight_answers(flight);
    scenario_end(scenario);
}

static MethodPolicy slow = {.name = (char *)"slow", .group = (char *)"slow"};
static MethodPolicy *const policies[] = {&slow};

Test(adaptive, a_batch_that_reads_on_is_not_overtaken)
{
    BatcherParams params = scenario_params();
    params.max_calls = 2;
    Scenario *scenario = scenario_new_with_policies(params, policies, G_N_ELEMENTS(policies));
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    FakeClient *c = scenario_client(scenario), *d = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    Flight *flight = assert_takes(scenario, "a1");
    scenario_pass(scenario, 1);
    client_calls(b, "echo", "b1");
    client_calls(c, "slow", "c1");
    assert_reading_on(scenario);
    client_calls(d, "slow", "d1");
    const Batch *batch = batcher_next_due(scenario->batcher, scenario->now);
    expect(batch != NULL && batch->n_calls == 1);
    flight_answers(assert_takes(scenario, "b1"));
    flight_answers(assert_takes(scenario, "c1 d1"));
    flight_answers(flight);
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
    assert_reading_on(scenario);
    scenario_pass(scenario, 1);
    client_calls(b, "echo", "b2");
    expect(some_due(scenario));
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
