/* The checks of ../checks.txt. One returns NULL, or why it failed. */
#pragma once

#include "demo_directory.h"
#include "interop_newer.h"

typedef struct Client {
    DemoDirectoryIf *demo;
    InteropNewerIf *newer;
} Client;

typedef struct Check {
    const char *name; /* NULL: the end of the table */
    char *(*run)(Client *client);
} Check;

extern const Check call_checks[], everything_checks[];
