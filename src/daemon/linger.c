#include "daemon/linger.h"

#define QUIET (100 * NSEC_PER_MSEC)
#define MOST  NSEC_PER_SEC

/* When it is over, unless somebody calls before. */
static nsec_t end_of(const Linger *linger)
{
    nsec_t quiet_since = MAX(linger->since, linger->clients->refused_at);
    return MIN(quiet_since + QUIET, linger->since + MOST);
}

static void look(void *data)
{
    Linger *linger = data;
    const ClientSet *clients = linger->clients;
    nsec_t now = loop_now(clients->loop), end = end_of(linger);
    bool last_call_answered = client_set_settled(clients) || now >= linger->since + MOST;
    if (clients->counters->clients == 0 || (now >= end && last_call_answered))
        linger->over(linger->data);
    else
        loop_timer_set(&linger->timer, MAX(end, now + QUIET / 10));
}

/* Calls of this turn may not have been read yet, where the machine was too busy to come here
 * before.
 */
static void look_behind_turn(void *data)
{
    Linger *linger = data;
    loop_defer(linger->clients->loop, &linger->look);
}

void linger_init(Linger *linger, Loop *loop, ClientSet *clients, void (*over)(void *data),
                 void *data)
{
    *linger = (Linger){.clients = clients, .over = over, .data = data};
    loop_timer_init(&linger->timer, loop, look_behind_turn, linger);
    loop_task_init(&linger->look, look, linger);
}

void linger_begin(Linger *linger)
{
    linger->since = loop_now(linger->clients->loop);
    look(linger);
}

void linger_clear(Linger *linger)
{
    loop_timer_clear(&linger->timer);
    loop_cancel(&linger->look);
}
