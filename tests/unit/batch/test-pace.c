/* The pace against upstreams that take batches one at a time or side by side: clients in
 * closed loops, in virtual time, with a machine's noise. */
#include "scenario.h"

#include <math.h>

#include "batch/pace.h"

enum { SLOTS = 4, MAX_CROWD = 100 };

typedef struct Upstream {
    bool serial;
    nsec_t per_message, per_call;
} Upstream;

typedef struct InFlight {
    Flight *flight; /* NULL: the slot is free */
    nsec_t sent, done;
} InFlight;

typedef struct Story {
    Scenario *scenario;
    Upstream upstream;
    GRand *noise;
    Pace pace;
    bool fixed;   /* it stays */
    nsec_t think; /* of clients, on average */
    unsigned n_clients;
    FakeClient *clients[MAX_CROWD];
    nsec_t calls_at[MAX_CROWD]; /* NSEC_NEVER: has called */
    InFlight slots[SLOTS];
    nsec_t upstream_free;
    unsigned n_calls, most_in_flight;
} Story;

/* Exponentially distributed. */
static nsec_t noise(Story *story, nsec_t mean)
{
    return (nsec_t)(-log(1 - g_rand_double(story->noise)) * (double)mean);
}

static unsigned n_in_flight(const Story *story)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SLOTS; i++)
        n += story->slots[i].flight != NULL;
    return n;
}

/* It stalls once in a tenth of a second of work. */
static nsec_t work(Story *story, unsigned n_calls)
{
    nsec_t usual = story->upstream.per_message + n_calls * story->upstream.per_call;
    bool stalls = g_rand_double(story->noise) * (double)(100 * NSEC_PER_MSEC) < (double)usual;
    return usual + noise(story, usual / 10) + (stalls ? noise(story, NSEC_PER_MSEC) : 0);
}

static void send_batch(Story *story)
{
    Flight *flight = scenario_take(story->scenario);
    nsec_t now = story->scenario->now;
    nsec_t begin = story->upstream.serial ? MAX(now, story->upstream_free) : now;
    story->upstream_free = begin + work(story, flight->n_calls);
    unsigned i = 0;
    while (story->slots[i].flight != NULL)
        i++;
    story->slots[i] = (InFlight){flight, now, story->upstream_free};
}

static bool has_slot(const Story *story, const Batch *batch)
{
    unsigned n = n_in_flight(story);
    return n < SLOTS && (!batch_may_grow(batch) || pace_has_room(&story->pace, n));
}

static void send_batches(Story *story)
{
    Batcher *batcher = story->scenario->batcher;
    batcher_set_blocked(batcher, false);
    const Batch *next;
    while ((next = batcher_next_due(batcher, story->scenario->now)) != NULL &&
           has_slot(story, next))
        send_batch(story);
    story->most_in_flight = MAX(story->most_in_flight, n_in_flight(story));
    if (next == NULL)
        next = batcher_reading_on(batcher, story->scenario->now);
    batcher_set_blocked(batcher, next != NULL && !has_slot(story, next));
}

static void receive(Story *story, InFlight *slot)
{
    nsec_t now = story->scenario->now;
    for (unsigned i = 0; i < slot->flight->n_calls; i++) {
        FakeClient *client = slot->flight->calls[i].sent->client;
        for (unsigned k = 0; k < story->n_clients; k++) {
            if (story->clients[k] == client)
                story->calls_at[k] =
                    now + (20 + 3 * i) * NSEC_PER_USEC + noise(story, story->think);
        }
    }
    const Batch *batch = slot->flight->batch;
    bool met = batch->n_taken > 1 || batch->sent > batch->since;
    unsigned n = n_in_flight(story);
    flight_answers(slot->flight);
    slot->flight = NULL;
    if (story->fixed)
        return;
    Batcher *batcher = story->scenario->batcher;
    pace_answered(&story->pace, met, n, now - slot->sent, batcher_load(batcher, now));
    batcher_set_gathering(batcher, pace_gathering(&story->pace));
}

