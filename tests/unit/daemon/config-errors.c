/* What a file as a whole can have wrong: its form, its names, and what does not go together. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>

#include "config-text.h"

#define SERVERS "[upstream]\nservers = a:1\n"

typedef struct Row {
    const char *text, *errors;
} Row;

static void expect_errors(const Row *rows, size_t n_rows)
{
    for (size_t i = 0; i < n_rows; i++) {
        g_autofree char *errors = config_text_errors(rows[i].text);
        cr_expect_str_eq(errors, rows[i].errors, "%s\ngave %s\nnot  %s", rows[i].text, errors,
                         rows[i].errors);
    }
}

#define EXPECT_ERRORS(rows) expect_errors(rows, G_N_ELEMENTS(rows))

#define BATCH_KEYS                                                                                 \
    "valid in [batch]: method, flush, window, max_calls, max_bytes, min_calls, "                   \
    "batch_retry_interval"
#define SECTIONS "valid sections: [daemon], [client], [batch], [upstream], [admin], [method.NAME]"

Test(config_errors, names)
{
    static const Row rows[] = {
        {SERVERS "[batch]\nmax_call = 1\n", "t.ini:4: [batch] max_call: unknown key 'max_call'; "
                                            "did you mean 'max_calls'? " BATCH_KEYS},
        {SERVERS "[batch]\nMAX-BYTES = 1\n",
         "t.ini:4: [batch] MAX-BYTES: unknown key 'MAX-BYTES'; did you mean "
         "'max_bytes'? " BATCH_KEYS},
        {SERVERS "[batch]\nhttp = 1\n",
         "t.ini:4: [batch] http: unknown key 'http'; it belongs in [admin]; " BATCH_KEYS},
        {SERVERS "[batch]\ndedupe = yes\n",
         "t.ini:4: [batch] dedupe: unknown key 'dedupe'; it belongs in [method.NAME]; " BATCH_KEYS},
        {SERVERS "[batch]\nnonsense = 1\nnonsense = 1\n",
         "t.ini:4: [batch] nonsense: unknown key 'nonsense'; " BATCH_KEYS
         "\nt.ini:5: [batch] nonsense: given twice, first in line 4; keep one of them"},
        {SERVERS "[method.a]\ngruop = x\n",
         "t.ini:4: [method.a] gruop: unknown key 'gruop'; did you mean 'group'? valid in "
         "[method.NAME]: batch, group, dedupe, oneway, idempotent, batch_method, batch_item, "
         "batch_requests, batch_responses, batch_response_item"},
        {SERVERS "[upsteam]\nx = 1\n",
         "t.ini:3: [upsteam]: unknown section; did you mean [upstream]? " SECTIONS},
        {SERVERS "[methods.a]\n",
         "t.ini:3: [methods.a]: unknown section; did you mean [method.NAME]? " SECTIONS},
        {SERVERS "[method]\n",
         "t.ini:3: [method]: unknown section; did you mean [method.NAME]? " SECTIONS},
        {SERVERS "[logging]\n", "t.ini:3: [logging]: unknown section; " SECTIONS},
        {SERVERS "[]\n", "t.ini:3: []: unknown section; " SECTIONS},
    };
    EXPECT_ERRORS(rows);
}

Test(config_errors, given_twice)
{
    static const Row rows[] = {
        {SERVERS "servers = b:1\n",
         "t.ini:3: [upstream] servers: given twice, first in line 2; keep one of them"},
        {SERVERS "[daemon]\n[upstream]\n",
         "t.ini:4: [upstream]: section given twice, first in line 1; put its keys there"},
        {SERVERS "[daemon]\n[upstream]\nservers = b:1\nretries = x\n",
         "t.ini:4: [upstream]: section given twice, first in line 1; put its keys there\n"
         "t.ini:5: [upstream] servers: given twice, first in line 2; keep one of them\n"
         "t.ini:6: [upstream] retries: 'x' is no whole number; write 0 or a whole number from 1 "
         "to 100, for example 1"},
        {SERVERS "[method.a]\n[method.b]\n[method.a]\n",
         "t.ini:5: [method.a]: section given twice, first in line 3; put its keys there"},
    };
    EXPECT_ERRORS(rows);
}

#define MISSING "missing; write for example servers = 10.0.0.7:9091, users.internal:9091"

Test(config_errors, missing_servers)
{
    static const Row rows[] = {
        {"", "t.ini: [upstream] servers: " MISSING},
        {"[daemon]\n", "t.ini: [upstream] servers: " MISSING},
        {"\n[upstream]\n", "t.ini:2: [upstream] servers: " MISSING},
    };
    EXPECT_ERRORS(rows);
}

Test(config_errors, form)
{
    static const Row rows[] = {
        {"window = 1ms\n" SERVERS,
         "t.ini:1: window: stands before the first section; write it below a [section]"},
        {SERVERS "[batch\nwindow = x\n[client]\n",
         "t.ini:3: '[batch' is no section; write [name] on a line of its own"},
        {SERVERS "[batch] window = x\n",
         "t.ini:3: '[batch] window = x' is no section; write [name] on a line of its own"},
        {SERVERS "retries 3\n",
         "t.ini:3: [upstream]: 'retries 3' is no setting; write key = value"},
        {SERVERS "retries: 3\n",
         "t.ini:3: [upstream]: 'retries: 3' is no setting; write key = value"},
        {SERVERS "= 3\n", "t.ini:3: [upstream]: '= 3' is no setting; write key = value"},
        {SERVERS "retries = \x1b[2J\n",
         "t.ini:3: the line has control characters; write plain text"},
        {SERVERS "[method.]\n", "t.ini:3: [method.]: names no method; write for example "
                                "[method.getUser] or [method.get*]"},
        {SERVERS "[method.a b]\n",
         "t.ini:3: [method.a b]: has a blank in the method's name; write it as on the wire"},
        {SERVERS "[method.a*b]\n",
         "t.ini:3: [method.a*b]: has a '*' before its end; write for example [method.get*]"},
        {SERVERS "[method.a**]\n",
         "t.ini:3: [method.a**]: has a '*' before its end; write for example [method.get*]"},
    };
    EXPECT_ERRORS(rows);
}

Test(config_errors, native)
{
    static const Row rows[] = {
        {SERVERS "[method.a]\nbatch = native\n",
         "t.ini:4: [method.a] batch_method: missing for batch = native; write for example "
         "batch_method = getUsers\n"
         "t.ini:4: [method.a] batch_item: missing for batch = native; write for example "
         "batch_item = 1\n"
         "t.ini:4: [method.a] batch_requests: missing for batch = native; write for example "
         "batch_requests = 1\n"
         "t.ini:4: [method.a] batch_responses: missing for batch = native; write for example "
         "batch_responses = 0"},
        {SERVERS "[method.a]\nbatch_item = 1\nbatch = off\nbatch_response_item = value\n",
         "t.ini:4: [method.a] batch_item: belongs to batch = native; add that or remove this\n"
         "t.ini:6: [method.a] batch_response_item: belongs to batch = native; add that or remove "
         "this"},
        {SERVERS "[method.a]\nbatch_method = b\n",
         "t.ini:4: [method.a] batch_method: belongs to batch = native; add that or remove this"},
        {SERVERS "[method.a]\nbatch = nativ\nbatch_method = b\n",
         "t.ini:4: [method.a] batch: 'nativ' is not valid; write envelope, native or off"},
    };
    EXPECT_ERRORS(rows);
}

Test(config_errors, what_does_not_go_together)
{
    static const Row rows[] = {
        {SERVERS "call_timeout = 5ms\n[batch]\nwindow = 5ms\n", ""},
        {SERVERS "call_timeout = 1500ms\n[batch]\nwindow = 2000ms\n",
         "t.ini:5: [batch] window: '2s' is longer than [upstream] call_timeout, 1500ms; make it "
         "shorter, or calls time out before they are sent"},
        {SERVERS "max_pending_calls = 2\n[daemon]\nworkers = 2\n", ""},
        {SERVERS "max_pending_calls = 1\n[daemon]\nworkers = 2\n",
         "t.ini:3: [upstream] max_pending_calls: '1' is less than [daemon] workers, 2; each of "
         "them "
         "needs room for a call"},
        {SERVERS "[batch]\nwindow = 6s\n",
         "t.ini:4: [batch] window: '6s' is longer than [upstream] call_timeout, 5s; make it "
         "shorter, or calls time out before they are sent"},
        {SERVERS "call_timeout = x\n[batch]\nwindow = 6s\n",
         "t.ini:3: [upstream] call_timeout: 'x' is no whole number; write a duration from 1ms to "
         "24h, for example 5s"},
        {SERVERS "[daemon]\nlisten = b:1, b:1\n",
         "t.ini:4: [daemon] listen: 'b:1' is given twice; list every address once"},
        {SERVERS "[admin]\nhttp = 127.0.0.1:9090\nfb303 = 127.0.0.1:9090\n",
         "t.ini:4: [admin] http: '127.0.0.1:9090' is in [daemon] listen too; give it an address of "
         "its own\n"
         "t.ini:5: [admin] fb303: '127.0.0.1:9090' is in [daemon] listen too; give it an address "
         "of its own\n"
         "t.ini:5: [admin] fb303: '127.0.0.1:9090' is http's address too; give it one of its own"},
        {SERVERS "[daemon]\nlisten = b:1, A:1\n",
         "t.ini:2: [upstream] servers: 'a:1' is where this daemon listens; name the service "
         "behind it"},
        {SERVERS "[daemon]\nlisten = b:0\n[admin]\nhttp = b:0\nfb303 = b:0\n", ""},
    };
    EXPECT_ERRORS(rows);
}

Test(config_errors, forms_that_are_fine)
{
    static const Row rows[] = {
        {"\xef\xbb\xbf[upstream]\nservers=a:1", ""},
        {"[upstream]\r\nservers = a:1\r\n\r\n", ""},
        {"  [ upstream ]  ; comment\n\tservers\t=\ta:1\t# comment\n  retries = 0\n", ""},
        {"; a\n# b\n ;c\n\n[upstream] # x = [\nservers = a:1, ; first\n",
         "t.ini:6: [upstream] servers: 'a:1,' has an empty item; write addresses with a comma "
         "between two, for example 10.0.0.7:9091, users.internal:9091"},
        {SERVERS "[batch]\nmethod = ;b\n",
         "t.ini:4: [batch] method: has no value; write it as on the wire, without blanks and "
         "'*', for example executeBatch"},
    };
    EXPECT_ERRORS(rows);
}

/* Servers up to the limit, then one byte more: an error, never a value cut short. */
Test(config_errors, a_long_line_is_not_cut)
{
    enum { LIMIT = 4096 - 3 };

    for (int extra = 0; extra < 2; extra++) {
        GString *text = g_string_new("[upstream]\nservers = a0:1");
        size_t start = strlen("[upstream]\n");
        int n = 1;
        while (text->len - start + sizeof ",a0000:1" <= LIMIT)
            g_string_append_printf(text, ",a%04d:1", n++);
        while (text->len - start < (size_t)(LIMIT + extra))
            g_string_insert_c(text, (gssize)(start + strlen("servers = ")), 'x');
        g_string_append_printf(text, "%*s; a comment does not count\nretries = x\n", 5000, "");

        g_autofree char *errors = config_text_errors(text->str);
        g_auto(GStrv) lines = g_strsplit(errors, "\n", -1);
        if (extra == 0) {
            cr_expect_eq(g_strv_length(lines), 1, "%s", errors);
            cr_expect(g_str_has_prefix(lines[0], "t.ini:3: [upstream] retries: "), "%s", errors);
        } else {
            cr_assert_eq(g_strv_length(lines), 3, "%s", errors);
            cr_expect_str_eq(lines[0], "t.ini:1: [upstream] servers: " MISSING);
            cr_expect_str_eq(lines[1], "t.ini:2: [upstream]: the line has 4094 bytes; a setting "
                                       "has at most 4093");
        }
        g_string_free(text, TRUE);
    }
}

