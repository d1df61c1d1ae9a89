#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

enum { LINE_MAX_SIZE = 1024, BURST = 10 };

static _Atomic(LogSink) current_sink;
static _Atomic LogLevel threshold = LOG_LEVEL_INFO;
static _Thread_local const char *thread_origin;

void log_set_sink(LogSink sink)
{
    atomic_store(&current_sink, sink);
}

void log_set_level(LogLevel level)
{
    atomic_store(&threshold, level);
}

void log_set_origin(const char *origin)
{
    thread_origin = origin;
}

bool log_enabled(LogLevel level)
{
    return level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

static void write_line(LogLevel level, unsigned held_back, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

static void write_line(LogLevel level, unsigned held_back, const char *format, va_list arguments)
{
    LogSink to = atomic_load(&current_sink);
    if (to == NULL)
        return;
    char line[LINE_MAX_SIZE];
    size_t len = 0;
    if (thread_origin != NULL)
        len = (size_t)snprintf(line, sizeof line / 2, "%s: ", thread_origin);
    int text_len = vsnprintf(line + len, sizeof line - len, format, arguments);
    len += text_len > 0 ? (size_t)text_len : 0;
    if (held_back > 0 && len < sizeof line)
        snprintf(line + len, sizeof line - len, " (%u more like this held back)", held_back);
    to(level, line);
}

void log_write(LogLevel level, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    va_list arguments;
    va_start(arguments, format);
    write_line(level, 0, format, arguments);
    va_end(arguments);
}

void log_limited(LogLimit *limit, nsec_t now, LogLevel level, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    if (nsec_until(limit->since, now) >= NSEC_PER_SEC) {
        limit->since = now;
        limit->burst = limit->held_back > 0 ? BURST - 1 : 0;
    }
    if (limit->burst >= BURST) {
        limit->held_back++;
        return;
    }
    limit->burst++;
    va_list arguments;
    va_start(arguments, format);
    write_line(level, limit->held_back, format, arguments);
    va_end(arguments);
    limit->held_back = 0;
}
