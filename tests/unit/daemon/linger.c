/* How long clients are waited for at the end of a drain. */
#include "daemon/linger.h"

#include <criterion/criterion.h>

#include "net/client.h"

typedef struct Scene {
    Counters counters;
    ClientSet clients;
    Linger linger;
    LoopTimer call; /* fires when a client calls */
    nsec_t calls_every;
    bool over;
} Scene;

static void on_over(void *data)
{
    Scene *scene = data;
    cr_assert(!scene->over, "it is over once");
    scene->over = true;
    loop_stop(scene->clients.loop);
}

static void on_call(void *data)
{
    Scene *scene = data;
    scene->clients.refused_at = loop_now(scene->clients.loop);
    loop_timer_set(&scene->call, scene->clients.refused_at + scene->calls_every);
}

static Scene *new_scene(uint32_t n_clients)
{
    Scene *scene = g_new0(Scene, 1);
    scene->counters.clients = n_clients;
    scene->clients.counters = &scene->counters;
    scene->clients.loop = loop_new(NULL);
    list_init(&scene->clients.clients);
    loop_timer_init(&scene->call, scene->clients.loop, on_call, scene);
    linger_init(&scene->linger, scene->clients.loop, &scene->clients, on_over, scene);
    return scene;
}

static void free_scene(Scene *scene)
{
    linger_clear(&scene->linger);
    loop_free(scene->clients.loop);
    g_free(scene);
}

/* How long it takes until it is over. */
static nsec_t duration_of(Scene *scene)
{
    nsec_t begin = loop_now(scene->clients.loop);
    linger_begin(&scene->linger);
    loop_run(scene->clients.loop);
    cr_assert(scene->over);
    return loop_now(scene->clients.loop) - begin;
}

Test(linger, over_at_once_without_clients)
{
    Scene *scene = new_scene(0);
    linger_begin(&scene->linger);
    cr_assert(scene->over);
    free_scene(scene);
}

Test(linger, over_when_nobody_has_called_for_a_moment, .timeout = 30)
{
    Scene *scene = new_scene(1);
    cr_assert_geq(duration_of(scene), 100 * NSEC_PER_MSEC);
    free_scene(scene);
}

Test(linger, a_call_begins_the_moment_anew, .timeout = 30)
{
    Scene *scene = new_scene(1);
    scene->calls_every = NSEC_NEVER / 2; /* once */
    loop_timer_set(&scene->call, loop_now(scene->clients.loop) + 50 * NSEC_PER_MSEC);
    cr_assert_geq(duration_of(scene), 150 * NSEC_PER_MSEC);
    free_scene(scene);
}

Test(linger, not_longer_than_a_second_for_who_goes_on_calling, .timeout = 30)
{
    Scene *scene = new_scene(1);
    scene->calls_every = 10 * NSEC_PER_MSEC;
    on_call(scene);
    cr_assert_geq(duration_of(scene), NSEC_PER_SEC);
    free_scene(scene);
}

static void become_settled(void *data)
{
    Client *client = data;
    client->caller.n_calls = 0;
}

Test(linger, the_last_call_is_answered_first, .timeout = 30)
{
    Scene *scene = new_scene(1);
    Client client = {.caller.n_calls = 1};
    list_append(&scene->clients.clients, &client.set_link);
    LoopTimer answered;
    loop_timer_init(&answered, scene->clients.loop, become_settled, &client);
    loop_timer_set(&answered, loop_now(scene->clients.loop) + 300 * NSEC_PER_MSEC);
    cr_assert_geq(duration_of(scene), 300 * NSEC_PER_MSEC);
    free_scene(scene);
}

/* A call that came in the same turn, but is read behind the timer. */
static void call_late(void *data)
{
    Scene *scene = data;
    scene->clients.refused_at = loop_now(scene->clients.loop);
}

Test(linger, calls_of_the_same_turn_count, .timeout = 30)
{
    Scene *scene = new_scene(1);
    nsec_t begin = loop_now(scene->clients.loop);
    linger_begin(&scene->linger);
    LoopTimer late; /* behind the one that would end it, in the same turn */
    loop_timer_init(&late, scene->clients.loop, call_late, scene);
    loop_timer_set(&late, begin + 100 * NSEC_PER_MSEC);
    loop_run(scene->clients.loop);
    cr_assert_geq(loop_now(scene->clients.loop) - begin, 200 * NSEC_PER_MSEC);
    free_scene(scene);
}
