#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

enum { LINE_MAX_SIZE = 1024, BURST = 10 };

static _Atomic(LogSink) current_sink;
static _Atomic LogLevel threshold = LOG_LEVEL_INFO;

void log_set_sink(LogSink sink)
{
    atomic_store(&current_sink, sink);
}

void log_set_level(LogLevel level)
{
    atomic_store(&threshold, level);
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
    int len = vsnprintf(line, sizeof line, format, arguments);
    if (held_back > 0 && len >= 0 && (size_t)len < sizeof line)
        snprintf(line + len, sizeof line - (size_t)len, " (%u more like this held back)",
                 held_back);
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
