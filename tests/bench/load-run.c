/* How bench-load makes calls.
 *
 *     greeting     clients connect and make one call each, so many at a time
 *     warm-up      load as below, not measured
 *     measuring    until the time is over or all calls are begun
 *     draining     no new calls; the last replies, patiently
 *
 * Closed loop: every client has `depth` calls under way, always. Open loop: calls arrive by a
 * Poisson process, whatever has become of earlier ones; the client that has been idle longest makes
 * them. Where none is idle they queue, and their time runs all the same: it counts from when they
 * arrived. Calls that are still in the queue at the end count with the time that they have waited.
 */

#include "load.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 256 };

static bool may_begin(const Load *load)
{
    if (load->phase == LOAD_PHASE_WARM_UP)
        return true;
    return load->phase == LOAD_PHASE_MEASURING &&
           (load->options->calls == 0 || load->begun_measured < (uint64_t)load->options->calls);
}

static void begin_calls(Load *load, Client *client, uint32_t count, nsec_t begin)
{
    load->begun += count;
    if (load->phase == LOAD_PHASE_MEASURING)
        load->begun_measured += count;
    client_send(client, &load->talk, count, begin);
}

static uint64_t under_way(const Load *load)
{
    return load->begun - load->right - load->wrong;
}

/* --- open loop ----------------------------------------------------------------------------------
 */

static void put_idle(Load *load, Client *client)
{
    size_t clients = (size_t)load->options->connections;

    load->idle[(load->idle_first + load->idle_count++) % clients] = client;
}

static Client *take_idle(Load *load)
{
    Client *client = load->idle[load->idle_first];

    load->idle_first = (load->idle_first + 1) % (size_t)load->options->connections;
    load->idle_count--;
    return client;
}

static nsec_t until_next_arrival(Load *load)
{
    load->random ^= load->random << 13;
    load->random ^= load->random >> 7;
    load->random ^= load->random << 17;
    double uniform = (double)((load->random >> 11) + 1) * 0x1p-53; /* above 0, up to 1 */
    return (nsec_t)(-log(uniform) / load->options->rate * (double)NSEC_PER_SEC);
}

static void serve_arrivals(Load *load, nsec_t now)
{
    while (load->next_arrival <= now && load->idle_count > 0 && may_begin(load)) {
        Client *client = take_idle(load);

        if (client->fd < 0)
            continue;
        begin_calls(load, client, 1, load->next_arrival);
        load->next_arrival += until_next_arrival(load);
    }
}

static void count_unsent(Load *load)
{
    if (load->options->rate == 0 || load->options->calls > 0)
        return;
    for (; load->next_arrival < load->end; load->next_arrival += until_next_arrival(load)) {
        load->unsent++;
        latency_record(&load->latency, load->end - load->next_arrival);
    }
}

/* --- replies ------------------------------------------------------------------------------------
 */

static void count_right(Load *load, nsec_t begin, nsec_t now)
{
    load->right++;
    if (load->phase == LOAD_PHASE_MEASURING)
        load->right_measured++;
    if (load->phase >= LOAD_PHASE_MEASURING && begin >= load->begin)
        latency_record(&load->latency, now - begin);
}

/* How many replies came. */
static uint32_t take_replies(Load *load, Client *client)
{
    Bytes bytes = client_read(client, &load->talk);
    nsec_t now = clock_now(), begin;
    uint32_t taken = 0;

    if (bytes.len == 0)
        return 0;
    for (;; taken++) {
        switch (client_next_reply(client, &load->talk, &bytes, &begin)) {
        case CLIENT_REPLY_MORE:
            client_keep(client, bytes);
            return taken;
        case CLIENT_REPLY_RIGHT:
            count_right(load, begin, now);
            break;
        case CLIENT_REPLY_WRONG:
            load->wrong++;
            break;
        }
    }
}

static void on_readable(Load *load, Client *client)
{
    uint32_t taken = take_replies(load, client);

    if (taken == 0)
        return;
    if (load->phase == LOAD_PHASE_GREETING)
        load->greeted++;
    else if (load->options->rate > 0)
        put_idle(load, client);
    else if (may_begin(load) && client->fd >= 0)
        begin_calls(load, client, taken, clock_now());
}

/* One round of the loop, which takes no longer than that. */
static void turn(Load *load, nsec_t longest)
{
    struct epoll_event events[EVENTS];
    struct timespec timeout = {.tv_sec = (time_t)(longest / NSEC_PER_SEC),
                               .tv_nsec = (long)(longest % NSEC_PER_SEC)};
    int count = epoll_pwait2(load->talk.epoll, events, EVENTS, &timeout, NULL);

    for (int i = 0; i < count; i++) {
        Client *client = events[i].data.ptr;

        if (client->fd >= 0 && (events[i].events & EPOLLOUT) != 0)
            client_flush(client, &load->talk);
        if (client->fd >= 0 && (events[i].events & ~(uint32_t)EPOLLOUT) != 0)
            on_readable(load, client);
    }
}

static nsec_t in_seconds(double seconds)
{
    return clock_now() + (nsec_t)(seconds * (double)NSEC_PER_SEC);
}

