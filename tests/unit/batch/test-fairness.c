/* A client that sends many calls at once gets no more than its turn. */
#include "scenario.h"

static MethodPolicy off = {.name = (char *)"off", .batch = BATCH_MODE_OFF};
static MethodPolicy *const policies[] = {&off};

enum { MAX_CALLS = 3 };

static Scenario *shared(Ordering ordering)
{
    BatcherParams params = scenario_params();
    params.ordering = ordering;
    params.max_calls = MAX_CALLS;
    return scenario_new_with_policies(params, policies, G_N_ELEMENTS(policies));
}

static void calls_many_times(FakeClient *client, const char *method, unsigned n)
{
    for (unsigned i = 1; i <= n; i++) {
        char *token = g_strdup_printf("g%u", i);
        client_calls(client, method, token);
        g_free(token);
    }
}

Test(fairness, the_next_batch_takes_from_all_who_wait)
{
    Scenario *scenario = shared(ORDERING_RELAXED);
    FakeClient *greedy = scenario_client(scenario), *b = scenario_client(scenario);
    calls_many_times(greedy, "echo", 8);
    client_calls(b, "echo", "b1");
    Flight *first = assert_takes(scenario, "g1 g2 g3");
    client_calls(b, "echo", "b2");
    Flight *second = assert_takes(scenario, "b1 g4 g5");
    Flight *third = assert_takes(scenario, "g6 b2 g7");
    Flight *fourth = assert_takes(scenario, "g8");
    assert_takes_nothing(scenario);
    flight_answers(second);
    flight_answers(first);
    flight_answers(fourth);
    flight_answers(third);
    scenario_end(scenario);
}

Test(fairness, under_strict_order_a_client_is_in_one_batch_anyway)
{
    Scenario *scenario = shared(ORDERING_STRICT);
    FakeClient *greedy = scenario_client(scenario), *b = scenario_client(scenario);
    calls_many_times(greedy, "echo", 8);
    client_calls(b, "echo", "b1");
    Flight *first = assert_takes(scenario, "g1@1 g2@1 g3@1");
    flight_answers(assert_takes(scenario, "b1"));
    client_calls(b, "echo", "b2");
    flight_answers(first);
    flight_answers(assert_takes(scenario, "b2 g4@1 g5@1"));
    flight_answers(assert_takes(scenario, "g6@1 g7@1 g8@1"));
    scenario_end(scenario);
}

Test(fairness, so_does_what_is_passed_through)
{
    Scenario *scenario = shared(ORDERING_RELAXED);
    scenario->max_lines = 1;
    FakeClient *greedy = scenario_client(scenario), *b = scenario_client(scenario);
    calls_many_times(greedy, "off", 5);
    client_calls(b, "off", "b1");
    const char *const order[] = {"1:g1", "1:g2", "1:g3", "1:b1", "1:g4", "1:g5"};
    for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
        assert_passes(scenario, order[i]);
        expect(line_answers(scenario_line(scenario, 1)));
    }
    scenario_end(scenario);
}

/* What is held is not forgotten when what it waits for ends without being sent. */
Test(fairness, held_calls_go_on_when_earlier_ones_expire)
{
    Scenario *scenario = shared(ORDERING_RELAXED);
    FakeClient *greedy = scenario_client(scenario);
    calls_many_times(greedy, "echo", MAX_CALLS);
    scenario_pass(scenario, scenario->params.call_timeout / 2);
    client_calls(greedy, "echo", "late");
    scenario_pass(scenario, scenario->params.call_timeout / 2);
    assert_got(greedy, "!g1 !g2 !g3");
    flight_answers(assert_takes(scenario, "late"));
    scenario_end(scenario);
}
