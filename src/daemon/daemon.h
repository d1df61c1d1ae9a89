/* The program: command line, configuration, signals, and telling systemd. */
#pragma once

enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,  /* cannot start, or ended at once by a second signal */
    EXIT_INVALID = 2, /* command line or configuration */
};

/* What main() does; returns the exit status. */
int daemon_main(char **argv);
