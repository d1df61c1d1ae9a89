#include "batch/pace.h"

#include <glib.h>

enum {
    EPOCH_BATCHES = 16,   /* at rest */
    LEAST_BATCHES = 4,    /* of a candidate's epoch */
    SETTLING_BATCHES = 6, /* before an epoch at another pace: the one before still shows */
    TURNS = 2,            /* an epoch lasts as long as so many calls one after another */
    USUAL_LEAST = 75,     /* of what a call took before: the load has not changed; in percent */
    USUAL_MOST = 133,
    UNUSUAL_EPOCHS = 3, /* in a row, after which it has */
    MAX_BACKOFF = 512,  /* epochs */
    BACKOFF_FACTOR = 4,
    SECOND_LOOK = 32,    /* epochs before what was clearly worse is tried again */
    CLEARLY_WORSE = 115, /* percent of what calls take at the chosen pace */
    HOPELESS = 200,      /* the same, of a candidate that is given up at once */
    KEPT = 85,           /* percent of what they took before the trial */
    CROWD_CALLERS = 64,  /* at least, here and away */
    CROWD_HERE = 25,     /* percent of their time that passes here, at least */
    CROWD_UPSTREAM = 35, /* and at the upstream, at most */
    CROWD_COUNTS = 115,  /* percent of what its calls take: it has to be better by a fifth at first,
                            and by a fifteenth to stay */
    SMOOTHING = 8,       /* the latest time counts for an eighth */
};

/* A trial's rounds: an epoch at the chosen pace and one at the candidate's. What is clear is
 * decided early; in percent of what calls take at the chosen one. */
typedef struct Round {
    unsigned n_batches;
    double better, worse;
} Round;

static const Round rounds[] = {{8, 60, 130}, {16, 80, 97}, {32, 93, 93}};

/* At the next opportunity. */
static void try_soon(Pace *pace, PaceKind kind)
{
    pace->pauses[kind] = 1;
    pace->backoffs[kind] = 1;
    pace->rejected_at[kind] = 0;
    pace->n_unusual[kind] = 0;
}

static void try_all_soon(Pace *pace)
{
    for (PaceKind kind = 0; kind < PACE_KINDS; kind++)
        try_soon(pace, kind);
}

/* A candidate that brought nothing costs little. One that is clearly worse is felt by each call
 * that meets it: as long as the load stays what it is, those are to be fewer than one in a hundred.
 * But it is looked at once more before, as the machine may have been slow just then: after
 * SECOND_LOOK epochs, or after its pause where that has become longer. */
static void try_later(Pace *pace, PaceKind kind, bool clearly_worse)
{
    unsigned pause = pace->backoffs[kind];
    if (clearly_worse)
        pause = MAX(pause, SECOND_LOOK);
    pace->pauses[kind] = pause;
    pace->backoffs[kind] = clearly_worse ? MAX_BACKOFF : MIN(BACKOFF_FACTOR * pause, MAX_BACKOFF);
}

void pace_init(Pace *pace, uint32_t slots)
{
    *pace = (Pace){
        .now = 1,
        .slowest = slots,
        .chosen = 1,
        .settling = true,
    };
    try_all_soon(pace);
}

/* The chosen pace itself when there is none of that kind, or not another than of one before. */
static uint32_t candidate_of(const Pace *pace, PaceKind kind)
{
    uint32_t candidate = pace->chosen;
    if (pace_is_crowd(pace, pace->chosen))
        return kind == PACE_CROWD ? 1 : pace->chosen;
    switch (kind) {
    case PACE_CROWD:
        return pace->crowded ? pace->slowest + 1 : pace->chosen;
    case PACE_ONE_SLOT:
        return pace->slowest;
    case PACE_APART:
        return 0;
    case PACE_FEWER_SLOTS: /* than are in use */
        candidate = MAX(pace->slowest + 2 - MAX(pace->in_use, 2), pace->chosen + 1);
        break;
    case PACE_MORE_SLOTS:
        candidate -= pace->chosen > 0;
        break;
    case PACE_KINDS:
        break;
    }
    return candidate > 0 && candidate < pace->slowest ? candidate : pace->chosen;
}

