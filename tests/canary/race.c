/* Races on purpose: two threads write what no lock guards. `./run tsan` checks that this is
 * reported before it believes that the other tests are clean. The memory is GLib's, like most of
 * the daemon's: the sanitizer is told not to look inside GLib itself. */
#include <glib.h>
#include <pthread.h>
#include <stdio.h>

static void *write_often(void *counter)
{
    for (int i = 0; i < 10000; i++)
        ++*(volatile int *)counter;
    return NULL;
}

int main(void)
{
    int *counter = g_new0(int, 1);
    pthread_t thread;
    if (pthread_create(&thread, NULL, write_often, counter) != 0)
        return 2;
    write_often(counter);
    pthread_join(thread, NULL);
    printf("%d\n", *counter);
    g_free(counter);
    return 0;
}