static nsec_t next_event(const Story *story)
{
    nsec_t at = batcher_next_window(story->scenario->batcher, story->scenario->now);
    for (unsigned i = 0; i < SLOTS; i++) {
        if (story->slots[i].flight != NULL)
            at = MIN(at, story->slots[i].done);
    }
    for (unsigned k = 0; k < story->n_clients; k++)
        at = MIN(at, story->calls_at[k]);
    return at;
}

static void turn(Story *story)
{
    Scenario *scenario = story->scenario;
    nsec_t at = next_event(story);
    scenario_pass(scenario, at > scenario->now ? at - scenario->now : 0);
    for (unsigned i = 0; i < SLOTS; i++) {
        if (story->slots[i].flight != NULL && story->slots[i].done <= scenario->now)
            receive(story, &story->slots[i]);
    }
    for (unsigned k = 0; k < story->n_clients; k++) {
        if (story->calls_at[k] > scenario->now)
            continue;
        char *token = g_strdup_printf("t%u", story->n_calls++);
        client_calls(story->clients[k], "echo", token);
        g_free(token);
        story->calls_at[k] = NSEC_NEVER;
    }
    send_batches(story);
}

/* At that pace, or at one that is found: FIND. */
enum { FIND = -1, CROWD = SLOTS + 1 };

#define THINK (20 * NSEC_PER_USEC)

static Story story_of(Upstream upstream, unsigned n_clients, int pace)
{
    Story story = {
        .scenario = scenario_new(scenario_params()),
        .upstream = upstream,
        .noise = g_rand_new_with_seed(n_clients),
        .think = THINK,
        .n_clients = n_clients,
    };
    pace_init(&story.pace, SLOTS);
    story.fixed = pace != FIND;
    if (story.fixed)
        story.pace.now = (uint32_t)pace;
    batcher_set_gathering(story.scenario->batcher, pace_gathering(&story.pace));
    for (unsigned k = 0; k < n_clients; k++) {
        story.clients[k] = scenario_client(story.scenario);
        story.calls_at[k] = k * 37 * NSEC_PER_USEC;
    }
    return story;
}

static void end_story(Story *story)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        if (story->slots[i].flight != NULL)
            flight_answers(story->slots[i].flight);
    }
    batcher_drain(story->scenario->batcher);
    Flight *flight;
    while ((flight = scenario_take(story->scenario)) != NULL)
        flight_answers(flight);
    scenario_end(story->scenario);
    g_rand_free(story->noise);
}

/* Calls a second in the time that follows. */
static double speed(Story *story, nsec_t time)
{
    nsec_t begin = story->scenario->now;
    unsigned before = story->n_calls;
    while (story->scenario->now < begin + time)
        turn(story);
    return (story->n_calls - before) * 1e9 / (double)(story->scenario->now - begin);
}

static double best_speed(Upstream upstream, unsigned n_clients, nsec_t think)
{
    double best = 0;
    for (int pace = 0; pace <= CROWD; pace++) {
        Story story = story_of(upstream, n_clients, pace);
        story.think = think;
        speed(&story, 50 * NSEC_PER_MSEC);
        best = MAX(best, speed(&story, 150 * NSEC_PER_MSEC));
        end_story(&story);
    }
    return best;
}

/* Batches at a time, batches side by side that cost as much as their calls do, and batches side by
 * side that all cost the same. */
static const Upstream serial = {true, NSEC_PER_MSEC, 10 * NSEC_PER_USEC},
                      fast_serial = {true, 100 * NSEC_PER_USEC, 5 * NSEC_PER_USEC},
                      parallel = {false, 20 * NSEC_PER_USEC, 300 * NSEC_PER_USEC},
                      sleeping = {false, NSEC_PER_MSEC, 0};

