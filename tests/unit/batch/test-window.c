#include "scenario.h"

static const nsec_t window = 500 * NSEC_PER_USEC;

static Scenario *windowed(Ordering ordering)
{
    BatcherParams params = scenario_params();
    params.flush = FLUSH_WINDOW;
    params.window = window;
    params.ordering = ordering;
    return scenario_new(params);
}

static uint64_t sent_for(const Scenario *scenario, BatchReason reason)
{
    return scenario->counters.batches[reason];
}

Test(window, a_batch_is_due_when_the_window_of_its_first_call_has_passed_and_not_before)
{
    Scenario *scenario = windowed(ORDERING_STRICT);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    scenario_client(scenario);
    cr_assert_eq(batcher_next_window(scenario->batcher, scenario->now), NSEC_NEVER);
    client_calls(a, "echo", "a1");
    nsec_t since = scenario->now;
    scenario_pass(scenario, 100 * NSEC_PER_USEC);
    client_calls(b, "echo", "b1");
    cr_assert_eq(batcher_next_window(scenario->batcher, scenario->now), since + window);
    scenario_pass(scenario, since + window - 1 - scenario->now);
    assert_takes_nothing(scenario);
    scenario_pass(scenario, 1);
    cr_assert_eq(batcher_next_window(scenario->batcher, scenario->now), NSEC_NEVER);
    flight_answers(assert_takes(scenario, "a1 b1"));
    cr_assert_eq(sent_for(scenario, BATCH_REASON_WINDOW), 1);
    cr_assert_eq(scenario->counters.batch_wait_nsec.sum, window);
    scenario_end(scenario);
}

Test(window, a_batch_of_max_calls_is_due_at_once)
{
    BatcherParams params = scenario_params();
    params.flush = FLUSH_WINDOW;
    params.max_calls = 3;
    Scenario *scenario = scenario_new(params);
    FakeClient *a = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_calls(a, "echo", "a2");
    assert_takes_nothing(scenario);
    client_calls(a, "echo", "a3");
    client_calls(a, "echo", "a4");
    Flight *full = assert_takes(scenario, "a1@1 a2@1 a3@1");
    cr_assert_eq(sent_for(scenario, BATCH_REASON_FULL_CALLS), 1);
    assert_takes_nothing(scenario);
    flight_answers(full);
    assert_takes_nothing(scenario);
    scenario_pass(scenario, window);
    flight_answers(assert_takes(scenario, "a4"));
    assert_got(a, "a1 a2 a3 a4");
    scenario_end(scenario);
}

/* A binary CALL of echo with a token of two bytes: a header of 16 bytes and a struct of 10. Padding
 * takes 7 more than it has. */
enum { SMALL = 26 };

static Scenario *bounded(size_t max_bytes)
{
    BatcherParams params = scenario_params();
    params.flush = FLUSH_WINDOW;
    params.max_bytes = max_bytes;
    return scenario_new(params);
}

Test(window, a_batch_is_full_when_the_next_call_would_pass_max_bytes)
{
    Scenario *scenario = bounded(2 * SMALL + 10);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    FakeClient *c = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    cr_assert_eq(scenario->counters.pending_bytes, SMALL);
    client_calls(b, "echo", "b1");
    assert_takes_nothing(scenario);
    client_calls(c, "echo", "c1");
    flight_answers(assert_takes(scenario, "a1 b1"));
    cr_assert_eq(sent_for(scenario, BATCH_REASON_FULL_BYTES), 1);
    assert_takes_nothing(scenario);
    scenario_pass(scenario, window);
    flight_answers(assert_takes(scenario, "c1"));
    scenario_end(scenario);
}

Test(window, a_batch_of_exactly_max_bytes_is_full)
{
    Scenario *scenario = bounded(2 * SMALL);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    assert_takes_nothing(scenario);
    client_calls(b, "echo", "b1");
    flight_answers(assert_takes(scenario, "a1 b1"));
    cr_assert_eq(sent_for(scenario, BATCH_REASON_FULL_BYTES), 1);
    scenario_end(scenario);
}

Test(window, a_call_larger_than_max_bytes_travels_alone)
{
    Scenario *scenario = bounded(3 * SMALL);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    FakeClient *c = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_sends(b, MESSAGE_CALL, "echo", "b1", 1000);
    client_calls(c, "echo", "c1");
    Flight *before = assert_takes(scenario, "a1");
    Flight *large = assert_takes(scenario, "b1");
    assert_takes_nothing(scenario);
    cr_assert_eq(sent_for(scenario, BATCH_REASON_FULL_BYTES), 2);
    scenario_pass(scenario, window);
    flight_answers(assert_takes(scenario, "c1"));
    flight_answers(large);
    flight_answers(before);
    scenario_end(scenario);
}

/* The client's own batch is full by bytes: its later call waits for it to be over. */
Test(window, a_call_that_does_not_fit_beside_its_client_s_earlier_ones_seals_their_batch)
{
    Scenario *scenario = bounded(2 * SMALL + 10);
    FakeClient *a = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_sends(a, MESSAGE_CALL, "echo", "a2", SMALL);
    Flight *first = assert_takes(scenario, "a1");
    cr_assert_eq(sent_for(scenario, BATCH_REASON_FULL_BYTES), 1);
    flight_answers(first);
    scenario_pass(scenario, window);
    flight_answers(assert_takes(scenario, "a2"));
    assert_got(a, "a1 a2");
    scenario_end(scenario);
}

