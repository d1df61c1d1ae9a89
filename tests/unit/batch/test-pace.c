/* The pace against upstreams that take batches one at a time or side by side: clients in
 * closed loops, in virtual time. */
#include "scenario.h"

#include "batch/pace.h"

enum { SLOTS = 4, CROWD = 12 };

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
    Pace pace;
    bool fixed; /* the limit stays */
    FakeClient *clients[CROWD];
    nsec_t calls_at[CROWD]; /* NSEC_NEVER: has called */
    InFlight slots[SLOTS];
    nsec_t upstream_free;
    unsigned n_calls;
} Story;

static unsigned n_in_flight(const Story *story)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SLOTS; i++)
        n += story->slots[i].flight != NULL;
    return n;
}

static void send_batches(Story *story)
{
    Batcher *batcher = story->scenario->batcher;
    batcher_set_blocked(batcher, false);
    while (n_in_flight(story) < pace_slots(&story->pace)) {
        Flight *flight = scenario_take(story->scenario);
        if (flight == NULL)
            return;
        nsec_t now = story->scenario->now, work = story->upstream.per_message;
        work += flight->n_calls * story->upstream.per_call;
        nsec_t begin = story->upstream.serial ? MAX(now, story->upstream_free) : now;
        story->upstream_free = begin + work;
        unsigned i = 0;
        while (story->slots[i].flight != NULL)
            i++;
        story->slots[i] = (InFlight){flight, now, begin + work};
    }
    batcher_set_blocked(batcher, batcher_next_due(batcher, story->scenario->now) != NULL);
}

static void receive(Story *story, InFlight *slot)
{
    nsec_t now = story->scenario->now;
    for (unsigned i = 0; i < slot->flight->n_calls; i++) {
        FakeClient *client = slot->flight->calls[i].sent->client;
        for (unsigned k = 0; k < CROWD; k++) {
            if (story->clients[k] == client)
                story->calls_at[k] = now + (20 + 3 * i) * NSEC_PER_USEC;
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
    pace_answered(&story->pace, met, n, now - slot->sent, batcher_answered(batcher));
    batcher_set_gathering(batcher, pace_gathers(&story->pace));
}

static nsec_t next_event(const Story *story)
{
    nsec_t at = batcher_next_window(story->scenario->batcher, story->scenario->now);
    for (unsigned i = 0; i < SLOTS; i++) {
        if (story->slots[i].flight != NULL)
            at = MIN(at, story->slots[i].done);
    }
    for (unsigned k = 0; k < CROWD; k++)
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
    for (unsigned k = 0; k < CROWD; k++) {
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
enum { FIND = -1 };

static Story story_of(Upstream upstream, int pace)
{
    Story story = {.scenario = scenario_new(scenario_params()), .upstream = upstream};
    pace_init(&story.pace, SLOTS);
    story.fixed = pace != FIND;
    if (story.fixed)
        story.pace.now = (uint32_t)pace;
    batcher_set_gathering(story.scenario->batcher, pace_gathers(&story.pace));
    for (unsigned k = 0; k < CROWD; k++) {
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
}

/* Calls a second of the later half of so many calls. */
static double speed(Story *story, unsigned n_calls)
{
    while (story->n_calls < n_calls / 2)
        turn(story);
    nsec_t begin = story->scenario->now;
    unsigned before = story->n_calls;
    while (story->n_calls < n_calls)
        turn(story);
    return (story->n_calls - before) * 1e9 / (double)(story->scenario->now - begin);
}

static double speed_at(Upstream upstream, int pace)
{
    Story story = story_of(upstream, pace);
    double found = speed(&story, 12000);
    end_story(&story);
    return found;
}

/* Batches at a time, batches side by side that cost as much as their calls do, and batches side by
 * side that all cost the same. */
static const Upstream serial = {true, NSEC_PER_MSEC, 10 * NSEC_PER_USEC},
                      fast_serial = {true, 100 * NSEC_PER_USEC, 5 * NSEC_PER_USEC},
                      parallel = {false, 20 * NSEC_PER_USEC, 300 * NSEC_PER_USEC},
                      sleeping = {false, NSEC_PER_MSEC, 0};

Test(pace, what_is_found_is_about_as_good_as_the_best)
{
    const Upstream upstreams[] = {serial, fast_serial, parallel, sleeping};
    for (size_t i = 0; i < G_N_ELEMENTS(upstreams); i++) {
        double best = 0;
        for (int pace = 0; pace <= SLOTS; pace++) {
            double fixed = speed_at(upstreams[i], pace);
            best = MAX(best, fixed);
        }
        double found = speed_at(upstreams[i], FIND);
        cr_expect_gt(found, 0.85 * best, "upstream %zu: %.0f/s, the best is %.0f/s", i, found,
                     best);
    }
}

Test(pace, follows_when_the_upstream_changes)
{
    Story story = story_of(serial, FIND);
    speed(&story, 12000);
    uint32_t of_serial = story.pace.chosen;
    story.upstream = parallel;
    double found = speed(&story, 60000);
    cr_assert_lt(story.pace.chosen, of_serial);
    cr_assert_gt(found, 0.85 * speed_at(parallel, 0));
    end_story(&story);
}

static void answers(Pace *pace, PaceSample *answered, bool met, unsigned n_batches)
{
    for (unsigned i = 0; i < n_batches; i++) {
        answered->n_calls++;
        answered->time += NSEC_PER_MSEC + i;
        pace_answered(pace, met, 1, NSEC_PER_MSEC, *answered);
    }
}

Test(pace, where_no_calls_meet_nothing_is_tried)
{
    Pace pace;
    PaceSample answered = {0};
    pace_init(&pace, SLOTS);
    for (unsigned i = 0; i < 1000; i++) {
        answers(&pace, &answered, false, 10);
        expect(pace.step == 0 && pace.now == pace.chosen);
    }
}

Test(pace, a_trial_that_is_broken_off_is_not_the_last)
{
    Pace pace;
    PaceSample answered = {0};
    pace_init(&pace, SLOTS);
    while (pace.step == 0)
        answers(&pace, &answered, true, 1);
    answers(&pace, &answered, false, 1000);
    expect_eq(pace.step, 0);
    unsigned n = 0;
    while (pace.step == 0 && n++ < 10000)
        answers(&pace, &answered, true, 1);
    expect(pace.step > 0, "nothing is tried any more");
}
