/* Calls that are passed through: "off..." by the configuration, others because their server does
 * not batch. "1:a1" is a1 on the first connection; "a1!" went as ONEWAY. */
#include "scenario.h"

#include "wire/header.h"

static MethodPolicy off = {.name = (char *)"off*", .batch = BATCH_MODE_OFF};
static MethodPolicy log_off = {.name = (char *)"logOff", .batch = BATCH_MODE_OFF};
static MethodPolicy *const policies[] = {&off, &log_off};

static Scenario *story_of(BatcherParams params)
{
    return scenario_new_with_policies(params, policies, G_N_ELEMENTS(policies));
}

static Scenario *story(void)
{
    return story_of(scenario_params());
}

static void line_answers_all(Scenario *scenario, unsigned number)
{
    while (line_answers(scenario_line(scenario, number)))
        ;
}

Test(through, a_callers_calls_follow_each_other_and_others_go_side_by_side)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "offOne", "a1");
    client_calls(a, "offOne", "a2");
    client_calls(b, "offTwo", "b1");
    assert_takes_nothing(scenario);
    assert_passes(scenario, "1:a1 1:a2 2:b1");
    client_calls(a, "offTwo", "a3");
    assert_passes(scenario, "1:a3");
    line_answers_all(scenario, 2);
    assert_got(b, "b1");
    assert_got(a, "");
    expect(line_answers(scenario_line(scenario, 1)));
    assert_got(a, "a1");
    client_calls(b, "offOne", "b2");
    assert_passes(scenario, "2:b2");
    line_answers_all(scenario, 2);
    line_answers_all(scenario, 1);
    assert_got(a, "a1 a2 a3");
    cr_assert_eq(scenario->counters.passthrough_calls, 5);
    cr_assert_eq(scenario->counters.fallback_calls, 0);
    scenario_end(scenario);
}

Test(through, callers_wait_where_there_are_no_more_connections)
{
    Scenario *scenario = story();
    scenario->max_lines = 1;
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "offOne", "a1");
    client_calls(b, "offOne", "b1");
    assert_passes(scenario, "1:a1");
    client_calls(a, "offOne", "a2");
    assert_passes(scenario, "1:a2");
    line_answers_all(scenario, 1);
    assert_passes(scenario, "1:b1");
    line_answers_all(scenario, 1);
    scenario_end(scenario);
}

Test(through, a_batched_call_waits_behind_one_that_is_passed_through)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "off", "a1");
    assert_passes(scenario, "1:a1");
    client_calls(a, "echo", "a2");
    client_calls(a, "off", "a3");
    assert_takes_nothing(scenario);
    assert_passes(scenario, "");
    line_answers_all(scenario, 1);
    assert_passes(scenario, "");
    flight_answers(assert_takes(scenario, "a2"));
    assert_takes_nothing(scenario);
    assert_passes(scenario, "1:a3");
    line_answers_all(scenario, 1);
    assert_got(a, "a1 a2 a3");
    scenario_end(scenario);
}

Test(through, a_call_that_is_passed_through_waits_behind_a_batch)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_calls(a, "off", "a2");
    client_calls(b, "off", "b1");
    assert_passes(scenario, "1:b1");
    Flight *flight = assert_takes(scenario, "a1");
    assert_passes(scenario, "");
    flight_answers(flight);
    assert_passes(scenario, "2:a2");
    line_answers_all(scenario, 1);
    line_answers_all(scenario, 2);
    assert_got(a, "a1 a2");
    scenario_end(scenario);
}

Test(through, nothing_follows_in_a_batch_that_is_complete)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "off", "a1");
    client_calls(a, "off", "a2");
    assert_passes(scenario, "1:a1 1:a2");
    batcher_complete(scenario_line(scenario, 1)->batch);
    client_calls(a, "off", "a3");
    client_calls(a, "echo", "a4");
    assert_passes(scenario, "");
    expect(line_answers(scenario_line(scenario, 1)));
    assert_passes(scenario, "");
    expect(line_answers(scenario_line(scenario, 1)));
    assert_passes(scenario, "1:a3");
    client_calls(a, "off", "a5");
    assert_takes_nothing(scenario);
    line_answers_all(scenario, 1);
    flight_answers(assert_takes(scenario, "a4"));
    assert_passes(scenario, "1:a5");
    line_answers_all(scenario, 1);
    assert_got(a, "a1 a2 a3 a4 a5");
    scenario_end(scenario);
}

