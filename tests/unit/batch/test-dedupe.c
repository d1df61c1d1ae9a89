/* dedupe = yes: equal calls of a batch travel once. In "k: a1" the key k is what a1 asks for. */
#include "scenario.h"

#include "batch/dedupe.h"

#include "../wire/stream.h"

static MethodPolicy same = {.name = (char *)"same*", .dedupe = true};
static MethodPolicy *const policies[] = {&same};

static Scenario *story(uint32_t min_calls)
{
    BatcherParams params = scenario_params();
    params.min_calls = min_calls;
    return scenario_new_with_policies(params, policies, G_N_ELEMENTS(policies));
}

Test(dedupe, equal_calls_travel_once_and_each_gets_its_own_reply)
{
    Scenario *scenario = story(1);
    FakeClient *clients[FORMS], *other = scenario_client(scenario);
    for (unsigned i = 0; i < FORMS; i++) {
        clients[i] = scenario_client_of(scenario, all_forms[i]);
        if (i == 3)
            client_calls(other, "echo", "other");
        char *token = g_strdup_printf("c%u", i);
        client_asks(clients[i], "same", "k", token);
        g_free(token);
    }
    client_asks(clients[0], "same", "other", "c6");
    client_asks(clients[1], "sameNot", "k", "c7");
    flight_answers(assert_takes(scenario, "c0@1 other c6@1 c7@2"));
    assert_got(clients[0], "c0 c6");
    assert_got(clients[1], "c1 c7");
    assert_got(clients[2], "c2");
    assert_got(clients[3], "c3");
    cr_assert_eq(scenario->counters.deduped_calls, FORMS - 1);
    scenario_end(scenario);
}

Test(dedupe, exceptions_reach_every_caller)
{
    static MethodPolicy failing = {.name = (char *)"fail", .dedupe = true};
    MethodPolicy *const own[] = {&failing};
    Scenario *scenario = scenario_new_with_policies(scenario_params(), own, 1);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_asks(a, "fail", "k", "a1");
    client_asks(b, "fail", "k", "b1");
    flight_answers(assert_takes(scenario, "a1"));
    assert_got(a, "?a1");
    assert_got(b, "?b1");
    scenario_end(scenario);
}

/* min_calls counts what travels: one call alone travels plain. */
Test(dedupe, followers_of_a_plain_call_are_answered)
{
    Scenario *scenario = story(2);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_asks(a, "same", "k", "a1");
    flight_answers(assert_takes(scenario, "a1"));
    client_asks(a, "same", "k", "a2");
    client_asks(b, "same", "k", "b2");
    flight_answers(assert_takes(scenario, "plain a2"));
    assert_got(a, "a1 a2");
    assert_got(b, "b2");
    scenario_end(scenario);
}

Test(dedupe, the_leader_departs_and_its_followers_are_answered)
{
    Scenario *scenario = story(1);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_asks(a, "same", "k", "a1");
    client_asks(b, "same", "k", "b1");
    Flight *flight = assert_takes(scenario, "a1");
    client_leaves(a);
    flight_answers(flight);
    assert_got(b, "b1");
    scenario_end(scenario);
}

Test(dedupe, the_leader_times_out_and_its_followers_are_answered)
{
    BatcherParams params = scenario_params();
    params.flush = FLUSH_WINDOW;
    params.window = 3 * NSEC_PER_SEC;
    Scenario *scenario = scenario_new_with_policies(params, policies, G_N_ELEMENTS(policies));
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    scenario_client(scenario);
    client_asks(a, "same", "k", "a1");
    scenario_pass(scenario, 2 * NSEC_PER_SEC);
    client_asks(b, "same", "k", "b1");
    scenario_pass(scenario, 2 * NSEC_PER_SEC);
    Flight *flight = assert_takes(scenario, "a1");
    scenario_pass(scenario, 2 * NSEC_PER_SEC);
    assert_got(a, "!a1");
    assert_got(b, "");
    expect(!flight->abandoned);
    flight_answers(flight);
    assert_got(b, "b1");
    scenario_end(scenario);
}

/* One that came later may wait longer. */
Test(dedupe, a_server_has_the_time_of_the_latest_deadline)
{
    Scenario *scenario = story(1);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    FakeClient *c = scenario_client(scenario);
    client_asks(a, "same", "k", "a1");
    client_asks(c, "same", "other", "c1");
    scenario_pass(scenario, 2 * NSEC_PER_SEC);
    client_asks(b, "same", "k", "b1");
    Flight *flight = assert_takes(scenario, "a1 c1");
    expect_eq(flight->calls[0].timeout_ms, 5000);
    expect_eq(flight->calls[1].timeout_ms, 3000);
    flight_answers(flight);
    scenario_end(scenario);
}