/* `after` so long with so many clients. */
static void expect_found(Upstream upstream, unsigned n_clients, nsec_t after, double share)
{
    double best = best_speed(upstream, n_clients, THINK);
    Story story = story_of(upstream, n_clients, FIND);
    speed(&story, after);
    double found = speed(&story, 300 * NSEC_PER_MSEC);
    cr_expect_gt(found, share * best, "%u clients: %.0f/s, the best is %.0f/s", n_clients, found,
                 best);
    end_story(&story);
}

Test(pace, what_is_found_is_about_as_good_as_the_best)
{
    expect_found(serial, 2, NSEC_PER_SEC, 0.9);
    expect_found(serial, 12, NSEC_PER_SEC, 0.9);
    expect_found(fast_serial, 12, NSEC_PER_SEC, 0.9);
    expect_found(parallel, 12, 3 * NSEC_PER_SEC / 2, 0.9);
    expect_found(sleeping, 12, NSEC_PER_SEC, 0.9);
}

Test(pace, a_great_difference_is_seen_soon)
{
    expect_found(serial, 2, 100 * NSEC_PER_MSEC, 0.85);
    expect_found(serial, 5, 100 * NSEC_PER_MSEC, 0.85);
    expect_found(serial, 30, 150 * NSEC_PER_MSEC, 0.85);
}

Test(pace, full_batches_use_every_slot)
{
    for (unsigned n_clients = 60; n_clients <= MAX_CROWD; n_clients += 40) {
        Story story = story_of(serial, n_clients, SLOTS);
        speed(&story, 50 * NSEC_PER_MSEC);
        expect_eq(story.most_in_flight, n_clients > 64 ? 2U : 1U);
        end_story(&story);
    }
}

Test(pace, follows_when_the_upstream_changes)
{
    Story story = story_of(serial, 12, FIND);
    speed(&story, NSEC_PER_SEC / 2);
    expect_eq(story.pace.chosen, SLOTS);
    story.upstream = parallel;
    speed(&story, 3 * NSEC_PER_SEC);
    double found = speed(&story, 300 * NSEC_PER_MSEC);
    cr_assert_gt(found, 0.85 * best_speed(parallel, 12, THINK));
    end_story(&story);
}

/* Each of them comes back when it likes: who waits for all waits for the last. */
Test(pace, clients_that_take_their_time_are_not_waited_for_as_a_crowd)
{
    static const Upstream fast = {true, 20 * NSEC_PER_USEC, 2 * NSEC_PER_USEC};
    double best = best_speed(fast, 80, 300 * NSEC_PER_USEC);
    Story story = story_of(fast, 80, FIND);
    story.think = 300 * NSEC_PER_USEC;
    story.pace.chosen = story.pace.now = CROWD;
    batcher_set_gathering(story.scenario->batcher, pace_gathering(&story.pace));
    speed(&story, NSEC_PER_SEC / 2);
    double found = speed(&story, 300 * NSEC_PER_MSEC);
    cr_expect_gt(found, 0.9 * best, "%.0f/s, the best is %.0f/s", found, best);
    end_story(&story);
}

/* So many callers; a call takes `here`, and before it its caller was away. */
typedef struct CrowdLoad {
    unsigned n_callers;
    nsec_t here, away, upstream;
    bool apart; /* they meet only where the crowd is waited for */
} CrowdLoad;

static void crowd_answer(Pace *pace, PaceLoad *load, CrowdLoad of)
{
    load->n_ended++;
    load->waited += of.here;
    load->away += of.away;
    load->at += (of.here + of.away) / of.n_callers;
    pace_answered(pace, !of.apart || pace->now == CROWD, 1, of.upstream, *load);
}

static const CrowdLoad crowd_load = {100, 1000, 3000, 200, false};

enum { MANY = 20000 };

/* Where a call takes that time at the crowd's pace. */
static unsigned answers_until(Pace *pace, PaceLoad *load, uint32_t chosen, nsec_t at_crowd)
{
    unsigned n = 0;
    for (; n < MANY && pace->chosen != chosen; n++) {
        CrowdLoad of = crowd_load;
        of.here = pace->now == CROWD ? at_crowd : of.here;
        crowd_answer(pace, load, of);
    }
    return n;
}