Test(through, a_complete_batch_that_was_not_written_takes_calls_again)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "off", "a1");
    assert_passes(scenario, "1:a1");
    line_answers_all(scenario, 1);
    client_calls(a, "off", "a2");
    batcher_complete(batcher_next_through(scenario->batcher, NULL));
    scenario->breaks = true;
    assert_passes(scenario, "");
    client_calls(a, "off", "a3");
    assert_passes(scenario, "2:a2 2:a3");
    line_answers_all(scenario, 2);
    assert_got(a, "a1 a2 a3");
    scenario_end(scenario);
}

Test(through, what_a_complete_batch_had_not_sent_takes_calls_again)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "off", "a1");
    assert_passes(scenario, "1:a1");
    client_calls(a, "off", "a2");
    batcher_complete(scenario_line(scenario, 1)->batch);
    line_fails(scenario_line(scenario, 1), "the connection was lost");
    client_calls(a, "off", "a3");
    assert_passes(scenario, "2:a2 2:a3");
    line_answers_all(scenario, 2);
    assert_got(a, "!a1 a2 a3");
    scenario_end(scenario);
}

Test(through, under_relaxed_order_nothing_waits_for_anything)
{
    BatcherParams params = scenario_params();
    params.ordering = ORDERING_RELAXED;
    Scenario *scenario = story_of(params);
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "off", "a1");
    client_calls(a, "off", "a2");
    client_calls(a, "echo", "a3");
    assert_passes(scenario, "1:a1 2:a2");
    flight_answers(assert_takes(scenario, "a3"));
    line_answers_all(scenario, 2);
    line_answers_all(scenario, 1);
    assert_got(a, "a3 a2 a1");
    scenario_end(scenario);
}

Test(through, the_call_behind_a_oneway_follows_it)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(b, "off", "b1");
    assert_passes(scenario, "1:b1");
    client_sends_oneway(a, "logOff", "a1");
    assert_passes(scenario, "2:a1!");
    line_answers_all(scenario, 1);
    client_calls(a, "echo", "a2"); /* would be batched, were it not for a1 */
    assert_takes_nothing(scenario);
    assert_passes(scenario, "2:a2");
    client_calls(a, "echo", "a3"); /* a2 is unanswered */
    assert_passes(scenario, "");
    line_answers_all(scenario, 2);
    assert_got(a, "a2");
    flight_answers(assert_takes(scenario, "a3"));
    client_calls(a, "echo", "a4");
    flight_answers(assert_takes(scenario, "a4"));
    scenario_end(scenario);
}

Test(through, a_oneway_binds_until_its_connection_is_gone)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_sends_oneway(a, "logOff", "a1");
    assert_passes(scenario, "1:a1!");
    client_calls(b, "off", "b1");
    assert_passes(scenario, "1:b1");
    client_calls(a, "echo", "a2"); /* somebody else is on it just now */
    assert_passes(scenario, "");
    assert_takes_nothing(scenario);
    line_answers_all(scenario, 1);
    assert_passes(scenario, "1:a2");
    line_answers_all(scenario, 1);
    client_sends_oneway(a, "logOff", "a3");
    assert_passes(scenario, "1:a3!");
    line_fails(scenario_line(scenario, 1), "closed");
    client_calls(a, "echo", "a4");
    flight_answers(assert_takes(scenario, "a4"));
    assert_got(a, "a2 a4");
    scenario_end(scenario);
}

Test(through, a_bound_call_that_waits_goes_elsewhere_when_its_connection_is_gone)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_sends_oneway(a, "logOff", "a1");
    assert_passes(scenario, "1:a1!");
    client_calls(b, "off", "b1");
    assert_passes(scenario, "1:b1");
    client_calls(a, "echo", "a2");
    assert_passes(scenario, "");
    line_fails(scenario_line(scenario, 1), "closed");
    assert_passes(scenario, "2:a2");
    line_answers_all(scenario, 2);
    assert_got(a, "a2");
    assert_got(b, "!b1");
    scenario_end(scenario);
}

Test(through, a_successor_that_is_answered_first_shows_a_oneway_method)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "logOff", "a1");
    client_calls(a, "off", "a2");
    assert_passes(scenario, "1:a1 1:a2");
    line_answers_all(scenario, 1);
    assert_got(a, "a2");
    client_calls(a, "logOff", "a3");
    assert_passes(scenario, "1:a3!");
    cr_assert_eq(counters_n_calls(&scenario->counters, CALL_OUTCOME_OK), 3);
    scenario_end(scenario);
}

