/* Logging: a threshold and a sink that the daemon installs. Who decides what happened logs it,
 * once; the layers below report by status. Lines carry no newline and no timestamp: journald adds
 * one.
 *
 * A peer that fails again and again must not flood the log: log_limited() lets a burst through and
 * then one line a second and place, saying how many it held back. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/nsec.h"

typedef enum LogLevel {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
} LogLevel;

typedef void (*LogSink)(LogLevel level, const char *line);

/* May be called from any thread; the default sink drops everything. */
void log_set_sink(LogSink sink);
void log_set_level(LogLevel level);

/* What the lines of this thread begin with; borrowed for as long as it is set. NULL: nothing. */
void log_set_origin(const char *origin);

bool log_enabled(LogLevel level);

void log_write(LogLevel level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One a place and thread; all zero to begin with. */
typedef struct LogLimit {
    nsec_t since;
    unsigned burst;
    unsigned held_back;
} LogLimit;

void log_limited(LogLimit *limit, nsec_t now, LogLevel level, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (log_enabled(LOG_LEVEL_DEBUG))                                                          \
            log_write(LOG_LEVEL_DEBUG, __VA_ARGS__);                                               \
    } while (0)
