#include "daemon/recent-log.h"

#include <pthread.h>

#include "admin/stats.h"

enum { LINE_SIZE = 512 }; /* a longer one is cut */

typedef struct Line {
    int64_t time;
    LogLevel level;
    char text[LINE_SIZE];
} Line;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static Line lines[RECENT_LOG_LINES]; /* a ring */
static size_t n_added;

void recent_log_add(LogLevel level, const char *line)
{
    if (level == LOG_LEVEL_DEBUG)
        return;
    pthread_mutex_lock(&mutex);
    Line *kept = &lines[n_added++ % RECENT_LOG_LINES];
    kept->time = g_get_real_time();
    kept->level = level;
    g_strlcpy(kept->text, line, sizeof kept->text);
    pthread_mutex_unlock(&mutex);
}

GArray *recent_log_copy(void)
{
    GArray *events = event_array_new();
    pthread_mutex_lock(&mutex);
    size_t first = n_added > RECENT_LOG_LINES ? n_added - RECENT_LOG_LINES : 0;
    for (size_t i = first; i < n_added; i++) {
        const Line *line = &lines[i % RECENT_LOG_LINES];
        EventStats event = {line->time, line->level, g_utf8_make_valid(line->text, -1)};
        g_array_append_val(events, event);
    }
    pthread_mutex_unlock(&mutex);
    return events;
}