Test(through, a_successor_of_a_method_that_has_answered_is_no_answer)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "off", "a1");
    assert_passes(scenario, "1:a1");
    line_answers_all(scenario, 1);
    client_calls(a, "off", "a2");
    client_calls(a, "off", "a3");
    assert_passes(scenario, "1:a2 1:a3");
    Line *line = scenario_line(scenario, 1);
    FlightCall *second = g_ptr_array_index(line->server, 1);
    Buffer answer = {0};
    append_answer(scenario, second, &answer);
    Message reply = {.whole = {answer.data, answer.len}};
    size_t size;
    expect_eq(header_read(PROTOCOL_BINARY, reply.whole, reply.whole.len, &reply, &size), HEADER_OK);
    reply.whole = (Bytes){answer.data, answer.len};
    reply.body = (Bytes){answer.data + size, answer.len - size};
    char why[SPLIT_WHY_SIZE];
    Call *call = NULL;
    cr_assert_eq(split_single(line->batch, line->due, &scenario->params, &reply, &call, why),
                 SPLIT_E_BROKEN);
    cr_assert_null(call);
    buffer_clear(&answer);
    line_fails(line, why);
    assert_got(a, "a1 !a2 !a3");
    scenario_end(scenario);
}

Test(through, a_timeout_is_answered_and_the_others_go_on)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "off", "a1");
    assert_passes(scenario, "1:a1");
    scenario_pass(scenario, 4 * NSEC_PER_SEC);
    client_calls(a, "off", "a2");
    assert_passes(scenario, "1:a2");
    scenario_pass(scenario, 2 * NSEC_PER_SEC);
    assert_got(a, "!a1");
    expect(!scenario_line(scenario, 1)->abandoned);
    line_answers_all(scenario, 1); /* the late answer is dropped */
    assert_got(a, "!a1 a2");
    scenario_end(scenario);
}

Test(through, when_all_have_timed_out_the_connection_is_dropped)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "off", "a1");
    client_calls(a, "off", "a2");
    assert_passes(scenario, "1:a1 1:a2");
    scenario_pass(scenario, 6 * NSEC_PER_SEC);
    expect(scenario_line(scenario, 1)->abandoned);
    line_fails(scenario_line(scenario, 1), "");
    assert_got(a, "!a1 !a2");
    scenario_end(scenario);
}

/* The next call of the same client came in the turn in which the connection is lost. */
Test(through, a_call_that_was_not_written_outlives_the_connection)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "off", "a1");
    assert_passes(scenario, "1:a1");
    client_calls(a, "off", "a2");
    client_calls(a, "echo", "a3");
    line_fails(scenario_line(scenario, 1), "lost");
    assert_got(a, "!a1");
    assert_passes(scenario, "2:a2");
    line_answers_all(scenario, 2);
    flight_answers(assert_takes(scenario, "a3"));
    assert_got(a, "!a1 a2 a3");
    scenario_end(scenario);
}

Test(through, a_call_that_was_not_written_outlives_an_abandoned_connection)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "off", "a1");
    assert_passes(scenario, "1:a1");
    scenario_pass(scenario, 4 * NSEC_PER_SEC);
    client_calls(a, "off", "a2");
    scenario_pass(scenario, 2 * NSEC_PER_SEC);
    if (scenario_line(scenario, 1)->abandoned)
        line_fails(scenario_line(scenario, 1), "");
    assert_got(a, "!a1");
    char *text = scenario_send_through(scenario);
    expect(g_str_has_suffix(text, ":a2"), "%s", text);
    line_answers_all(scenario, (unsigned)(text[0] - '0'));
    g_free(text);
    assert_got(a, "!a1 a2");
    scenario_end(scenario);
}

Test(through, a_departed_callers_waiting_calls_are_withdrawn_and_its_oneways_sent)
{
    Scenario *scenario = story();
    scenario->max_lines = 1;
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(b, "off", "b1");
    assert_passes(scenario, "1:b1");
    client_calls(a, "off", "a1");
    client_sends_oneway(a, "logOff", "a2");
    client_leaves(a);
    line_answers_all(scenario, 1);
    assert_passes(scenario, "1:a2!");
    client_calls(b, "off", "b2");
    assert_passes(scenario, "1:b2");
    client_calls(b, "off", "b3");
    client_leaves(b);
    assert_passes(scenario, "");
    line_answers_all(scenario, 1);
    cr_assert_eq(counters_n_calls(&scenario->counters, CALL_OUTCOME_WITHDRAWN), 2);
    scenario_end(scenario);
}

/* It came in the turn in which the one before it was answered, and was never written. */
Test(through, a_call_that_is_withdrawn_before_it_is_written_is_not_waited_for)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "off", "a1");
    assert_passes(scenario, "1:a1");
    client_calls(a, "off", "a2");
    line_answers_all(scenario, 1);
    client_leaves(a);
    expect(scenario_line(scenario, 1)->due == NULL);
    assert_passes(scenario, "");
    expect(scenario_line(scenario, 1)->batch == NULL);
    scenario_end(scenario);
}