static double mean_time(const PaceLoad *load)
{
    return (double)MAX(load->waited, 1) / (double)MAX(load->n_ended, 1);
}

static void choose(Pace *pace, uint32_t which)
{
    bool leaves_crowd = pace_is_crowd(pace, pace->chosen);
    pace->chosen = which;
    pace->step = 0;
    try_all_soon(pace);
    if (leaves_crowd)
        try_later(pace, PACE_CROWD, true);
}

static void reject(Pace *pace, bool clearly)
{
    pace->step = 0;
    pace->rejected_at[pace->kind] = mean_time(&pace->of_chosen);
    try_later(pace, pace->kind, clearly);
}

/* An epoch at the chosen pace. Callers whom the candidate has brought together may stay so for a
 * while: what they gain by that is the candidate's doing. A crowd is brought together anew by each
 * batch that waits. */
static bool step_chosen(Pace *pace, const PaceLoad *load)
{
    if (pace->step == 1)
        pace->before = mean_time(load);
    double kept = pace->before * KEPT / 100;
    if (pace->step > 1 && pace->kind != PACE_CROWD && mean_time(load) < kept &&
        mean_time(&pace->of_candidate) < kept) {
        choose(pace, pace->candidate);
        return true;
    }
    pace->of_chosen.n_ended += load->n_ended;
    pace->of_chosen.waited += load->waited;
    pace->step++;
    return false;
}

/* Begins the trial of a candidate whose pause is over, if there is one. The epoch that has ended is
 * its first at the chosen pace. */
static void begin_trial(Pace *pace, const PaceLoad *load)
{
    bool found = false;
    for (PaceKind kind = 0; kind < PACE_KINDS; kind++) {
        pace->pauses[kind] -= pace->pauses[kind] > 0;
        if (found || pace->pauses[kind] > 0 || candidate_of(pace, kind) == pace->chosen)
            continue;
        pace->kind = kind;
        found = true;
    }
    if (!found)
        return;
    pace->candidate = candidate_of(pace, pace->kind);
    pace->of_chosen = pace->of_candidate = (PaceLoad){0};
    pace->step = 1;
    step_chosen(pace, load);
}

static double cost(const Pace *pace, uint32_t which, const PaceLoad *load)
{
    return pace_is_crowd(pace, which) ? mean_time(load) * CROWD_COUNTS / 100 : mean_time(load);
}

static bool step_candidate(Pace *pace, const PaceLoad *load)
{
    pace->of_candidate.n_ended += load->n_ended;
    pace->of_candidate.waited += load->waited;
    const Round *round = &rounds[(pace->step++ - 1) / 2];
    double percent = 100 * cost(pace, pace->candidate, &pace->of_candidate) /
                     cost(pace, pace->chosen, &pace->of_chosen);
    if (percent < round->better) {
        choose(pace, pace->candidate);
        return true;
    }
    if (percent >= round->worse)
        reject(pace, percent >= CLEARLY_WORSE);
    return false;
}

/* Steps on in a trial, after an epoch with that load. True when it has another outcome than that
 * the chosen pace stays. */
static bool step_trial(Pace *pace, const PaceLoad *load)
{
    return pace->step % 2 ? step_chosen(pace, load) : step_candidate(pace, load);
}

/* What was found holds for the load that it was found at. One epoch may be a coincidence. */
static void notice_other_load(Pace *pace, const PaceLoad *load)
{
    for (PaceKind kind = 0; kind < PACE_KINDS; kind++) {
        double then = pace->rejected_at[kind], percent = 100 * mean_time(load);
        bool usual = percent > USUAL_LEAST * then && percent < USUAL_MOST * then;
        pace->n_unusual[kind] = then == 0 || usual ? 0 : pace->n_unusual[kind] + 1;
        if (pace->n_unusual[kind] == UNUSUAL_EPOCHS)
            try_soon(pace, kind);
    }
}

/* What passes of the callers' time between two answers, in all. */
static double time_of_callers(const PaceLoad *load)
{
    return (double)load->waited + (double)load->away;
}

