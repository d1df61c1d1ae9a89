/* The watchdog: alive is said while all loops turn, and not once while one does not. */
#include "daemon/watchdog.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/log.h"

#define PERIOD (2 * NSEC_PER_MSEC)

typedef struct Turner {
    Loop *loop;
    Mailbox mailbox;
    LoopTimer stop;
} Turner;

static int n_alive;

static void count_alive(void)
{
    n_alive++;
}

static void stop_loop(void *data)
{
    Turner *turner = data;
    loop_stop(turner->loop);
}

static void set_up(Turner *turner)
{
    GError *error = NULL;
    turner->loop = loop_new(&error);
    cr_assert_not_null(turner->loop);
    cr_assert(mailbox_init(&turner->mailbox, turner->loop, &error));
    loop_timer_init(&turner->stop, turner->loop, stop_loop, turner);
}

static void tear_down(Turner *turner)
{
    loop_timer_clear(&turner->stop);
    mailbox_clear(&turner->mailbox);
    loop_free(turner->loop);
}

static void turn_for(Turner *turner, nsec_t duration)
{
    turner->loop->stopping = false;
    turner->loop->now = 0;
    loop_timer_set(&turner->stop, loop_now(turner->loop) + duration);
    loop_run(turner->loop);
}

static Watchdog *watch(Turner *home, Turner *other)
{
    n_alive = 0;
    g_autoptr(GPtrArray) watched = g_ptr_array_new();
    g_ptr_array_add(watched, &home->mailbox);
    g_ptr_array_add(watched, &other->mailbox);
    return watchdog_new(&(WatchdogParams){
        .loop = home->loop,
        .home = &home->mailbox,
        .watched = watched,
        .period = PERIOD,
        .alive = count_alive,
    });
}

Test(watchdog, says_so_again_and_again_while_all_turn)
{
    Turner home;
    set_up(&home);
    Watchdog *watchdog = watch(&home, &home);
    for (int i = 0; i < 1000 && n_alive < 3; i++)
        turn_for(&home, 5 * PERIOD);
    cr_assert_geq(n_alive, 3);
    watchdog_free(watchdog);
    tear_down(&home);
}

Test(watchdog, is_silent_while_one_does_not_turn)
{
    Turner home, other;
    set_up(&home);
    set_up(&other);
    Watchdog *watchdog = watch(&home, &other);
    turn_for(&home, 10 * PERIOD);
    cr_assert_eq(n_alive, 0);
    turn_for(&other, PERIOD);
    cr_assert_eq(n_alive, 0, "the answer is taken on the home loop only");
    turn_for(&home, 10 * PERIOD);
    cr_assert_eq(n_alive, 1, "it has answered the one letter that it got, and hangs again");
    watchdog_free(watchdog);
    tear_down(&other);
    tear_down(&home);
}

static int n_warnings;

static void count_warning(LogLevel level, const char *line)
{
    n_warnings += level == LOG_LEVEL_WARNING && strstr(line, "worker 2 has not") == line;
}

Test(watchdog, names_who_does_not_turn)
{
    Turner home, other;
    set_up(&home);
    set_up(&other);
    log_set_sink(count_warning);
    Watchdog *watchdog = watch(&home, &other);
    turn_for(&home, 10 * PERIOD);
    cr_assert_gt(n_warnings, 0);
    watchdog_free(watchdog);
    tear_down(&other);
    tear_down(&home);
}