/* What is going to be refused is not copied for each of them. */
Test(dedupe, an_answer_that_is_too_large_is_not_copied)
{
    Scenario *scenario = story(1);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_asks(a, "same", "k", "a1");
    client_asks(b, "same", "k", "b1");
    Flight *flight = assert_takes(scenario, "a1");
    uint8_t answer[100] = {0};
    batch_first(flight->batch)->answer = (CallAnswer){.data = answer, .len = sizeof answer};
    dedupe_answers(flight->batch, NULL, sizeof answer - 1);
    expect_eq(flight->batch->follower_answers.cap, 0U);
    dedupe_answers(flight->batch, NULL, sizeof answer);
    expect(flight->batch->follower_answers.cap >= sizeof answer);
    flight_answers(flight);
    scenario_end(scenario);
}

Test(dedupe, a_batch_that_comes_back_has_all_its_calls)
{
    Scenario *scenario = story(1);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_asks(a, "same", "k", "a1");
    client_asks(b, "same", "k", "b1");
    client_asks(a, "same", "l", "a2");
    flight_returns(assert_takes(scenario, "a1@1 a2@1"), "lost");
    client_leaves(a);
    flight_answers(assert_takes(scenario, "b1"));
    assert_got(b, "b1");
    scenario_end(scenario);
}

Test(dedupe, followers_fail_with_their_batch)
{
    Scenario *scenario = story(1);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_asks(a, "same", "k", "a1");
    client_asks(b, "same", "k", "b1");
    flight_fails(assert_takes(scenario, "a1"), "lost");
    assert_got(a, "!a1");
    assert_got(b, "!b1");
    scenario_end(scenario);
}

Test(dedupe, followers_are_passed_through_each_for_itself)
{
    Scenario *scenario = story(1);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_asks(a, "same", "k", "a1");
    client_asks(b, "same", "k", "b1");
    client_asks(a, "same", "k", "a2");
    flight_is_unknown(assert_takes(scenario, "a1@1"));
    assert_passes(scenario, "1:a1 1:a2 2:b1");
    while (line_answers(scenario_line(scenario, 1)))
        ;
    line_answers(scenario_line(scenario, 2));
    assert_got(a, "a1 a2");
    assert_got(b, "b1");
    scenario_end(scenario);
}

/* a's calls join the batch behind b1, which came later than they. */
Test(dedupe, calls_that_were_held_keep_their_order_when_they_travel_alone_after_all)
{
    for (unsigned through = 0; through < 2; through++) {
        Scenario *scenario = story(1);
        FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
        client_calls(a, "echo", "a1");
        Flight *first = assert_takes(scenario, "a1");
        client_calls(a, "sameNot", "a2");
        client_asks(a, "same", "k", "a3");
        client_asks(b, "same", "k", "b1");
        flight_answers(first);
        Flight *flight = assert_takes(scenario, "b1 a2@1");
        if (through == 1) {
            flight_is_unknown(flight);
            char *text = scenario_send_through(scenario);
            expect(strstr(text, "a2") < strstr(text, "a3"), "%s", text);
            g_free(text);
            while (line_answers(scenario_line(scenario, 1)))
                ;
            while (line_answers(scenario_line(scenario, 2)))
                ;
        } else {
            flight_returns(flight, "lost");
            flight_answers(scenario_take(scenario));
        }
        assert_got(a, "a1 a2 a3");
        assert_got(b, "b1");
        scenario_end(scenario);
    }
}

/* a2 has to show what a1 wrote, b3 must not show what b4 writes: neither is answered by c1's
 * execution. d1 and d2 write nothing. */
Test(dedupe, under_strict_order_an_answer_is_of_its_callers_time)
{
    Scenario *scenario = story(1);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    FakeClient *c = scenario_client(scenario), *d = scenario_client(scenario);
    client_asks(c, "same", "k", "c1");
    client_calls(a, "write", "a1");
    client_asks(a, "same", "k", "a2");
    client_asks(b, "same", "k", "b3");
    client_calls(b, "write", "b4");
    client_asks(d, "same", "k", "d1");
    client_asks(d, "same", "k", "d2");
    flight_answers(assert_takes(scenario, "c1 a1@1 a2@1 b3@2 b4@2"));
    assert_got(a, "a1 a2");
    assert_got(b, "b3 b4");
    assert_got(d, "d1 d2");
    scenario_end(scenario);
}

Test(dedupe, under_relaxed_order_all_equal_calls_travel_once)
{
    BatcherParams params = scenario_params();
    params.ordering = ORDERING_RELAXED;
    Scenario *scenario = scenario_new_with_policies(params, policies, G_N_ELEMENTS(policies));
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_asks(a, "same", "k", "a1");
    client_calls(b, "write", "b1");
    client_asks(b, "same", "k", "b2");
    flight_answers(assert_takes(scenario, "a1 b1"));
    assert_got(b, "b1 b2");
    scenario_end(scenario);
}