/* --- phases -------------------------------------------------------------------------------------
 */

static bool all_alive(const Load *load)
{
    return load->talk.problem == NULL;
}

/* A client whose call fails does not count as greeted, so a problem ends the phase. */
static void greet(Load *load)
{
    const LoadOptions *options = load->options;
    uint64_t connected = 0, count = (uint64_t)options->connections;
    nsec_t begin = clock_now(), deadline = in_seconds(options->patience);

    while (all_alive(load) && clock_now() < deadline &&
           (connected < count || (load->greeted < count && !options->no_greeting))) {
        if (connected < count && connected - load->greeted < (uint64_t)options->connecting) {
            Client *client = &load->clients[connected++];

            if (!client_connect(client, &load->talk, options->connect))
                break;
            if (!options->no_greeting)
                begin_calls(load, client, 1, clock_now());
            else
                load->greeted++;
        } else {
            turn(load, NSEC_PER_MSEC);
        }
        if (load->greeted > 0 && load->greeted % 64 == 0)
            deadline = in_seconds(options->patience);
    }
    load->greeting_time = clock_now() - begin;
}

static void hold_until_stdin_ends(const Load *load)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char text[64];

    printf("ready %" G_GUINT64_FORMAT "\n", load->greeted);
    fflush(stdout);
    while (poll(&input, 1, -1) >= 0 && read(STDIN_FILENO, text, sizeof text) > 0)
        ;
}

static void start_load(Load *load)
{
    const LoadOptions *options = load->options;

    load->next_arrival = clock_now();
    for (gint i = 0; i < options->connections; i++) {
        Client *client = &load->clients[i];

        if (options->rate > 0)
            put_idle(load, client);
        else if (may_begin(load))
            begin_calls(load, client, (uint32_t)options->depth, clock_now());
    }
}

static void load_until(Load *load, nsec_t deadline)
{
    const LoadOptions *options = load->options;
    nsec_t now;

    while ((now = clock_now()) < deadline) {
        nsec_t longest = nsec_min(deadline - now, 100 * NSEC_PER_MSEC);

        if (options->calls > 0 && !may_begin(load) && under_way(load) == 0)
            break;
        if (options->rate > 0) {
            serve_arrivals(load, now);
            if (load->idle_count > 0)
                longest = nsec_min(longest, nsec_until(clock_now(), load->next_arrival));
        }
        turn(load, longest);
    }
}

static void measure(Load *load)
{
    const LoadOptions *options = load->options;
    bool warm = options->warm_up > 0;
    uint64_t before;

    if (warm) {
        load->phase = LOAD_PHASE_WARM_UP;
        start_load(load);
        load_until(load, in_seconds(options->warm_up));
    }
    before = account_cpu_ns(options->account);
    load->begin = clock_now();
    load->phase = LOAD_PHASE_MEASURING;
    if (!warm)
        start_load(load);
    load_until(load, in_seconds(options->seconds));
    load->end = clock_now();
    load->cpu_ns = account_cpu_ns(options->account) - before;
    count_unsent(load);
}

static void drain(Load *load)
{
    nsec_t deadline = in_seconds(load->options->patience);

    load->phase = LOAD_PHASE_DRAINING;
    while (under_way(load) > 0 && clock_now() < deadline)
        turn(load, 10 * NSEC_PER_MSEC);
}

static MessageForm form_of(const LoadOptions *options)
{
    return (MessageForm){
        .buffered = g_str_equal(options->transport, "buffered"),
        .compact = g_str_equal(options->protocol, "compact"),
        .get_user = g_str_equal(options->method, "getUser"),
        .payload = (size_t)options->payload,
    };
}

static void load_init(Load *load, const LoadOptions *options)
{
    *load = (Load){
        .options = options,
        .talk = {.depth = (uint32_t)options->depth, .epoll = epoll_create1(EPOLL_CLOEXEC)},
        .clients = g_new(Client, (gsize)options->connections),
        .idle = g_new(Client *, (gsize)options->connections),
        .random = clock_now() | 1,
    };
    message_init(&load->talk.call, form_of(options), false);
    message_init(&load->talk.reply, form_of(options), true);
    for (gint i = 0; i < options->connections; i++)
        client_init(&load->clients[i], (uint32_t)i, load->talk.depth);
}

void load_run(Load *load, const LoadOptions *options)
{
    load_init(load, options);
    greet(load);
    if (options->idle)
        hold_until_stdin_ends(load);
    else if (options->seconds > 0 && all_alive(load) &&
             load->greeted == (uint64_t)options->connections)
        measure(load);
    drain(load);
}

uint64_t load_missing(const Load *load)
{
    return under_way(load);
}

void load_clear(Load *load)
{
    for (gint i = 0; i < load->options->connections; i++)
        client_clear(&load->clients[i]);
    message_clear(&load->talk.call);
    message_clear(&load->talk.reply);
    close(load->talk.epoll);
    g_free(load->talk.problem);
    g_free(load->clients);
    g_free(load->idle);
}
