/* Fuzzes the configuration: the input is the ini file. Whatever it is, there is either a Config
 * that the daemon can start with, or errors of one line each, and nothing leaks. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "daemon/config.h"

#include "input.h"

enum { PATH_SIZE = 32 };

/* Of one file for good, which has the input's bytes. */
static void write_file(char path[PATH_SIZE], const uint8_t *data, size_t size)
{
    static int fd = -1;
    if (fd < 0)
        fd = memfd_create("config", MFD_CLOEXEC);
    check(fd >= 0 && ftruncate(fd, 0) == 0);
    check(pwrite(fd, data, size, 0) == (ssize_t)size);
    snprintf(path, PATH_SIZE, "/proc/self/fd/%d", fd);
}

/* "FILE:LINE: ..." or, of the file as a whole, "FILE: ..."; something is said behind it. */
static void check_line(const char *line, const char *path)
{
    check(g_str_has_prefix(line, path));
    line += strlen(path);
    if (line[0] == ':' && g_ascii_isdigit(line[1])) {
        char *end;
        check(g_ascii_strtoull(line + 1, &end, 10) > 0);
        line = end;
    }
    check(g_str_has_prefix(line, ": ") && strlen(line) > 2);
    for (; *line; line++)
        check(!g_ascii_iscntrl(*line) || *line == '\t');
}

static void check_lines(char *const *lines, const char *path)
{
    for (; *lines; lines++)
        check_line(*lines, path);
}

static void check_path(const FieldPath *path)
{
    check(path->len >= 1 && path->len <= FIELD_PATH_MAX);
}

static void check_method(const MethodPolicy *policy)
{
    check(policy->name[0] != '\0');
    if (policy->batch != BATCH_MODE_NATIVE)
        return;
    check(policy->batch_method[0] != '\0');
    check_path(&policy->batch_requests);
    check_path(&policy->batch_responses);
}

static void check_addresses(const GArray *names)
{
    check(names->len > 0);
    for (guint i = 0; i < names->len; i++) {
        const AddressName *name = &g_array_index(names, AddressName, i);
        check((name->host == NULL) != (name->path == NULL));
    }
}

/* What the rest of the daemon takes for granted. */
static void check_config(const Config *config)
{
    check_addresses(config->daemon.listen);
    check_addresses(config->upstream.servers);
    check(config->daemon.workers > 0 && config->batch.max_calls > 0);
    check(config->batch.method[0] != '\0');
    check(config->client.max_message_size > 0 && config->batch.window > 0);
    check(config->upstream.transport != TRANSPORT_UNKNOWN);
    check(config->upstream.max_pending_calls >= config->daemon.workers);
    for (guint i = 0; i < config->methods->len; i++)
        check_method(g_ptr_array_index(config->methods, i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[PATH_SIZE];
    write_file(path, data, size);
    g_autoptr(GError) error = NULL;
    Config *config = config_load(path, &error);
    check((config == NULL) == (error != NULL));
    if (config == NULL) {
        g_auto(GStrv) lines = g_strsplit(error->message, "\n", -1);
        check(lines[0] != NULL);
        check_lines(lines, path);
        return 0;
    }
    check_config(config);
    config_unref(config);
    return 0;
}