Test(config_errors, files_that_cannot_be_read)
{
    g_autoptr(GError) missing = NULL, directory = NULL;

    cr_assert_null(config_load("/nonexistent/t.ini", &missing));
    cr_expect_str_eq(missing->message,
                     "/nonexistent/t.ini: cannot be read: No such file or directory");
    cr_assert_null(config_load("/", &directory));
    cr_expect_str_eq(directory->message, "/: cannot be read: Is a directory");
}

Test(config_errors, files_that_are_no_ini)
{
    g_autofree char *binary = NULL, *large = NULL;
    g_autofree char *text = g_strnfill((1 << 20) + 1, '\n');

    cr_assert_null(config_bytes_load("[a]\0b", 5, &binary));
    cr_expect_str_eq(binary, "t.ini: is no text; name an ini file");
    cr_assert_null(config_text_load(text, &large));
    cr_expect_str_eq(large, "t.ini: is larger than 1048576 bytes; name an ini file");
}

/* Everything at once, in the file's order, although it is found in another. */
Test(config_errors, an_all_wrong_file)
{
    static const char text[] = "lost = 1\n"          /* 1 */
                               "[batch]\n"           /* 2 */
                               "window = 1d\n"       /* 3 */
                               "max_call = 3\n"      /* 4 */
                               "\n"                  /* 5 */
                               "; comment\n"         /* 6 */
                               "[daemon]\n"          /* 7 */
                               "listen = x\n"        /* 8 */
                               "workers = 0\n"       /* 9 */
                               "workers = 1\n"       /* 10 */
                               "nothing\n"           /* 11 */
                               "[method.a]\n"        /* 12 */
                               "batch = native\n"    /* 13: three are missing */
                               "batch_item = x\n"    /* 14 */
                               "[nowhere]\n"         /* 15 */
                               "inside = ignored\n"  /* 16 */
                               "[upstream]\n"        /* 17: servers are missing */
                               "protocol = json\n"   /* 18 */
                               "[batch]\n"           /* 19 */
                               "flush = maybe\n"     /* 20 */
                               "[broken\n"           /* 21 */
                               "inside = ignored\n"  /* 22 */
                               "[admin]\n"           /* 23 */
                               "http = localhost\n"; /* 24 */
    static const unsigned expected[] = {1,  3,  4,  8,  9,  10, 11, 13, 13,
                                        13, 14, 15, 17, 18, 19, 20, 21, 24};
    g_autofree char *errors = config_text_errors(text);
    g_auto(GStrv) lines = g_strsplit(errors, "\n", -1);

    cr_assert_eq(g_strv_length(lines), G_N_ELEMENTS(expected), "%s", errors);
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_autofree char *prefix = g_strdup_printf("t.ini:%u: ", expected[i]);
        cr_expect(g_str_has_prefix(lines[i], prefix), "%s: %s", prefix, lines[i]);
    }
}
