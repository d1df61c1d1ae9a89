#include "scenario.h"

static MethodPolicy slow = {.name = (char *)"slow*", .group = (char *)"slow"};
static MethodPolicy slow_but_quick = {.name = (char *)"slowQuick"};
static MethodPolicy reports = {.name = (char *)"report", .group = (char *)"reports"};
static MethodPolicy *const policies[] = {&slow, &slow_but_quick, &reports};

static Scenario *grouped(BatcherParams params)
{
    return scenario_new_with_policies(params, policies, G_N_ELEMENTS(policies));
}

Test(groups, never_share_a_batch_and_go_in_the_order_of_their_first_calls)
{
    Scenario *scenario = grouped(scenario_params());
    FakeClient *clients[6];
    static const char *const methods[] = {"slowOne", "echo",      "report",
                                          "slowTwo", "slowQuick", "reportNot"};
    static const char *const tokens[] = {"a", "b", "c", "d", "e", "f"};
    for (unsigned i = 0; i < 6; i++) {
        clients[i] = scenario_client(scenario);
        client_calls(clients[i], methods[i], tokens[i]);
        scenario_pass(scenario, 1);
    }
    Flight *flights[] = {
        assert_takes(scenario, "a d"),
        assert_takes(scenario, "b e f"),
        assert_takes(scenario, "c"),
    };
    assert_takes_nothing(scenario);
    for (unsigned i = 0; i < 3; i++)
        flight_answers(flights[2 - i]);
    for (unsigned i = 0; i < 6; i++)
        assert_got(clients[i], tokens[i]);
    scenario_end(scenario);
}

Test(groups, each_have_an_open_batch_with_a_window_of_its_own)
{
    BatcherParams params = scenario_params();
    params.flush = FLUSH_WINDOW;
    params.max_calls = 2;
    Scenario *scenario = grouped(params);
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    FakeClient *c = scenario_client(scenario);
    scenario_client(scenario);
    client_calls(a, "echo", "a1");
    scenario_pass(scenario, params.window / 2);
    client_calls(b, "slow", "b1");
    client_calls(c, "slow", "c1");
    flight_answers(assert_takes(scenario, "b1 c1"));
    assert_takes_nothing(scenario);
    client_calls(b, "slow", "b2");
    scenario_pass(scenario, params.window / 2);
    flight_answers(assert_takes(scenario, "a1"));
    assert_takes_nothing(scenario);
    scenario_pass(scenario, params.window / 2);
    flight_answers(assert_takes(scenario, "b2"));
    scenario_end(scenario);
}

Test(groups, a_batch_whose_first_call_is_withdrawn_falls_behind)
{
    Scenario *scenario = grouped(scenario_params());
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    FakeClient *c = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    scenario_pass(scenario, 1);
    client_calls(b, "slow", "b1");
    scenario_pass(scenario, 1);
    client_calls(c, "echo", "c1");
    client_leaves(a);
    Flight *first = assert_takes(scenario, "b1");
    flight_answers(assert_takes(scenario, "c1"));
    flight_answers(first);
    scenario_end(scenario);
}
