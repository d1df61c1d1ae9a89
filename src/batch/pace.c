#include "batch/pace.h"

enum {
    EPOCH_BATCHES = 24,
    EPOCH_CALLS = 96,     /* both at least */
    LEAST_BATCHES = 4,    /* of a candidate's epoch */
    SETTLING_BATCHES = 6, /* at an epoch's begin: the pace before still shows */
    TRIAL_STEPS = 4,
    CLEARLY_LESS = 95, /* percent */
    CLEARLY_MORE = 115,
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
    return sample->n_calls > 0 ? (double)sample->time / (double)sample->n_calls : 0;
}

static bool candidate_is_clearly_better(const Pace *pace)
{
    return mean_time(&pace->of_candidate) * 100 < mean_time(&pace->of_chosen) * CLEARLY_LESS;
}

static bool candidate_is_better(const Pace *pace)
{
    if (pace->kind == CANDIDATE_FEWER_SLOTS && pace->chosen > 0) /* as good is better */
        return mean_time(&pace->of_candidate) <= mean_time(&pace->of_chosen);
    return candidate_is_clearly_better(pace);
}

static bool candidate_is_bad(const Pace *pace)
{
    return mean_time(&pace->of_candidate) * 100 > mean_time(&pace->of_chosen) * CLEARLY_MORE;
}

static bool end_trial(Pace *pace)
{
    pace->step = 0;
    pace->pause = 1;
    if (candidate_is_better(pace)) {
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
    bool last = pace->step == TRIAL_STEPS || (pace->step % 2 == 0 && candidate_is_bad(pace));
    pace->step++;
    return !last;
}

static bool end_epoch(Pace *pace, const PaceSample *sample)
{
    bool changed = false;
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