/* It has to be better by a fifth. */
Test(pace, a_crowd_is_not_waited_for_where_it_gains_a_little)
{
    Pace pace;
    PaceLoad load = {.n_pending = 1};
    pace_init(&pace, SLOTS);
    expect_eq(answers_until(&pace, &load, CROWD, 850), MANY);
}

static Pace found_crowd(PaceLoad *load)
{
    Pace pace;
    pace_init(&pace, SLOTS);
    expect(answers_until(&pace, load, CROWD, 700) < MANY);
    expect_eq(pace_slots(&pace), SLOTS);
    expect_eq(pace_gathering(&pace), GATHERING_CROWD);
    return pace;
}

Test(pace, a_crowd_is_waited_for_as_long_as_that_pays)
{
    PaceLoad load = {.n_pending = 1};
    Pace pace = found_crowd(&load);
    expect_eq(answers_until(&pace, &load, 1, 900), MANY);
    expect(answers_until(&pace, &load, 1, 1500) < MANY);
    expect_eq(pace_gathering(&pace), GATHERING_SLOTS);
    for (unsigned i = 0; i < 400; i++) {
        crowd_answer(&pace, &load, crowd_load);
        expect(pace.now != CROWD, "tried again at once");
    }
}

/* A few are left, and as many that call now and then. */
Test(pace, a_crowd_that_has_gone_is_not_waited_for)
{
    static const CrowdLoad left[] = {{3, 1000, 1000, 200, true}, {100, 1000, 100000, 200, true}};
    for (size_t i = 0; i < G_N_ELEMENTS(left); i++) {
        PaceLoad load = {.n_pending = 1};
        Pace pace = found_crowd(&load);
        unsigned n = 0;
        for (; n < MANY && pace.chosen == CROWD; n++)
            crowd_answer(&pace, &load, left[i]);
        expect(n < 300, "load %zu: %u answers", i, n);
    }
}

/* Callers that are away nine tenths of their time, that are at the upstream for most of it, and too
 * few. */
Test(pace, a_crowd_is_not_tried_where_it_cannot_pay)
{
    static const struct {
        CrowdLoad load;
        bool crowd;
    } table[] = {{{100, 1000, 3000, 200, false}, true},
                 {{100, 1000, 9000, 200, false}, false},
                 {{100, 1000, 500, 800, false}, false},
                 {{30, 1000, 3000, 200, false}, false}};
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        Pace pace;
        PaceLoad load = {.n_pending = 1};
        bool crowd = false;
        pace_init(&pace, SLOTS);
        for (unsigned n = 0; n < 10000; n++) {
            crowd_answer(&pace, &load, table[i].load);
            crowd = crowd || pace.now == CROWD;
        }
        expect_eq(crowd, table[i].crowd, "load %zu", i);
    }
}

Test(pace, one_slot_leaves_only_gathering_to_be_tried)
{
    Pace pace;
    PaceLoad load = {0};
    pace_init(&pace, 1);
    for (unsigned i = 0; i < 10000; i++) {
        load.n_ended++;
        load.waited += NSEC_PER_MSEC + i;
        load.at += NSEC_PER_MSEC + i;
        pace_answered(&pace, true, 1, NSEC_PER_MSEC, load);
        expect(pace.now <= 1);
    }
}

static void answers(Pace *pace, PaceLoad *load, bool met, unsigned n_batches)
{
    for (unsigned i = 0; i < n_batches; i++) {
        load->n_ended++;
        load->waited += load->n_pending * (NSEC_PER_MSEC + i);
        load->at += NSEC_PER_MSEC + i;
        pace_answered(pace, met, 1, NSEC_PER_MSEC, *load);
    }
}

Test(pace, where_no_calls_meet_nothing_is_tried)
{
    Pace pace;
    PaceLoad load = {.n_pending = 1};
    pace_init(&pace, SLOTS);
    for (unsigned i = 0; i < 1000; i++) {
        answers(&pace, &load, false, 10);
        expect(pace.step == 0 && pace.now == pace.chosen);
    }
}

