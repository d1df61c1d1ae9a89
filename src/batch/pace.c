#include "batch/pace.h"

#include <glib.h>

enum {
    EPOCH_BATCHES = 24,   /* at rest */
    LEAST_BATCHES = 4,    /* of a candidate's epoch */
    SETTLING_BATCHES = 6, /* before an epoch at another pace: the one before still shows */
    TURNS = 2,            /* at least, of each caller in an epoch */
    USUAL_LEAST = 75,     /* what the load has not changed by, in percent */
    USUAL_MOST = 133,
    UNUSUAL_EPOCHS = 3,
    MAX_BACKOFF = 256, /* epochs */
    BACKOFF_FACTOR = 4,
    SMOOTHING = 8, /* the latest time counts for an eighth */
};

/* A trial's rounds: an epoch at the chosen pace and one at the candidate's. What is clear is
 * decided early; in percent of what calls take at the chosen one. */
typedef struct Round {
    unsigned n_batches;
    double better, worse;
} Round;

static const Round rounds[] = {{8, 60, 130}, {16, 80, 97}, {32, 93, 93}};

typedef enum CandidateKind {
    CANDIDATE_ONE_SLOT,
    CANDIDATE_APART, /* pace 0 */
    CANDIDATE_FEWER_SLOTS,
    CANDIDATE_MORE_SLOTS,
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
        .settling = true,
    };
}

/* The chosen pace itself when there is none of that kind, or not another than of one before. */
static uint32_t candidate_of(const Pace *pace, CandidateKind kind)
{
    uint32_t candidate = pace->chosen;
    switch (kind) {
    case CANDIDATE_ONE_SLOT:
        return pace->slowest;
    case CANDIDATE_APART:
        return 0;
    case CANDIDATE_FEWER_SLOTS: /* than are in use */
        candidate = MAX(pace->slowest + 2 - MAX(pace->in_use, 2), pace->chosen + 1);
        break;
    case CANDIDATE_MORE_SLOTS:
        candidate -= pace->chosen > 0;
        break;
    case CANDIDATE_KINDS:
        break;
    }
    return candidate > 0 && candidate < pace->slowest ? candidate : pace->chosen;
}

/* False when all have been tried. */
static bool next_candidate(Pace *pace)
{
    for (; pace->kind < CANDIDATE_KINDS; pace->kind++) {
        pace->candidate = candidate_of(pace, (CandidateKind)pace->kind);
        if (pace->candidate != pace->chosen)
            return true;
    }
    pace->kind = 0;
    return false;
}

static void back_off(Pace *pace)
{
    pace->pause = pace->backoff;
    pace->backoff = MIN(BACKOFF_FACTOR * pace->backoff, MAX_BACKOFF);
}

static void begin_trial(Pace *pace)
{
    pace->pause = 1; /* should it be broken off */
    if (!next_candidate(pace)) {
        back_off(pace);
        return;
    }
    pace->of_chosen = pace->of_candidate = (PaceLoad){0};
    pace->step = 1;
}

static double mean_time(const PaceLoad *load)
{
    return (double)MAX(load->waited, 1) / (double)MAX(load->n_ended, 1);
}

static void choose(Pace *pace, uint32_t chosen)
{
    pace->chosen = chosen;
    pace->kind = 0;
    pace->backoff = 1;
}

/* Steps on in a trial, after an epoch with that load. True when it has another outcome than that
 * the chosen pace stays. */
static bool step_trial(Pace *pace, const PaceLoad *load)
{
    PaceLoad *of = pace->step % 2 ? &pace->of_chosen : &pace->of_candidate;
    of->n_ended += load->n_ended;
    of->waited += load->waited;
    if (pace->step++ % 2)
        return false;
    const Round *round = &rounds[(pace->step - 2) / 2];
    double percent = 100 * mean_time(&pace->of_candidate) / mean_time(&pace->of_chosen);
    if (percent < round->better) {
        pace->step = 0;
        choose(pace, pace->candidate);
        return true;
    }
    if (percent >= round->worse) {
        pace->step = 0;
        pace->kind++;
    }
    return false;
}

/* What was found holds for the load that it was found at. One epoch may be a coincidence. */
static void notice_other_load(Pace *pace, const PaceLoad *load)
{
    if (pace->usual_time == 0)
        pace->usual_time = mean_time(load);
    double percent = 100 * mean_time(load) / pace->usual_time;
    if (percent > USUAL_LEAST && percent < USUAL_MOST) {
        pace->usual_time += (mean_time(load) - pace->usual_time) / SMOOTHING;
        pace->n_unusual = 0;
        return;
    }
    if (++pace->n_unusual < UNUSUAL_EPOCHS)
        return;
    pace->n_unusual = 0;
    pace->usual_time = mean_time(load);
    pace->pause = 1;
    pace->backoff = 1;
}

static bool end_epoch(Pace *pace, const PaceLoad *load)
{
    bool changed = false;
    if (pace->step == 0)
        notice_other_load(pace, load);
    if (!pace->shared)
        pace->step = 0; /* nobody could have waited for anybody */
    else if (pace->step > 0)
        changed = step_trial(pace, load);
    else if (--pace->pause == 0)
        begin_trial(pace);
    pace->now = pace->step > 0 && pace->step % 2 == 0 ? pace->candidate : pace->chosen;
    return changed;
}

static void begin_epoch(Pace *pace, bool settling, PaceLoad load)
{
    pace->settling = settling;
    pace->begin = load;
    pace->n_batches = 0;
    pace->in_flight = 0;
    pace->shared = false;
}

/* So many batches, or a candidate's fewer and larger ones with as many calls. */
static bool epoch_is_over(const Pace *pace, uint64_t n_ended, uint64_t n_pending)
{
    if (n_ended < TURNS * MIN(pace->begin.n_pending, n_pending))
        return false;
    unsigned n_batches = pace->step > 0 ? rounds[(pace->step - 1) / 2].n_batches : EPOCH_BATCHES;
    if (pace->n_batches >= n_batches)
        return true;
    return pace->step > 0 && pace->step % 2 == 0 && pace->n_batches >= LEAST_BATCHES &&
           n_ended >= pace->epoch_calls;
}

static void note_upstream_time(Pace *pace, nsec_t upstream)
{
    if (pace->upstream == 0)
        pace->upstream = upstream;
    pace->upstream -= pace->upstream / SMOOTHING;
    pace->upstream += upstream / SMOOTHING;
}

bool pace_answered(Pace *pace, bool met, uint32_t n_in_flight, nsec_t upstream, PaceLoad load)
{
    note_upstream_time(pace, upstream);
    pace->n_batches++;
    pace->in_flight += n_in_flight;
    pace->shared = pace->shared || met || n_in_flight > 1;
    uint64_t n_ended = load.n_ended - pace->begin.n_ended;
    if (pace->settling) {
        if (pace->n_batches >= SETTLING_BATCHES &&
            n_ended >= MIN(pace->begin.n_pending, load.n_pending))
            begin_epoch(pace, false, load);
        return false;
    }
    if (!epoch_is_over(pace, n_ended, load.n_pending))
        return false;
    if (pace->now == pace->chosen) {
        pace->epoch_calls = n_ended;
        pace->in_use = (pace->in_flight + pace->n_batches / 2) / pace->n_batches;
    }
    PaceLoad epoch = {.n_ended = n_ended, .waited = load.waited - pace->begin.waited};
    uint32_t before = pace->now;
    bool changed = end_epoch(pace, &epoch);
    begin_epoch(pace, pace->now != before, load);
    return changed;
}