Test(window, nobody_is_left_to_wait_for_when_every_client_has_a_call_waiting)
{
    Ordering both[] = {ORDERING_STRICT, ORDERING_RELAXED};
    for (unsigned i = 0; i < 2; i++) {
        Scenario *scenario = windowed(both[i]);
        FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
        client_calls(a, "echo", "a1");
        client_calls(a, "echo", "a2");
        assert_takes_nothing(scenario);
        client_calls(b, "echo", "b1");
        flight_answers(
            assert_takes(scenario, both[i] == ORDERING_STRICT ? "a1@1 a2@1 b1" : "a1 a2 b1"));
        cr_assert_eq(sent_for(scenario, BATCH_REASON_NOBODY_LEFT), 1);
        scenario_end(scenario);
    }
}

Test(window, under_strict_order_a_client_with_a_call_in_flight_is_not_waited_for)
{
    Scenario *scenario = windowed(ORDERING_STRICT);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    scenario_pass(scenario, window);
    Flight *flight = assert_takes(scenario, "a1");
    client_calls(b, "echo", "b1");
    flight_answers(assert_takes(scenario, "b1"));
    cr_assert_eq(sent_for(scenario, BATCH_REASON_NOBODY_LEFT), 1);
    flight_answers(flight);
    client_calls(b, "echo", "b2");
    assert_takes_nothing(scenario);
    scenario_pass(scenario, window);
    flight_answers(assert_takes(scenario, "b2"));
    scenario_end(scenario);
}

Test(window, under_relaxed_order_a_client_with_a_call_in_flight_may_send_more)
{
    Scenario *scenario = windowed(ORDERING_RELAXED);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    scenario_pass(scenario, window);
    Flight *flight = assert_takes(scenario, "a1");
    client_calls(b, "echo", "b1");
    assert_takes_nothing(scenario);
    client_calls(a, "echo", "a2");
    Flight *second = assert_takes(scenario, "b1 a2");
    flight_answers(second);
    flight_answers(flight);
    assert_got(a, "a2 a1");
    scenario_end(scenario);
}

Test(window, the_departure_of_the_last_idle_client_makes_the_batch_due)
{
    Ordering both[] = {ORDERING_STRICT, ORDERING_RELAXED};
    for (unsigned i = 0; i < 2; i++) {
        Scenario *scenario = windowed(both[i]);
        FakeClient *a = scenario_client(scenario), *idle = scenario_client(scenario);
        client_calls(a, "echo", "a1");
        assert_takes_nothing(scenario);
        client_leaves(idle);
        flight_answers(assert_takes(scenario, "a1"));
        cr_assert_eq(sent_for(scenario, BATCH_REASON_NOBODY_LEFT), 1);
        scenario_end(scenario);
    }
}

/* What a client leaves behind is no client that need not be waited for. */
Test(window, the_oneway_call_of_a_departed_client_waits_for_the_others)
{
    Ordering both[] = {ORDERING_STRICT, ORDERING_RELAXED};
    for (unsigned i = 0; i < 2; i++) {
        Scenario *scenario = windowed(both[i]);
        FakeClient *a = scenario_client(scenario);
        scenario_client(scenario);
        client_sends_oneway(a, "log", "a1");
        client_leaves(a);
        assert_takes_nothing(scenario);
        client_sends_oneway(a, "log", "a2");
        assert_takes_nothing(scenario);
        scenario_pass(scenario, window);
        flight_answers(scenario_take(scenario));
        cr_assert_eq(sent_for(scenario, BATCH_REASON_WINDOW), 1);
        scenario_end(scenario);
    }
}

/* A client whose call has expired in flight has nothing under way and may send again. */
Test(window, a_client_is_waited_for_again_once_its_call_has_ended)
{
    Scenario *scenario = windowed(ORDERING_STRICT);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    scenario_pass(scenario, window);
    Flight *flight = assert_takes(scenario, "a1");
    scenario_pass(scenario, 5 * NSEC_PER_SEC);
    assert_got(a, "!a1");
    client_calls(b, "echo", "b1");
    assert_takes_nothing(scenario);
    client_leaves(b);
    flight_fails(flight, "");
    scenario_end(scenario);
}

Test(window, counts_from_the_next_call_when_the_first_is_withdrawn)
{
    Scenario *scenario = windowed(ORDERING_STRICT);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    scenario_pass(scenario, 200 * NSEC_PER_USEC);
    client_calls(b, "echo", "b1");
    nsec_t since = scenario->now;
    client_leaves(a);
    cr_assert_eq(batcher_next_window(scenario->batcher, scenario->now), since + window);
    scenario_pass(scenario, window - 1);
    assert_takes_nothing(scenario);
    scenario_pass(scenario, 1);
    flight_answers(assert_takes(scenario, "b1"));
    cr_assert_eq(counters_n_calls(&scenario->counters, CALL_OUTCOME_WITHDRAWN), 1);
    cr_assert_eq(scenario->counters.batch_wait_nsec.sum, window);
    scenario_end(scenario);
}

Test(window, is_not_moved_when_a_later_call_is_withdrawn)
{
    Scenario *scenario = windowed(ORDERING_STRICT);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    nsec_t since = scenario->now;
    scenario_pass(scenario, 200 * NSEC_PER_USEC);
    client_calls(b, "echo", "b1");
    client_leaves(b);
    cr_assert_eq(batcher_next_window(scenario->batcher, scenario->now), since + window);
    scenario_pass(scenario, since + window - scenario->now);
    flight_answers(assert_takes(scenario, "a1"));
    scenario_end(scenario);
}