Test(pace, a_trial_that_is_broken_off_is_not_the_last)
{
    Pace pace;
    PaceLoad load = {.n_pending = 1};
    pace_init(&pace, SLOTS);
    while (pace.step == 0)
        answers(&pace, &load, true, 1);
    answers(&pace, &load, false, 1000);
    expect_eq(pace.step, 0);
    unsigned n = 0;
    while (pace.step == 0 && n++ < 10000)
        answers(&pace, &load, true, 1);
    expect(pace.step > 0, "nothing is tried any more");
}

Test(pace, load_counts_what_is_pending_with_its_time_so_far)
{
    Scenario *scenario = scenario_new(scenario_params());
    FakeClient *a = scenario_client(scenario), *b = scenario_client(scenario);
    scenario_pass(scenario, 7 * NSEC_PER_MSEC);
    client_calls(a, "echo", "a1");
    Flight *flight = scenario_take(scenario);
    scenario_pass(scenario, 2 * NSEC_PER_MSEC);
    client_calls(b, "echo", "b1");
    scenario_pass(scenario, 3 * NSEC_PER_MSEC);
    flight_answers(flight);
    scenario_pass(scenario, 4 * NSEC_PER_MSEC);
    PaceLoad load = batcher_load(scenario->batcher, scenario->now);
    cr_assert_eq(load.n_ended, 1);
    cr_assert_eq(load.n_pending, 1);
    cr_assert_eq(load.waited, (5 + 7) * NSEC_PER_MSEC);
    cr_assert_eq(load.away, 0);
    client_sends_oneway(a, "log", "a2");
    cr_assert_eq(batcher_load(scenario->batcher, scenario->now).away, 4 * NSEC_PER_MSEC);
    Flight *rest;
    while ((rest = scenario_take(scenario)) != NULL)
        flight_answers(rest);
    cr_assert_eq(batcher_load(scenario->batcher, scenario->now).n_ended, 3);
    scenario_pass(scenario, NSEC_PER_SEC);
    client_sends_oneway(a, "log", "a3"); /* there was no answer since a2 */
    cr_assert_eq(batcher_load(scenario->batcher, scenario->now).away, 4 * NSEC_PER_MSEC);
    client_calls(b, "echo", "b2"); /* that was away for all of the second */
    cr_assert_eq(batcher_load(scenario->batcher, scenario->now).away,
                 4 * NSEC_PER_MSEC + RETURNING_MOST_ABSENCE);
    while ((rest = scenario_take(scenario)) != NULL)
        flight_answers(rest);
    scenario_end(scenario);
}

/* A burst that was pending when an epoch began is no reason to wait for as many calls again. */
Test(pace, a_burst_that_is_over_does_not_hold_an_epoch)
{
    Pace pace;
    PaceLoad load = {.n_pending = 100000};
    pace_init(&pace, SLOTS);
    answers(&pace, &load, true, 6);
    load.n_ended += 100000;
    load.n_pending = 1;
    unsigned n = 0;
    while (pace.step == 0 && n++ < 1000)
        answers(&pace, &load, true, 1);
    expect(n < 200, "no trial yet");
}

/* Until it has settled, or until the epoch has ended. */
static unsigned n_answers(Pace *pace, PaceLoad *load)
{
    unsigned n = 0;
    bool settling = pace->settling;
    while (pace->settling == settling && pace->step == 0 && n++ < 10000) {
        load->n_ended++;
        load->at += NSEC_PER_USEC;
        load->waited += NSEC_PER_MSEC;
        pace_answered(pace, true, 2, NSEC_PER_MSEC, *load);
    }
    return n;
}

/* A batch a microsecond, calls of a millisecond: none that began at the pace has ended after a few
 * batches. */
