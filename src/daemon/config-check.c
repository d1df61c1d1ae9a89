#include "daemon/config-check.h"

#include "daemon/config-value.h"

/* Of a key that the file has. */
static unsigned line_of(const IniFile *file, const char *section, const char *key)
{
    const IniKey *found = ini_section_find(ini_file_find(file, section), key);
    return found ? found->line : 0;
}

/* The default window is shorter than every call_timeout: where this fails, the file has a window.
 */
static void check_window(const Config *config, const IniFile *file, ConfigReport *errors)
{
    nsec_t window = config->batch.window, timeout = config->upstream.call_timeout;
    if (timeout == 0 || window <= timeout)
        return;

    g_autofree char *window_text = value_format_duration(window);
    g_autofree char *timeout_text = value_format_duration(timeout);
    config_report_add(errors, line_of(file, "batch", "window"), "batch", "window",
                      "'%s' is longer than [upstream] call_timeout, %s; make it shorter, or calls "
                      "time out before they are sent",
                      window_text, timeout_text);
}

static bool listens_on(const Config *config, const AddressName *name)
{
    const GArray *listen = config->daemon.listen;

    for (guint i = 0; listen && i < listen->len; i++)
        if (address_name_equal(&g_array_index(listen, AddressName, i), name))
            return true;
    return false;
}

static void check_admin(const Config *config, const IniFile *file, ConfigReport *errors)
{
    const AddressName *http = config->admin.http, *fb303 = config->admin.fb303;

    if (http && listens_on(config, http))
        config_report_add(errors, line_of(file, "admin", "http"), "admin", "http",
                          "'%s' is in [daemon] listen too; give it an address of its own",
                          http->text);
    if (fb303 && listens_on(config, fb303))
        config_report_add(errors, line_of(file, "admin", "fb303"), "admin", "fb303",
                          "'%s' is in [daemon] listen too; give it an address of its own",
                          fb303->text);
    if (http && fb303 && address_name_equal(http, fb303))
        config_report_add(errors, line_of(file, "admin", "fb303"), "admin", "fb303",
                          "'%s' is http's address too; give it one of its own", fb303->text);
}

static void check_servers(const Config *config, const IniFile *file, ConfigReport *errors)
{
    const GArray *servers = config->upstream.servers;

    for (guint i = 0; servers && i < servers->len; i++) {
        const AddressName *server = &g_array_index(servers, AddressName, i);
        if (listens_on(config, server))
            config_report_add(errors, line_of(file, "upstream", "servers"), "upstream", "servers",
                              "'%s' is where this daemon listens; name the service behind it",
                              server->text);
    }
}

/* Else one that has no room waits for as long as the others are busy. */
static void check_workers(const Config *config, const IniFile *file, ConfigReport *errors)
{
    uint32_t workers = config->daemon.workers, calls = config->upstream.max_pending_calls;
    if (calls == 0 || calls >= workers)
        return;
    config_report_add(errors, line_of(file, "upstream", "max_pending_calls"), "upstream",
                      "max_pending_calls",
                      "'%u' is less than [daemon] workers, %u; each of them needs room for a call",
                      calls, workers);
}

void config_check(const Config *config, const IniFile *file, ConfigReport *errors)
{
    check_workers(config, file, errors);
    check_window(config, file, errors);
    check_admin(config, file, errors);
    check_servers(config, file, errors);
}
