#include "batch/returning.h"

/* Of less it is not worth a timer. */
#define LEAST_PATIENCE (30 * NSEC_PER_USEC)

/* With a crowd. */
#define MOST_PATIENCE (2 * NSEC_PER_MSEC)

enum { SMOOTHING = 8 }; /* the latest time counts for an eighth */

static void wait_for_crowd(Returning *returning, nsec_t window)
{
    returning->patience = nsec_min(window, MOST_PATIENCE);
    returning->absence = RETURNING_MOST_ABSENCE;
}

static void wait_for_soon_back(Returning *returning, nsec_t window)
{
    nsec_t patience = nsec_min(returning->upstream, window);
    returning->patience = patience >= LEAST_PATIENCE ? patience : 0;
    returning->absence = 0;
    if (returning->patience > 0)
        returning->absence = nsec_max(patience, returning->upstream - returning->upstream / 4);
}

void returning_begin(Returning *returning, nsec_t upstream, nsec_t window, Gathering gathering,
                     nsec_t now)
{
    if (returning->upstream == 0)
        returning->upstream = upstream;
    returning->upstream -= returning->upstream / SMOOTHING;
    returning->upstream += upstream / SMOOTHING;
    if (gathering == GATHERING_CROWD)
        wait_for_crowd(returning, window);
    else
        wait_for_soon_back(returning, window);
    returning->until = now + returning->absence;
    returning->n = 0;
    returning->round++;
}
