/* What the daemon learns of methods that owe no reply. In these stories "log" owes none, whatever
 * the client's message says. */
#include "scenario.h"

Test(oneway, a_call_that_is_answered_without_message_is_owed_nothing)
{
    Scenario *scenario = scenario_new(scenario_params());
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "log", "a1");
    client_calls(a, "echo", "a2");
    flight_answers(assert_takes(scenario, "a1@1 a2@1"));
    assert_got(a, "a2");
    client_calls(a, "log", "a3");
    client_calls(a, "echo", "a4");
    flight_answers(assert_takes(scenario, "a3!@1 a4@1"));
    assert_got(a, "a2 a4");
    cr_assert_eq(counters_n_calls(&scenario->counters, CALL_OUTCOME_OK), 4);
    scenario_end(scenario);
}

Test(oneway, is_learnt_from_a_oneway_message)
{
    Scenario *scenario = scenario_new(scenario_params());
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_sends_oneway(a, "log", "a1");
    client_calls(b, "log", "b1");
    flight_answers(assert_takes(scenario, "a1! b1!"));
    assert_got(b, "");
    scenario_end(scenario);
}

Test(oneway, a_method_that_has_answered_stays_known_to_answer)
{
    BatcherParams params = scenario_params();
    params.min_calls = 2;
    Scenario *scenario = scenario_new(params);
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    flight_answers(assert_takes(scenario, "a1"));
    client_sends_oneway(a, "echo", "a2");
    flight_answers(assert_takes(scenario, "a2!"));
    client_calls(a, "echo", "a3");
    flight_answers(assert_takes(scenario, "plain a3"));
    assert_got(a, "a1 a3");
    scenario_end(scenario);
}

/* A client's mistake: it sent ONEWAY for a method that answers. */
Test(oneway, an_answer_to_a_call_tells_that_what_was_learnt_is_wrong)
{
    Scenario *scenario = scenario_new(scenario_params());
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_sends_oneway(a, "echo", "a1");
    client_calls(b, "echo", "b1");
    flight_answers(assert_takes(scenario, "a1! b1!"));
    assert_got(a, "");
    assert_got(b, "b1");
    client_calls(b, "echo", "b2");
    flight_answers(assert_takes(scenario, "b2"));
    assert_got(b, "b1 b2");
    scenario_end(scenario);
}

/* b2 is read while the method is taken for a oneway one; before b2 ends, the method has answered,
 * so a reply is owed. */
Test(oneway, a_waiting_call_is_owed_its_reply_once_the_method_has_answered)
{
    Scenario *scenario = scenario_new(scenario_params());
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    client_sends_oneway(a, "echo", "a1");
    client_calls(b, "echo", "b1");
    Flight *flight = assert_takes(scenario, "a1! b1!");
    client_calls(b, "echo", "b2");
    flight_answers(flight);
    assert_got(b, "b1");
    flight_fails(scenario_take(scenario), "the connection was lost");
    assert_got(b, "b1 !b2");
    scenario_end(scenario);
}

Test(oneway, a_missing_reply_of_a_method_that_has_answered_is_an_error)
{
    Scenario *scenario = scenario_new(scenario_params());
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "log", "a1");
    Flight *flight = assert_takes(scenario, "a1");
    method_learn_answers(flight->calls[0].call->method);
    flight_answers(flight);
    assert_got(a, "!a1");
    cr_assert_eq(a->error_code, EXCEPTION_INTERNAL_ERROR);
    cr_assert_not_null(strstr(a->error, "no reply"), "%s", a->error);
    cr_assert_eq(counters_n_calls(&scenario->counters, CALL_OUTCOME_ERROR), 1);
    scenario_end(scenario);
}

Test(oneway, can_be_said_in_the_configuration)
{
    MethodPolicy policy = {.name = (char *)"log", .oneway = true};
    MethodPolicy *const policies[] = {&policy};
    Scenario *scenario = scenario_new_with_policies(scenario_params(), policies, 1);
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "log", "a1");
    client_calls(a, "echo", "a2");
    flight_answers(assert_takes(scenario, "a1!@1 a2@1"));
    assert_got(a, "a2");
    cr_assert_eq(counters_n_calls(&scenario->counters, CALL_OUTCOME_OK), 2);
    scenario_end(scenario);
}

/* What such a method answers all the same is dropped. */
Test(oneway, said_in_the_configuration_holds_whatever_the_upstream_answers)
{
    MethodPolicy policy = {.name = (char *)"echo", .oneway = true};
    MethodPolicy *const policies[] = {&policy};
    BatcherParams params = scenario_params();
    params.min_calls = 2;
    Scenario *scenario = scenario_new_with_policies(params, policies, 1);
    FakeClient *a = scenario_client(scenario);
    client_calls(a, "echo", "a1");
    Flight *flight = assert_takes(scenario, "a1!");
    flight_answers(flight);
    client_calls(a, "echo", "a2");
    flight_answers(assert_takes(scenario, "a2!"));
    assert_got(a, "");
    client_leaves(a); /* the scenario would have echo answered */
    scenario_end(scenario);
}
