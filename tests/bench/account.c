/* The kernel's accounting of a process: schedstat has nanoseconds; where the kernel was built
 * without, clock ticks do. */

#include "load.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool read_text(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t len;

    if (file == NULL)
        return false;
    len = fread(text, 1, size - 1, file);
    text[len] = '\0';
    fclose(file);
    return len > 0;
}

static uint64_t from_schedstat(int pid)
{
    char path[320], text[256];
    uint64_t sum = 0;
    struct dirent *entry;
    DIR *tasks;

    snprintf(path, sizeof path, "/proc/%d/task", pid);
    tasks = opendir(path);
    while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
        uint64_t ns;

        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, entry->d_name);
        if (entry->d_name[0] != '.' && read_text(path, text, sizeof text) &&
            sscanf(text, "%" SCNu64, &ns) == 1)
            sum += ns;
    }
    if (tasks != NULL)
        closedir(tasks);
    return sum;
}

static uint64_t from_stat(int pid)
{
    char path[64], text[1024];
    const char *fields;
    uint64_t user, system;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (!read_text(path, text, sizeof text) || (fields = strrchr(text, ')')) == NULL)
        return 0;
    if (sscanf(fields, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64, &user,
               &system) != 2)
        return 0;
    return (user + system) * (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
}

uint64_t account_cpu_ns(int pid)
{
    uint64_t ns = from_schedstat(pid);

    return ns > 0 ? ns : from_stat(pid);
}
