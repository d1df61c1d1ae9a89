#include "daemon/watchdog.h"

#include "base/log.h"

struct Watchdog {
    WatchdogParams params;
    LoopTimer timer;
    bool *silent; /* one each: has been asked and has not answered */
    guint n_silent;
    nsec_t asked_at;
};

static void take_answer(void *data, int worker)
{
    Watchdog *watchdog = data;
    watchdog->silent[worker] = false;
    watchdog->n_silent--;
    if (watchdog->n_silent == 0)
        watchdog->params.alive();
}

/* On the thread of the worker. */
static void answer(void *data, int worker)
{
    const Watchdog *watchdog = data;
    mailbox_post(watchdog->params.home, take_answer, data, worker);
}

static void ask_all(Watchdog *watchdog, nsec_t now)
{
    guint n = watchdog->params.watched->len;
    watchdog->asked_at = now;
    watchdog->n_silent = n;
    for (guint i = 0; i < n; i++) {
        watchdog->silent[i] = true;
        mailbox_post(g_ptr_array_index(watchdog->params.watched, i), answer, watchdog, (int)i);
    }
}

static void warn_of_silence(const Watchdog *watchdog, nsec_t now)
{
    for (guint i = 0; i < watchdog->params.watched->len; i++) {
        if (watchdog->silent[i])
            log_warning("worker %u has not turned its loop for %.1f s", i + 1,
                        (double)(now - watchdog->asked_at) / (double)NSEC_PER_SEC);
    }
}

static void on_timer(void *data)
{
    Watchdog *watchdog = data;
    nsec_t now = loop_now(watchdog->params.loop);
    if (watchdog->n_silent == 0)
        ask_all(watchdog, now);
    else
        warn_of_silence(watchdog, now);
    loop_timer_set(&watchdog->timer, now + watchdog->params.period);
}

Watchdog *watchdog_new(const WatchdogParams *params)
{
    Watchdog *watchdog = g_new0(Watchdog, 1);
    watchdog->params = *params;
    watchdog->silent = g_new0(bool, params->watched->len);
    g_ptr_array_ref(params->watched);
    loop_timer_init(&watchdog->timer, params->loop, on_timer, watchdog);
    on_timer(watchdog);
    return watchdog;
}

void watchdog_free(Watchdog *watchdog)
{
    if (watchdog == NULL)
        return;
    loop_timer_clear(&watchdog->timer);
    g_ptr_array_unref(watchdog->params.watched);
    g_free(watchdog->silent);
    g_free(watchdog);
}
