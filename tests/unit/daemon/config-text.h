/* Configurations written where they are tested. Every file is `t.ini` in a directory of its own, so
 * that error texts are the same everywhere. */
#pragma once

#include "daemon/config.h"

/* The Config, or NULL with *ret_errors set; the other is NULL. Both owned by the caller. */
Config *config_text_load(const char *text, char **ret_errors);

/* The file's errors, "" for a good file. Owned by the caller. */
char *config_text_errors(const char *text);

/* Calls config_load("t.ini") in a directory where that file holds `len` bytes of `bytes`. */
Config *config_bytes_load(const char *bytes, size_t len, char **ret_errors);
