/* Batches whose server failed: what may have been executed is sent again only if that does no harm,
 * and never without bound. */
#include "scenario.h"

#include "batch/retry-budget.h"

static MethodPolicy get = {.name = (char *)"get*", .idempotent = true},
                    get_off = {.name = (char *)"off*", .batch = BATCH_MODE_OFF, .idempotent = true},
                    put_off = {.name = (char *)"putOff", .batch = BATCH_MODE_OFF},
                    same = {.name = (char *)"same", .dedupe = true, .idempotent = true};
static MethodPolicy *const policies[] = {&get, &get_off, &put_off, &same};

static Scenario *repeating(uint32_t retries)
{
    BatcherParams params = scenario_params();
    params.retries = retries;
    return scenario_new_with_policies(params, policies, G_N_ELEMENTS(policies));
}

Test(repeat, only_idempotent_calls_are_sent_again)
{
    Scenario *scenario = repeating(1);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_calls(a, "getUser", "a1");
    client_calls(b, "put", "b1");
    flight_breaks(assert_takes(scenario, "a1 b1"), "lost");
    assert_got(a, "");
    assert_got(b, "!b1");
    cr_assert_str_eq(b->error, "lost; the call may have been executed");
    flight_answers(assert_takes(scenario, "a1"));
    assert_got(a, "a1");
    cr_assert_eq(scenario->counters.retries, 1);
    scenario_end(scenario);
}

Test(repeat, as_often_as_retries_says)
{
    for (uint32_t retries = 0; retries < 4; retries++) {
        Scenario *scenario = repeating(retries);
        FakeClient *a = scenario_client(scenario);
        client_calls(a, "getUser", "a1");
        for (uint32_t i = 0; i <= retries; i++) {
            assert_got(a, "");
            flight_breaks(assert_takes(scenario, "a1"), "lost");
        }
        assert_takes_nothing(scenario);
        assert_got(a, "!a1");
        cr_assert_str_eq(a->error, "lost; the call may have been executed");
        scenario_end(scenario);
    }
}

Test(repeat, never_past_the_deadline)
{
    Scenario *scenario = repeating(1);
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "getUser", "a1");
    Flight *flight = assert_takes(scenario, "a1");
    scenario_pass(scenario, scenario->params.call_timeout - 1);
    flight_breaks(flight, "lost");
    scenario_pass(scenario, 1);
    assert_takes_nothing(scenario);
    assert_got(a, "!a1");
    scenario_end(scenario);
}

Test(repeat, who_has_left_is_not_served_again)
{
    Scenario *scenario = repeating(1);
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "getUser", "a1");
    Flight *flight = assert_takes(scenario, "a1");
    client_leaves(a);
    flight_breaks(flight, "lost");
    assert_takes_nothing(scenario);
    scenario_end(scenario);
}

/* Replies keep their order, and what comes later waits for what is sent again. */
Test(repeat, keeps_a_clients_order)
{
    Scenario *scenario = repeating(1);
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "put", "a1");
    client_calls(a, "getUser", "a2");
    client_calls(a, "put", "a3");
    Flight *flight = assert_takes(scenario, "a1@1 a2@1 a3@1");
    client_calls(a, "put", "a4");
    flight_breaks(flight, "lost");
    Flight *again = assert_takes(scenario, "a2@1");
    assert_takes_nothing(scenario);
    flight_answers(again);
    flight_answers(assert_takes(scenario, "a4"));
    assert_got(a, "!a1 a2 !a3 a4");
    scenario_end(scenario);
}

Test(repeat, followers_are_sent_again_too)
{
    Scenario *scenario = repeating(1);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_asks(a, "same", "key", "a1");
    client_asks(b, "same", "key", "b1");
    flight_breaks(scenario_take(scenario), "lost");
    flight_answers(scenario_take(scenario));
    assert_got(a, "a1");
    assert_got(b, "b1");
    scenario_end(scenario);
}

Test(repeat, what_is_passed_through_as_well)
{
    Scenario *scenario = repeating(1);
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "offOne", "a1");
    client_calls(a, "putOff", "a2");
    assert_passes(scenario, "1:a1 1:a2");
    client_calls(a, "putOff", "a3"); /* not written yet */
    line_breaks(scenario_line(scenario, 1), "lost");
    assert_passes(scenario, "2:a1 2:a3");
    expect(line_answers(scenario_line(scenario, 2)));
    expect(line_answers(scenario_line(scenario, 2)));
    assert_got(a, "a1 !a2 a3");
    scenario_end(scenario);
}

Test(repeat, a_fifth_of_what_is_sent_at_most)
{
    RetryBudget budget = {0};
    nsec_t now = 12345 * NSEC_PER_SEC;
    retry_budget_add(&budget, 1000, now);
    for (int i = 0; i < 200; i++)
        expect(retry_budget_take(&budget, now));
    expect(!retry_budget_take(&budget, now));
    retry_budget_add(&budget, 5, now + 9 * NSEC_PER_SEC);
    expect(retry_budget_take(&budget, now + 9 * NSEC_PER_SEC));
    expect(!retry_budget_take(&budget, now + 9 * NSEC_PER_SEC));
    now += 10 * NSEC_PER_SEC; /* only those five are left, and one repeated */
    for (int i = 1; i < RETRY_BUDGET_FREE; i++)
        expect(retry_budget_take(&budget, now));
    expect(!retry_budget_take(&budget, now));
    now += 3600 * NSEC_PER_SEC;
    for (int i = 0; i < RETRY_BUDGET_FREE; i++)
        expect(retry_budget_take(&budget, now));
    expect(!retry_budget_take(&budget, now));
}

/* A server that fails all the time gets one call more for five that are sent. */
Test(repeat, an_outage_is_not_multiplied)
{
    Scenario *scenario = repeating(3);
    FakeClient *a = scenario_client(scenario);
    unsigned n_calls = 500, n_sent = 0;
    for (unsigned i = 0; i < n_calls; i++) {
        char *token = g_strdup_printf("t%u", i);
        client_calls(a, "getUser", token);
        g_free(token);
        Flight *flight;
        while ((flight = scenario_take(scenario)) != NULL) {
            n_sent++;
            flight_breaks(flight, "lost");
        }
    }
    cr_assert_eq(n_sent, n_calls + n_calls / 5);
    cr_assert_str_eq(
        a->error,
        "lost; the call may have been executed, and is not sent again: too many have been");
    scenario_end(scenario);
}