static bool is_crowded(const Pace *pace, const PaceLoad *load)
{
    double time = time_of_callers(load);
    double at_upstream = (double)load->n_ended * (double)pace->upstream;
    return time >= CROWD_CALLERS * (double)load->at &&
           100 * (double)load->waited >= CROWD_HERE * time &&
           100 * at_upstream <= CROWD_UPSTREAM * time;
}

/* While it is waited for, a crowd is here for less of its time: half of that is still one. */
static bool crowd_has_gone(const Pace *pace, const PaceLoad *load)
{
    double time = time_of_callers(load);
    return pace_is_crowd(pace, pace->chosen) && pace->now == pace->chosen &&
           (2 * time < CROWD_CALLERS * (double)load->at ||
            2 * 100 * (double)load->waited < CROWD_HERE * time);
}

static bool end_epoch(Pace *pace, const PaceLoad *load)
{
    bool changed = false;
    if (pace->now == pace->chosen)
        pace->crowded = is_crowded(pace, load);
    if (pace->step == 0)
        notice_other_load(pace, load);
    if (crowd_has_gone(pace, load)) {
        choose(pace, 1);
        changed = true;
    } else if (!pace->shared) {
        pace->step = 0; /* nobody could have waited for anybody */
    } else if (pace->step > 0) {
        changed = step_trial(pace, load);
    } else {
        begin_trial(pace, load);
    }
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

static PaceLoad since(const PaceLoad *begin, const PaceLoad *load)
{
    return (PaceLoad){
        .n_ended = load->n_ended - begin->n_ended,
        .waited = load->waited - begin->waited,
        .away = load->away - begin->away,
        .at = nsec_until(begin->at, load->at),
    };
}

/* So many batches, or a candidate's fewer and larger ones with as many calls. */
static bool epoch_is_over(const Pace *pace, const PaceLoad *epoch)
{
    bool of_candidate = pace->step > 0 && pace->step % 2 == 0;
    unsigned n_batches = pace->step > 0 ? rounds[(pace->step - 1) / 2].n_batches : EPOCH_BATCHES;
    if (of_candidate && epoch->n_ended >= pace->epoch_calls)
        n_batches = LEAST_BATCHES;
    return pace->n_batches >= n_batches && (double)epoch->at >= TURNS * mean_time(epoch);
}

static void note_upstream_time(Pace *pace, nsec_t upstream)
{
    if (pace->upstream == 0)
        pace->upstream = upstream;
    pace->upstream -= pace->upstream / SMOOTHING;
    pace->upstream += upstream / SMOOTHING;
}

/* Whether it is clear before its epoch has ended that the candidate is worse: where batches take a
 * second, an epoch is long. Not by one batch, which may have met a stall, nor before as many calls
 * have ended as are under way: those that end first have waited the least. */
static bool is_hopeless(const Pace *pace, const PaceLoad *epoch, uint64_t n_pending)
{
    double most = mean_time(&pace->of_chosen) * HOPELESS / 100;
    return pace->now != pace->chosen && pace->n_batches > 1 && epoch->n_ended >= n_pending &&
           (double)epoch->at > most && mean_time(epoch) > most;
}

bool pace_answered(Pace *pace, bool met, uint32_t n_in_flight, nsec_t upstream, PaceLoad load)
{
    note_upstream_time(pace, upstream);
    pace->n_batches++;
    pace->in_flight += n_in_flight;
    pace->shared = pace->shared || met || n_in_flight > 1;
    PaceLoad epoch = since(&pace->begin, &load);
    if (is_hopeless(pace, &epoch, load.n_pending)) {
        reject(pace, true);
        pace->now = pace->chosen;
        begin_epoch(pace, true, load);
        return false;
    }
    if (pace->settling) {
        if (pace->n_batches >= SETTLING_BATCHES && (double)epoch.at >= mean_time(&epoch))
            begin_epoch(pace, false, load);
        return false;
    }
    if (!epoch_is_over(pace, &epoch))
        return false;
    if (pace->now == pace->chosen) {
        pace->epoch_calls = epoch.n_ended;
        pace->in_use = (pace->in_flight + pace->n_batches / 2) / pace->n_batches;
    }
    uint32_t before = pace->now;
    bool changed = end_epoch(pace, &epoch);
    begin_epoch(pace, pace->now != before, load);
    return changed;
}
