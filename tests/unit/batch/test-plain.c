/* Batches that are too small for an envelope. */
#include "scenario.h"

static Scenario *from_calls(uint32_t min_calls)
{
    BatcherParams params = scenario_params();
    params.min_calls = min_calls;
    return scenario_new(params);
}

Test(plain, a_method_s_first_call_goes_in_an_envelope_then_small_batches_are_plain)
{
    Scenario *scenario = from_calls(2);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    flight_answers(assert_takes(scenario, "a1"));
    client_calls(a, "echo", "a2");
    flight_answers(assert_takes(scenario, "plain a2"));
    client_calls(a, "getUser", "a3");
    flight_answers(assert_takes(scenario, "a3"));
    client_calls(a, "echo", "a4");
    client_calls(b, "echo", "b1");
    flight_answers(assert_takes(scenario, "a4 b1"));
    assert_got(a, "a1 a2 a3 a4");
    cr_assert_eq(scenario->counters.plain_calls, 1);
    cr_assert_eq(scenario->counters.batches[BATCH_REASON_SLOT], 3);
    cr_assert_eq(scenario->counters.batch_calls.sum, 4);
    scenario_end(scenario);
}

/* What the upstream says shows that the method answers; what the daemon says does not. */
Test(plain, an_exception_of_the_upstream_is_an_answer_and_an_error_is_none)
{
    Scenario *scenario = from_calls(2);
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "fail", "a1");
    flight_fails(assert_takes(scenario, "a1"), "lost");
    client_calls(a, "fail", "a2");
    flight_answers(assert_takes(scenario, "a2"));
    client_calls(a, "fail", "a3");
    flight_answers(assert_takes(scenario, "plain a3"));
    assert_got(a, "!a1 ?a2 ?a3");
    cr_assert_eq(counters_n_calls(&scenario->counters, CALL_OUTCOME_EXCEPTION), 2);
    scenario_end(scenario);
}

Test(plain, one_method_that_is_not_known_to_answer_puts_the_batch_into_an_envelope)
{
    Scenario *scenario = from_calls(3);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    flight_answers(assert_takes(scenario, "a1"));
    client_calls(a, "echo", "a2");
    client_calls(b, "getUser", "b1");
    flight_answers(assert_takes(scenario, "a2 b1"));
    client_calls(a, "echo", "a3");
    client_calls(b, "getUser", "b2");
    flight_answers(assert_takes(scenario, "plain a3 b2"));
    scenario_end(scenario);
}

Test(plain, oneway_calls_never_are)
{
    Scenario *scenario = from_calls(4);
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    flight_answers(assert_takes(scenario, "a1"));
    client_sends_oneway(a, "echo", "a2");
    flight_answers(assert_takes(scenario, "a2!"));
    client_calls(a, "echo", "a3");
    client_sends_oneway(a, "log", "a4");
    flight_answers(assert_takes(scenario, "a3@1 a4!@1"));
    assert_got(a, "a1 a3");
    cr_assert_eq(scenario->counters.plain_calls, 0);
    scenario_end(scenario);
}

Test(plain, is_nothing_with_min_calls_1)
{
    Scenario *scenario = from_calls(1);
    FakeClient *a = scenario_client(scenario);
    static const char *const tokens[] = {"a1", "a2", "a3"};
    for (unsigned i = 0; i < 3; i++) {
        client_calls(a, "echo", tokens[i]);
        flight_answers(assert_takes(scenario, tokens[i]));
    }
    cr_assert_eq(scenario->counters.plain_calls, 0);
    scenario_end(scenario);
}

/* The scenario checks the sequence ids. */
Test(plain, several_calls_travel_one_after_another_in_every_form)
{
    for (unsigned form = 0; form < 4; form++) {
        BatcherParams params = scenario_params();
        params.upstream.transport = form % 2 == 0 ? TRANSPORT_FRAMED : TRANSPORT_BUFFERED;
        params.upstream.protocol = form / 2 == 0 ? PROTOCOL_BINARY : PROTOCOL_COMPACT;
        params.min_calls = 10;
        Scenario *scenario = scenario_new(params);
        FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
        client_calls(a, "Users:echo", "a1");
        flight_answers(assert_takes(scenario, "a1"));
        client_calls(a, "Users:echo", "a2");
        client_calls(b, "Users:echo", "b1");
        client_calls(a, "Users:echo", "a3");
        Flight *flight = assert_takes(scenario, "plain a2 b1 a3");
        client_calls(a, "Users:echo", "a4");
        assert_takes_nothing(scenario);
        flight_answers_next(flight);
        assert_got(a, "a1 a2");
        assert_got(b, "");
        assert_takes_nothing(scenario);
        flight_answers_next(flight);
        assert_got(b, "b1");
        flight_answers_next(flight);
        assert_got(a, "a1 a2 a3");
        flight_answers(assert_takes(scenario, "plain a4"));
        cr_assert_eq(scenario->counters.plain_calls, 4);
        cr_assert_eq(scenario->counters.batches[BATCH_REASON_SLOT], 1);
        scenario_end(scenario);
    }
}

Test(plain, a_call_that_expires_leaves_the_later_ones_to_be_answered)
{
    Scenario *scenario = from_calls(10);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    flight_answers(assert_takes(scenario, "a1"));
    client_calls(a, "echo", "a2");
    scenario_pass(scenario, NSEC_PER_SEC);
    client_calls(b, "echo", "b1");
    Flight *flight = assert_takes(scenario, "plain a2 b1");
    scenario_pass(scenario, 4 * NSEC_PER_SEC);
    assert_got(a, "a1 !a2");
    flight_answers(flight);
    assert_got(a, "a1 !a2");
    assert_got(b, "b1");
    scenario_end(scenario);
}

/* The upstream's sequence ids stay within 0 and INT32_MAX, as net/slot counts them. */
Test(plain, sequence_ids_begin_anew_behind_the_largest)
{
    Scenario *scenario = from_calls(10);
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    flight_answers(assert_takes(scenario, "a1"));
    scenario->next_seqid = INT32_MAX - 1;
    client_calls(a, "echo", "a2");
    client_calls(a, "echo", "a3");
    client_calls(a, "echo", "a4");
    Flight *flight = scenario_take(scenario);
    cr_assert_eq(flight->calls[1].seqid, INT32_MAX);
    cr_assert_eq(flight->calls[2].seqid, 0);
    flight_answers(flight);
    assert_got(a, "a1 a2 a3 a4");
    scenario_end(scenario);
}
