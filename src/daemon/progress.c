#include "daemon/progress.h"

#include "base/log.h"
#include "daemon/notify.h"
#include "daemon/status-line.h"

#define PERIOD          (5 * NSEC_PER_SEC)
#define DRAINING_PERIOD NSEC_PER_SEC

struct Progress {
    ProgressParams params;
    StatsRequest request;
    bool collecting;
    LoopTimer timer;
    Stats *earlier;
    nsec_t until; /* when a drain is cut short; NSEC_NEVER: not draining */
};

static void tell_of_drain(const Progress *progress, const Stats *stats)
{
    nsec_t left = nsec_until(loop_now(progress->params.loop), progress->until);
    g_autofree char *text = status_line_draining(stats, left);
    if (stats->counters.pending_calls > 0)
        log_info("draining: %s", text);
    g_autofree char *status = g_strconcat("Draining: ", text, NULL);
    notify_status(status);
}

static void take_stats(StatsRequest *request, Stats *stats)
{
    Progress *progress = LIST_OWNER(request, Progress, request);
    progress->collecting = false;
    if (progress->until != NSEC_NEVER) {
        tell_of_drain(progress, stats);
    } else {
        g_autofree char *line = status_line(stats, progress->earlier);
        notify_status(line);
    }
    stats_free(progress->earlier);
    progress->earlier = stats;
}

static void on_timer(void *data)
{
    Progress *progress = data;
    bool draining = progress->until != NSEC_NEVER;
    nsec_t now = loop_now(progress->params.loop);
    loop_timer_set(&progress->timer, now + (draining ? DRAINING_PERIOD : PERIOD));
    if (progress->collecting)
        return;
    progress->collecting = true;
    progress->params.collect(progress->params.data, &progress->request);
}

Progress *progress_new(const ProgressParams *params)
{
    Progress *progress = g_new0(Progress, 1);
    progress->params = *params;
    progress->request = (StatsRequest){.mailbox = params->mailbox, .done = take_stats};
    progress->until = NSEC_NEVER;
    loop_timer_init(&progress->timer, params->loop, on_timer, progress);
    if (notify_enabled())
        on_timer(progress);
    return progress;
}

void progress_free(Progress *progress)
{
    if (progress == NULL)
        return;
    loop_timer_clear(&progress->timer);
    stats_free(progress->earlier);
    g_free(progress);
}

void progress_drain(Progress *progress, nsec_t until)
{
    progress->until = until;
    loop_timer_clear(&progress->timer);
    on_timer(progress);
}
