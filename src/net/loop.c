#include "net/loop.h"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

static nsec_t read_clock(void)
{
    struct timespec time;
    check(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
    return (nsec_t)time.tv_sec * NSEC_PER_SEC + (nsec_t)time.tv_nsec;
}

nsec_t loop_now(Loop *loop)
{
    if (loop->now == 0)
        loop->now = read_clock();
    return loop->now;
}

/* Timers */

void loop_timer_init(LoopTimer *timer, Loop *loop, void (*fire)(void *data), void *data)
{
    *timer = (LoopTimer){.loop = loop, .at = NSEC_NEVER, .fire = fire, .data = data};
    list_link_init(&timer->link);
}

void loop_timer_set(LoopTimer *timer, nsec_t at)
{
    if (at == NSEC_NEVER) {
        loop_timer_clear(timer);
        return;
    }
    if (timer->at <= at)
        return;
    list_remove(&timer->link);
    timer->at = at;
    ListLink *position = timer->loop->timers.head.prev;
    while (position != &timer->loop->timers.head && LIST_OWNER(position, LoopTimer, link)->at > at)
        position = position->prev;
    list_insert_after(position, &timer->link);
}

void loop_timer_clear(LoopTimer *timer)
{
    timer->at = NSEC_NEVER;
    list_remove(&timer->link);
}

static void set_timer_fd(Loop *loop, nsec_t at)
{
    loop->timer_at = at;
    struct itimerspec time = {.it_value = {(time_t)(at / NSEC_PER_SEC), (long)(at % NSEC_PER_SEC)}};
    check(timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &time, NULL) == 0);
}

/* Those that are due now; what they set meanwhile is looked at afterwards. */
static void run_timers(Loop *loop)
{
    nsec_t now = loop_now(loop);
    List due;
    list_init(&due);
    ListLink *link;
    while ((link = list_first(&loop->timers)) != NULL &&
           LIST_OWNER(link, LoopTimer, link)->at <= now) {
        list_remove(link);
        list_append(&due, link);
    }
    while ((link = list_first(&due)) != NULL) {
        LoopTimer *timer = LIST_OWNER(link, LoopTimer, link);
        loop_timer_clear(timer);
        timer->fire(timer->data);
    }
}

static nsec_t next_timer(const Loop *loop)
{
    ListLink *first = list_first(&loop->timers);
    return first != NULL ? LIST_OWNER(first, LoopTimer, link)->at : NSEC_NEVER;
}

static void on_timers(evutil_socket_t fd, short what, void *argument)
{
    (void)what;
    Loop *loop = argument;
    uint64_t n_expired;
    if (read(fd, &n_expired, sizeof n_expired) < 0)
        return;
    loop->timer_at = NSEC_NEVER;
    run_timers(loop);
}

/* Setting up */

static bool init_timers(Loop *loop)
{
    list_init(&loop->timers);
    loop->timer_at = NSEC_NEVER;
    loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return loop->timer_fd >= 0 &&
           event_assign(&loop->timer_event, loop->base, loop->timer_fd, EV_READ | EV_PERSIST,
                        on_timers, loop) == 0 &&
           event_add(&loop->timer_event, NULL) == 0;
}

Loop *loop_new(GError **error)
{
    struct event_config *config = event_config_new();
    check(config != NULL);
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(config, EVENT_BASE_FLAG_NO_CACHE_TIME); /* it has no timers */
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    Loop *loop = g_new0(Loop, 1);
    loop->base = base;
    loop->read_buffer = g_malloc(LOOP_READ_SIZE);
    loop->write_buffer = g_malloc(LOOP_WRITE_SIZE);
    list_init(&loop->tasks);
    if (base != NULL && init_timers(loop))
        return loop;
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "cannot set up an event loop");
    loop_free(loop);
    return NULL;
}

void loop_free(Loop *loop)
{
    if (loop == NULL)
        return;
    if (loop->base != NULL) {
        event_base_free(loop->base);
        if (loop->timer_fd >= 0)
            close(loop->timer_fd);
    }
    g_free(loop->read_buffer);
    g_free(loop->write_buffer);
    g_free(loop);
}

/* Turns */

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

void loop_cancel(LoopTask *task)
{
    list_remove(&task->link);
}

/* Those deferred meanwhile run in the next turn. */
static void run_tasks(Loop *loop)
{
    List due;
    list_take_all(&loop->tasks, &due);
    ListLink *link;
    while ((link = list_first(&due)) != NULL) {
        LoopTask *task = LIST_OWNER(link, LoopTask, link);
        list_remove(link);
        task->run(task->data);
    }
}

/* A turn while the timerfd is set too late for the next timer. It is set when nothing happens any
 * more: until then a look at the clock is enough, which costs less. */
static void turn_without_timer(Loop *loop)
{
    check(event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NONBLOCK) >= 0);
    bool waits = loop->now == 0 && list_empty(&loop->tasks) && next_timer(loop) > loop_now(loop);
    if (waits)
        set_timer_fd(loop, next_timer(loop));
    else
        run_timers(loop);
}

void loop_run(Loop *loop)
{
    while (!loop->stopping) {
        /* NONBLOCK alone would go on for as long as anything is ready, without the tasks. */
        int flags = list_empty(&loop->tasks) ? EVLOOP_ONCE : EVLOOP_ONCE | EVLOOP_NONBLOCK;
        loop->now = 0;
        if (next_timer(loop) < loop->timer_at)
            turn_without_timer(loop);
        else
            check(event_base_loop(loop->base, flags) >= 0);
        run_tasks(loop);
    }
}

void loop_stop(Loop *loop)
{
    loop->stopping = true;
}
