#include "config-text.h"

#include <criterion/criterion.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

Config *config_bytes_load(const char *bytes, size_t len, char **ret_errors)
{
    g_autofree char *dir = g_dir_make_tmp("config-XXXXXX", NULL);
    g_autoptr(GError) error = NULL;

    cr_assert_eq(chdir(dir), 0);
    cr_assert(g_file_set_contents("t.ini", bytes, (gssize)len, NULL));
    Config *config = config_load("t.ini", &error);
    cr_assert_eq(config == NULL, error != NULL);
    *ret_errors = error ? g_strdup(error->message) : NULL;

    cr_assert_eq(g_unlink("t.ini"), 0);
    cr_assert_eq(chdir("/"), 0);
    cr_assert_eq(g_rmdir(dir), 0);
    return config;
}

Config *config_text_load(const char *text, char **ret_errors)
{
    return config_bytes_load(text, strlen(text), ret_errors);
}

char *config_text_errors(const char *text)
{
    char *errors = NULL;
    config_unref(config_text_load(text, &errors));
    return errors ? errors : g_strdup("");
}
