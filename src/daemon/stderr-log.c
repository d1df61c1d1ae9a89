#include "daemon/stderr-log.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/recent-log.h"

static bool to_journal;

static const char *line_prefix(LogLevel level)
{
    switch (level) {
    case LOG_LEVEL_ERROR:
        return to_journal ? SD_ERR : "error: ";
    case LOG_LEVEL_WARNING:
        return to_journal ? SD_WARNING : "warning: ";
    case LOG_LEVEL_INFO:
        return to_journal ? SD_INFO : "";
    case LOG_LEVEL_DEBUG:
        return to_journal ? SD_DEBUG : "debug: ";
    }
    return "";
}

/* One writev, so that lines of several threads do not mix. */
static void write_line(LogLevel level, const char *line)
{
    const char *parts[] = {line_prefix(level), line, "\n"};
    struct iovec iovecs[3];
    for (int i = 0; i < 3; i++)
        iovecs[i] = (struct iovec){(void *)(uintptr_t)parts[i], strlen(parts[i])};
    ssize_t len = writev(STDERR_FILENO, iovecs, 3);
    (void)len; /* there is nobody left to tell */
    recent_log_add(level, line);
}

/* $JOURNAL_STREAM names the device and inode of the stream to the journal (systemd.exec(5)). */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat status;
    return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

void stderr_log_install(void)
{
    to_journal = stderr_is_journal();
    log_set_sink(write_line);
}