Test(through, calls_that_could_not_be_written_wait_again_and_are_retried)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "off", "a1");
    client_sends_oneway(a, "logOff", "a2");
    client_calls(a, "echo", "a3");
    scenario->breaks = true;
    assert_passes(scenario, "");
    assert_passes(scenario, "2:a1 2:a2!");
    line_answers_all(scenario, 2);
    assert_passes(scenario, "2:a3"); /* follows the oneway */
    line_answers_all(scenario, 2);
    assert_got(a, "a1 a3");
    cr_assert_eq(scenario->counters.retries, 2);
    scenario_end(scenario);
}

Test(through, a_connection_that_is_extended_again_and_again_does_not_grow)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "off", "a0");
    g_free(scenario_send_through(scenario));
    Batch *batch = scenario_line(scenario, 1)->batch;
    for (unsigned i = 1; i < 100; i++) {
        char *token = g_strdup_printf("a%u", i);
        client_calls(a, "off", token);
        g_free(scenario_send_through(scenario));
        expect(line_answers(scenario_line(scenario, 1)));
        g_free(token);
        expect_eq(scenario_line(scenario, 1)->batch, batch);
        expect(batch->n_calls <= 2);
    }
    line_answers_all(scenario, 1);
    scenario_end(scenario);
}

Test(through, an_unknown_batch_method_passes_its_calls_through_in_order)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_calls(b, "echo", "b1");
    client_calls(a, "echo", "a2");
    Flight *flight = assert_takes(scenario, "a1@1 b1 a2@1");
    client_calls(a, "echo", "a3"); /* held */
    client_calls(b, "off", "b2");
    flight_is_unknown(flight);
    assert_takes_nothing(scenario);
    assert_passes(scenario, "1:a1 1:a2 1:a3 2:b1 2:b2");
    line_answers_all(scenario, 1);
    line_answers_all(scenario, 2);
    assert_got(a, "a1 a2 a3");
    assert_got(b, "b1 b2");
    cr_assert_eq(scenario->counters.fallback_calls, 4);
    cr_assert_eq(scenario->counters.passthrough_calls, 5);
    scenario_end(scenario);
}

/* As long as its server is not asked again, and no longer. */
Test(through, what_a_caller_sends_behind_unbatched_calls_follows_without_waiting)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    flight_is_unknown(assert_takes(scenario, "a1"));
    assert_passes(scenario, "1:a1");
    client_calls(a, "echo", "a2");
    client_calls(b, "echo", "b1");
    assert_passes(scenario, "1:a2");
    flight_answers(assert_takes(scenario, "b1"));
    line_answers_all(scenario, 1);
    client_calls(a, "echo", "a3");
    flight_is_unknown(assert_takes(scenario, "a3"));
    assert_passes(scenario, "1:a3");
    for (nsec_t passed = 0; passed < SCENARIO_RETRY; passed += 3 * NSEC_PER_SEC) {
        client_calls(a, "echo", "more");
        assert_passes(scenario, "1:more");
        expect(line_answers(scenario_line(scenario, 1)));
        g_hash_table_remove(scenario->tokens, "more");
        scenario_pass(scenario, 3 * NSEC_PER_SEC);
    }
    client_calls(a, "echo", "a4");
    assert_passes(scenario, "");
    line_answers_all(scenario, 1);
    flight_answers(assert_takes(scenario, "a4"));
    scenario_end(scenario);
}

Test(through, a_waiting_batch_is_passed_through_in_order)
{
    Scenario *scenario = story();
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    client_sends_oneway(b, "log", "b1");
    client_calls(a, "echo", "a2");
    client_calls(a, "off", "a3");
    batcher_pass_through(scenario->batcher, batcher_next_due(scenario->batcher, scenario->now),
                         scenario->now + SCENARIO_RETRY, scenario->now);
    assert_takes_nothing(scenario);
    assert_passes(scenario, "1:a1 1:a2 1:a3 2:b1!");
    client_calls(b, "echo", "b2");
    assert_passes(scenario, "2:b2");
    line_answers_all(scenario, 1);
    line_answers_all(scenario, 2);
    g_free(scenario_send_through(scenario));
    for (guint i = 0; i < scenario->lines->len; i++)
        line_answers(g_ptr_array_index(scenario->lines, i));
    assert_got(a, "a1 a2 a3");
    assert_got(b, "b2");
    scenario_end(scenario);
}
