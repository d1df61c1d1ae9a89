/* The command line. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define OPTIONS_DEFAULT_CONFIG "/etc/thrift-batchd/thrift-batchd.ini"

typedef struct Options {
    char *config_path; /* never NULL */
    bool check;        /* read the configuration, say what is wrong, and leave */
    bool version;
    bool help;
} Options;

/* Prints nothing and ends nothing; `argv` stays as it is. False for an unknown option, one without
 * its value, or an argument that is no option. */
bool options_parse(char *const *argv, Options *ret, GError **error);
void options_clear(Options *options);

/* The text of --help. Owned by the caller. */
char *options_help(void);
