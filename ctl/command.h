/* The commands: what each takes, and what runs it. */
#pragma once

#include "options.h"
#include "remote.h"

typedef struct Command {
    const char *name;
    const char *usage; /* its arguments, for people */
    const char *summary;
    guint min_arguments, max_arguments;
    bool prints_json, can_watch, can_wait; /* the options that it takes */

    /* `arguments` is NULL-terminated. False: *error says why. */
    bool (*run)(Remote *remote, const Options *options, char *const *arguments, GError **error);
} Command;

/* The command that options->arguments ask for; NULL: they are wrong. */
const Command *command_of(const Options *options, GError **error);

/* One line a command; the caller's. */
char *command_list(void);