Test(pace, an_epoch_lasts_longer_than_its_calls)
{
    Pace pace;
    PaceLoad load = {0};
    pace_init(&pace, SLOTS);
    unsigned n = n_answers(&pace, &load);
    expect(n >= 1000 && n < 1100, "%u batches until it has settled", n);
    n = n_answers(&pace, &load);
    expect(n >= 2000 && n < 2100, "%u batches in an epoch", n);
}

Test(pace, what_is_clearly_worse_is_not_tried_again_soon)
{
    Story story = story_of(serial, 30, FIND);
    speed(&story, 3 * NSEC_PER_SEC); /* it is looked at once more */
    unsigned n_turns = 0, n_others = 0;
    nsec_t end = story.scenario->now + 2 * NSEC_PER_SEC;
    while (story.scenario->now < end) {
        turn(&story);
        n_turns++;
        n_others += story.pace.now != story.pace.chosen;
    }
    expect_eq(story.pace.chosen, SLOTS);
    expect(100 * n_others < n_turns, "%u of %u turns at another pace", n_others, n_turns);
    end_story(&story);
}

/* The answer to a call of the one client, which took so long. */
static void lone_answer(Pace *pace, PaceLoad *load, nsec_t took)
{
    crowd_answer(pace, load, (CrowdLoad){1, took, 0, took, false});
}

/* Answers until one slot is chosen, at most so many. A call takes one time at one slot and another
 * at every other pace, and those grow by so many parts in a thousand with each answer. */
static unsigned answers_until_one_slot(Pace *pace, PaceLoad *load, nsec_t one_slot, nsec_t others,
                                       unsigned growth, unsigned most)
{
    double time = (double)others;
    unsigned n = 0;
    for (; n < most && pace->chosen != SLOTS; n++) {
        nsec_t took = pace->now == SLOTS ? one_slot : (nsec_t)time;
        time *= 1 + growth / 1000.0;
        lone_answer(pace, load, took);
    }
    return n;
}

Test(pace, what_was_clearly_worse_is_looked_at_once_more)
{
    Pace pace;
    PaceLoad load = {.n_pending = 1};
    pace_init(&pace, SLOTS);
    expect_eq(answers_until_one_slot(&pace, &load, 300, 200, 0, 100), 100);
    unsigned n = answers_until_one_slot(&pace, &load, 100, 200, 0, 1000);
    expect(n > 400 && n < 1000, "%u answers until it is looked at again", n);
}

/* It takes five times as long: not even for its settling is it waited. */
Test(pace, what_is_hopeless_is_given_up_at_once)
{
    Pace pace;
    PaceLoad load = {.n_pending = 1};
    pace_init(&pace, SLOTS);
    unsigned n_at_one_slot = 0;
    for (unsigned n = 0; n < 300; n++) {
        n_at_one_slot += pace.now == SLOTS;
        lone_answer(&pace, &load, pace.now == SLOTS ? 1000 : 200);
    }
    expect(n_at_one_slot > 0 && n_at_one_slot <= 2, "%u answers", n_at_one_slot);
}

/* Little by little: no epoch is unlike the one before. */
Test(pace, a_load_that_has_become_another_is_noticed)
{
    Pace pace;
    PaceLoad load = {.n_pending = 1};
    pace_init(&pace, SLOTS);
    expect_eq(answers_until_one_slot(&pace, &load, 15000, 10000, 0, 3000), 3000);
    expect(answers_until_one_slot(&pace, &load, 8000, 10000, 1, 1000) < 1000);
}

/* Callers whom one slot has brought together stay so for a while without it. */
Test(pace, what_a_candidate_leaves_behind_does_not_speak_against_it)
{
    Pace pace;
    PaceLoad load = {.n_pending = 1};
    pace_init(&pace, SLOTS);
    bool tried = false;
    for (unsigned i = 0; i < 200 && pace.chosen == 1; i++) {
        tried = tried || pace.now == SLOTS;
        lone_answer(&pace, &load, (tried ? 165 : 212) * NSEC_PER_USEC);
    }
    expect_eq(pace.chosen, SLOTS);
}
