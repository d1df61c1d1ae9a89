#include "daemon/options.h"

#include <criterion/criterion.h>

Test(options, parses)
{
    static const struct {
        char *argv[4];
        Options options;
    } rows[] = {
        {{"x", NULL}, {OPTIONS_DEFAULT_CONFIG, false, false, false}},
        {{"x", "--config", "a.ini", NULL}, {"a.ini", false, false, false}},
        {{"x", "--config=a.ini", "--check", NULL}, {"a.ini", true, false, false}},
        {{"x", "--version", NULL}, {OPTIONS_DEFAULT_CONFIG, false, true, false}},
        {{"x", "--help", NULL}, {OPTIONS_DEFAULT_CONFIG, false, false, true}},
        {{NULL}, {OPTIONS_DEFAULT_CONFIG, false, false, false}},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        Options options;
        cr_assert(options_parse(rows[i].argv, &options, NULL), "row %zu", i);
        cr_expect_str_eq(options.config_path, rows[i].options.config_path);
        cr_expect_eq(options.check, rows[i].options.check, "row %zu", i);
        cr_expect_eq(options.version, rows[i].options.version, "row %zu", i);
        cr_expect_eq(options.help, rows[i].options.help, "row %zu", i);
        options_clear(&options);
    }
}

Test(options, rejects_what_it_does_not_know)
{
    static const struct {
        char *argv[5];
        const char *message;
    } rows[] = {
        {{"x", "--bogus", NULL}, "Unknown option --bogus"},
        {{"x", "a.ini", NULL}, "Unexpected argument 'a.ini'"},
        {{"x", "--check", "--", "a.ini", NULL}, "Unexpected argument 'a.ini'"},
        {{"x", "--config", NULL}, "Missing argument for --config"},
        {{"x", "--config=", NULL}, "--config is empty; name a file"},
        {{"x", "--config", "a.ini", "stray", NULL}, "Unexpected argument 'stray'"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        Options options = {0};
        g_autoptr(GError) error = NULL;
        cr_assert_not(options_parse(rows[i].argv, &options, &error), "row %zu", i);
        cr_expect_str_eq(error->message, rows[i].message);
        cr_expect_null(options.config_path);
    }
}

Test(options, help_names_every_option)
{
    static const char *const names[] = {"--config=FILE", "--check", "--version", "--help",
                                        OPTIONS_DEFAULT_CONFIG};
    g_autofree char *help = options_help();

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        cr_expect_not_null(strstr(help, names[i]), "%s", names[i]);
}
