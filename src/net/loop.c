#include "net/loop.h"

#include <time.h>

#include "base/check.h"

static nsec_t read_clock(void)
{
    struct timespec time;
    check(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
    return (nsec_t)time.tv_sec * NSEC_PER_SEC + (nsec_t)time.tv_nsec;
}

Loop *loop_new(GError **error)
{
    struct event_config *config = event_config_new();
    check(config != NULL);
    /* Without PRECISE_TIMER epoll rounds to milliseconds, and a window of 500 us takes 4. */
    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    if (base == NULL) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "cannot set up an event loop");
        return NULL;
    }
    Loop *loop = g_new0(Loop, 1);
    loop->base = base;
    loop->read_buffer = g_malloc(LOOP_READ_SIZE);
    list_init(&loop->tasks);
    return loop;
}

void loop_free(Loop *loop)
{
    if (loop == NULL)
        return;
    event_base_free(loop->base);
    g_free(loop->read_buffer);
    g_free(loop);
}

/* Those deferred meanwhile run in the next turn. */
static void run_tasks(Loop *loop)
{
    List due;
    list_init(&due);
    while (!list_empty(&loop->tasks)) {
        ListLink *link = list_first(&loop->tasks);
        list_remove(link);
        list_append(&due, link);
    }
    ListLink *link;
    while ((link = list_first(&due)) != NULL) {
        LoopTask *task = LIST_OWNER(link, LoopTask, link);
        list_remove(link);
        task->run(task->data);
    }
}

void loop_run(Loop *loop)
{
    while (!loop->stopping) {
        /* NONBLOCK alone would go on for as long as anything is ready, without the tasks. */
        int flags = list_empty(&loop->tasks) ? EVLOOP_ONCE : EVLOOP_ONCE | EVLOOP_NONBLOCK;
        loop->now = 0;
        check(event_base_loop(loop->base, flags) >= 0);
        run_tasks(loop);
    }
}

void loop_stop(Loop *loop)
{
    loop->stopping = true;
}

nsec_t loop_now(Loop *loop)
{
    if (loop->now == 0)
        loop->now = read_clock();
    return loop->now;
}

void loop_task_init(LoopTask *task, void (*run)(void *data), void *data)
{
    *task = (LoopTask){.run = run, .data = data};
    list_link_init(&task->link);
}

void loop_defer(Loop *loop, LoopTask *task)
{
    if (!list_linked(&task->link))
        list_append(&loop->tasks, &task->link);
}

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    LoopTimer *timer = argument;
    timer->at = NSEC_NEVER;
    timer->fire(timer->data);
}

void loop_timer_init(LoopTimer *timer, Loop *loop, void (*fire)(void *data), void *data)
{
    *timer = (LoopTimer){.loop = loop, .at = NSEC_NEVER, .fire = fire, .data = data};
    check(evtimer_assign(&timer->event, loop->base, on_timer, timer) == 0);
}

void loop_timer_set(LoopTimer *timer, nsec_t at)
{
    if (at == NSEC_NEVER) {
        loop_timer_clear(timer);
        return;
    }
    if (timer->at <= at)
        return;
    timer->at = at;
    /* libevent counts from its cached time: one that is old would fire the timer early. */
    event_base_update_cache_time(timer->loop->base);
    uint64_t usec = (nsec_until(read_clock(), at) + NSEC_PER_USEC - 1) / NSEC_PER_USEC;
    struct timeval delay = {(time_t)(usec / 1000000), (suseconds_t)(usec % 1000000)};
    check(event_add(&timer->event, &delay) == 0);
}

void loop_timer_clear(LoopTimer *timer)
{
    if (timer->at == NSEC_NEVER)
        return;
    timer->at = NSEC_NEVER;
    event_del(&timer->event);
}
