/* When a server is used and when it is probed, in virtual time: what happens is told as a string,
 * a letter an event, and the state after each. */
#include "net/server-state.h"

#include <criterion/criterion.h>
#include <string.h>

#include "../base/expect.h"

enum { MAX_FAILURES = 3 };

typedef struct Story {
    ServerHealth health;
    nsec_t now;
    double chance;
} Story;

static Story story(void)
{
    Story story = {.now = 1000 * NSEC_PER_SEC, .chance = 1};
    server_health_init(&story.health);
    return story;
}

/* c connected, n not connected, f a call failed, a answered, p the probe is due, e up elsewhere,
 * w wanted, v vanished. */
static ServerEvent event_of(char letter)
{
    static const char letters[] = "cnfapewv";
    static const ServerEvent events[] = {
        SERVER_EVENT_CONNECTED, SERVER_EVENT_NOT_CONNECTED, SERVER_EVENT_CALL_FAILED,
        SERVER_EVENT_ANSWERED,  SERVER_EVENT_PROBE_DUE,     SERVER_EVENT_UP_ELSEWHERE,
        SERVER_EVENT_WANTED,    SERVER_EVENT_VANISHED,
    };
    return events[strchr(letters, letter) - letters];
}

static bool note(Story *story, char letter)
{
    return server_health_note(&story->health, event_of(letter), MAX_FAILURES, story->now,
                              story->chance);
}

/* The states behind the events, by their first letters. */
static void assert_states(const char *events, const char *expected)
{
    Story it = story();
    char states[32] = "t";
    for (size_t i = 0; events[i] != '\0'; i++) {
        ServerState before = it.health.state;
        bool changed = note(&it, events[i]);
        expect_eq(changed, before != it.health.state);
        states[i + 1] = server_state_name(it.health.state)[0];
        bool waits = it.health.state == SERVER_STATE_OUT;
        expect_eq(waits, it.health.probe_at != NSEC_NEVER, "a server that is out is probed");
    }
    cr_expect_str_eq(states, expected, "%s: %s instead of %s", events, states, expected);
}

Test(server_state, goes_through_its_states)
{
    static const struct {
        const char *events, *states;
    } rows[] = {
        {"c", "tu"},
        {"n", "to"}, /* the first attempt is what calls wait for */
        {"npc", "topu"},
        {"nwc", "totu"}, /* calls wait for it once more */
        {"npwn", "topto"},
        {"nwwn", "totto"},
        {"cw", "tuu"},
        {"cvw", "tudd"},
        {"npnpc", "topopu"},
        {"cff", "tuuu"},
        {"cfff", "tuuuo"},
        {"cnnn", "tuuuo"}, /* further connections that are refused */
        {"cffaff", "tuuuuuu"},
        {"cffafff", "tuuuuuuo"},
        {"cfffpcff", "tuuuopuuu"}, /* failures are counted anew */
        {"cfffpcfff", "tuuuopuuuo"},
        {"cffffna", "tuuuoooo"}, /* what was in flight tells nothing new */
        {"cfffpfa", "tuuuoppp"}, /* nor does it end a probe */
        {"ccc", "tuuu"},
        {"cfffc", "tuuuou"}, /* a connection that was under way */
        {"e", "tt"},         /* the first attempt goes on */
        {"ce", "tuu"},
        {"ne", "top"},
        {"nee", "topp"},
        {"nenec", "topopu"},
        {"cp", "tuu"},
        {"v", "td"},
        {"cvcnfffape", "tuddddddddd"}, /* there is no way back */
        {"cfffv", "tuuuod"},
        {"cfffpv", "tuuuopd"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_states(rows[i].events, rows[i].states);
}

/* Milliseconds until the probe that is waited for. */
static unsigned wait_of(const Story *story)
{
    return (unsigned)((story->health.probe_at - story->now) / NSEC_PER_MSEC);
}

/* The probe comes, and fails or connects. */
static void probe(Story *story, char result)
{
    story->now = story->health.probe_at;
    expect(note(story, 'p'));
    expect(note(story, result));
}

Test(server_state, backoff_doubles_from_100_ms_to_5_s)
{
    static const unsigned waits[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};
    Story it = story();
    note(&it, 'n');
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        expect_eq(wait_of(&it), waits[i]);
        probe(&it, 'n');
    }
}

Test(server_state, jitter_makes_it_shorter_by_a_quarter_at_most)
{
    static const struct {
        double chance;
        unsigned first, second;
    } rows[] = {{0, 75, 150}, {0.5, 87, 175}, {1, 100, 200}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Story it = story();
        it.chance = rows[i].chance;
        note(&it, 'n');
        expect_eq(wait_of(&it), rows[i].first);
        probe(&it, 'n');
        expect_eq(wait_of(&it), rows[i].second, "of the backoff, not of the wait before");
    }
}

static void fail_until_out(Story *story)
{
    for (int i = 0; i < MAX_FAILURES; i++)
        note(story, 'f');
    expect_eq(story->health.state, SERVER_STATE_OUT);
}

Test(server_state, backoff_starts_anew_only_after_a_call_has_succeeded)
{
    Story it = story();
    note(&it, 'c');
    fail_until_out(&it);
    expect_eq(wait_of(&it), 100);
    probe(&it, 'c');
    fail_until_out(&it); /* it takes connections and fails calls */
    expect_eq(wait_of(&it), 200);
    probe(&it, 'c');
    note(&it, 'a');
    fail_until_out(&it);
    expect_eq(wait_of(&it), 100);
}

Test(server_state, a_probe_on_others_word_that_fails_counts_as_one)
{
    Story it = story();
    note(&it, 'n');
    note(&it, 'e');
    note(&it, 'n');
    expect_eq(wait_of(&it), 200);
}

Test(server_state, failures_while_out_do_not_put_the_probe_off)
{
    Story it = story();
    note(&it, 'n');
    nsec_t at = it.health.probe_at;
    it.now += 50 * NSEC_PER_MSEC;
    note(&it, 'f');
    note(&it, 'n');
    expect_eq(it.health.probe_at, at);
}

Test(server_state, counts_how_often_it_enters_each)
{
    Story it = story();
    note(&it, 'n');
    probe(&it, 'n');
    probe(&it, 'c');
    fail_until_out(&it);
    note(&it, 'v');
    static const uint64_t expected[SERVER_STATES] = {
        [SERVER_STATE_TRYING] = 1,  [SERVER_STATE_UP] = 1,       [SERVER_STATE_OUT] = 3,
        [SERVER_STATE_PROBING] = 2, [SERVER_STATE_DRAINING] = 1,
    };
    for (int i = 0; i < SERVER_STATES; i++)
        cr_expect_eq(it.health.n_entered[i], expected[i], "%s", server_state_name((ServerState)i));
}
