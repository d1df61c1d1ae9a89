/* The command line of thrift-batchctl. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define OPTIONS_DEFAULT_ADDRESS "unix:/run/thrift-batchd/fb303.sock"
#define OPTIONS_ENVIRONMENT     "THRIFT_BATCHD_SOCKET"

typedef struct Options {
    char *address;
    int timeout; /* seconds */
    gboolean json, watch, no_wait, version, help;
    char **arguments; /* the command and what follows it; NULL-terminated */
} Options;

/* On failure *error is for the user and nothing is to be cleared. */
bool options_parse(char *const *argv, Options *ret, GError **error);
void options_clear(Options *options);

/* The caller's. */
char *options_help(void);
