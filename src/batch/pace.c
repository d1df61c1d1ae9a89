#include "batch/pace.h"

#include <glib.h>

enum {
    EPOCH_BATCHES = 24,
    EPOCH_CALLS = 64,     /* both at least */
    LEAST_BATCHES = 4,    /* of a candidate's epoch */
    SETTLING_BATCHES = 6, /* at an epoch's begin: the pace before still shows */
    TRIAL_STEPS = 4,
    CLEARLY_LESS = 97, /* percent */
    MUCH_LESS = 88,    /* these two end a trial at half its length */
    MUCH_MORE = 115,
    USUAL_LEAST = 75, /* what the load has not changed by, in percent */
    USUAL_MOST = 133,
    UNUSUAL_EPOCHS = 3,
    MAX_BACKOFF = 256, /* epochs */
    SMOOTHING = 8,     /* the latest time counts for an eighth */
};

typedef enum CandidateKind {
    CANDIDATE_FEWER_SLOTS, /* than are in use */
    CANDIDATE_MORE_SLOTS,
    CANDIDATE_APART, /* pace 0 */
    CANDIDATE_KINDS
} CandidateKind;

void pace_init(Pace *pace, uint32_t slots)
{
    *pace = (Pace){
        .now = 1,
        .slowest = slots,
        .chosen = 1,
        .pause = 1,
        .backoff = 1,
    };
}

/* The pace with that many slots. */
static uint32_t pace_of(const Pace *pace, uint32_t slots)
{
    return pace->slowest - slots + 1;
}

static uint32_t fewer_slots(const Pace *pace)
{
    uint32_t in_use = pace->in_use;
    if (pace->chosen == 0)
        return 1;
    if (in_use <= 1)
        return pace->slowest;
    uint32_t candidate = pace_of(pace, in_use < pace->slowest ? in_use - 1 : pace->slowest - 1);
    if (candidate <= pace->chosen)
        candidate = pace->chosen + 1;
    return candidate < pace->slowest ? candidate : pace->slowest;
}

static uint32_t candidate_of(const Pace *pace, CandidateKind kind)
{
    switch (kind) {
    case CANDIDATE_FEWER_SLOTS:
        return fewer_slots(pace);
    case CANDIDATE_MORE_SLOTS:
        return pace->chosen > 0 ? pace->chosen - 1 : 0;
    case CANDIDATE_APART:
    case CANDIDATE_KINDS:
        break;
    }
    return 0;
}

static void begin_trial(Pace *pace)
{
    for (unsigned i = 0; i < CANDIDATE_KINDS; i++) {
        pace->candidate = candidate_of(pace, (CandidateKind)pace->kind);
        if (pace->candidate != pace->chosen)
            break;
        pace->kind = (pace->kind + 1) % CANDIDATE_KINDS;
    }
    pace->of_chosen = pace->of_candidate = (PaceSample){0};
    pace->step = 1;
    pace->pause = 1; /* should it be broken off */
}

static double mean_time(const PaceSample *sample)
{
    return (double)MAX(sample->time, 1) / (double)MAX(sample->n_calls, 1);
}

/* What calls take with the candidate, in percent of what they take with the chosen one. */
static double candidate_percent(const Pace *pace)
{
    return 100 * mean_time(&pace->of_candidate) / mean_time(&pace->of_chosen);
}

static bool end_trial(Pace *pace)
{
    pace->step = 0;
    pace->pause = 1;
    if (candidate_percent(pace) < CLEARLY_LESS) {
        pace->chosen = pace->candidate;
        pace->backoff = 1;
        pace->n_failed = 0;
        return true;
    }
    pace->kind = (pace->kind + 1) % CANDIDATE_KINDS;
    unsigned n_candidates = pace->chosen == 0 ? 1 : CANDIDATE_KINDS; /* from 0 there is one way */
    if (++pace->n_failed >= n_candidates) {
        pace->n_failed = 0;
        pace->backoff = pace->backoff < MAX_BACKOFF ? 2 * pace->backoff : MAX_BACKOFF;
        pace->pause = pace->backoff;
    }
    return false;
}

static bool trial_goes_on(Pace *pace, const PaceSample *sample)
{
    PaceSample *of = pace->step % 2 ? &pace->of_chosen : &pace->of_candidate;
    of->n_calls += sample->n_calls;
    of->time += sample->time;
    bool last = pace->step == TRIAL_STEPS;
    if (pace->step % 2 == 0)
        last = last || candidate_percent(pace) < MUCH_LESS || candidate_percent(pace) > MUCH_MORE;
    pace->step++;
    return !last;
}

/* What was found holds for the load that it was found at. One epoch may be a coincidence. */
static void notice_other_load(Pace *pace, const PaceSample *sample)
{
    double percent = 100 * mean_time(sample) / pace->usual_time;
    if (percent > USUAL_LEAST && percent < USUAL_MOST) {
        pace->usual_time += (mean_time(sample) - pace->usual_time) / SMOOTHING;
        pace->n_unusual = 0;
        return;
    }
    if (++pace->n_unusual < UNUSUAL_EPOCHS)
        return;
    pace->n_unusual = 0;
    pace->usual_time = mean_time(sample);
    pace->pause = 1;
    pace->backoff = 1;
    pace->n_failed = 0;
}

static bool end_epoch(Pace *pace, const PaceSample *sample)
{
    bool changed = false;
    if (pace->step == 0)
        notice_other_load(pace, sample);
    if (!pace->shared)
        pace->step = 0; /* nobody could have waited for anybody */
    else if (pace->step > 0 && !trial_goes_on(pace, sample))
        changed = end_trial(pace);
    else if (pace->step == 0 && --pace->pause == 0)
        begin_trial(pace);
    pace->now = pace->step > 0 && pace->step % 2 == 0 ? pace->candidate : pace->chosen;
    return changed;
}

/* So many batches and calls, or a candidate's fewer and larger batches with as many calls. */
static bool epoch_is_over(const Pace *pace, uint64_t n_calls)
{
    if (pace->n_batches >= SETTLING_BATCHES + EPOCH_BATCHES && n_calls >= EPOCH_CALLS)
        return true;
    return pace->step % 2 == 0 && pace->step > 0 &&
           pace->n_batches >= SETTLING_BATCHES + LEAST_BATCHES && n_calls >= pace->epoch_calls;
}

bool pace_answered(Pace *pace, bool met, uint32_t n_in_flight, nsec_t upstream, PaceSample answered)
{
    if (pace->upstream == 0)
        pace->upstream = upstream;
    pace->upstream -= pace->upstream / SMOOTHING;
    pace->upstream += upstream / SMOOTHING;
    pace->n_batches++;
    pace->in_flight += n_in_flight;
    pace->shared = pace->shared || met || n_in_flight > 1;
    if (pace->n_batches <= SETTLING_BATCHES) {
        pace->begin = answered;
        pace->shared = false;
        pace->in_flight = 0;
        return false;
    }
    PaceSample sample = {answered.n_calls - pace->begin.n_calls, answered.time - pace->begin.time};
    if (!epoch_is_over(pace, sample.n_calls))
        return false;
    if (pace->now == pace->chosen) {
        uint32_t n_batches = pace->n_batches - SETTLING_BATCHES;
        pace->epoch_calls = sample.n_calls;
        pace->in_use = (pace->in_flight + n_batches / 2) / n_batches;
    }
    pace->n_batches = 0;
    return end_epoch(pace, &sample);
}
