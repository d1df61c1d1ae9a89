/* "did you mean": for somebody who has mistyped a name. */
#pragma once

#include <stddef.h>

typedef struct Nearest {
    const char *name; /* of those considered, borrowed; NULL: none is near */
    size_t distance;
} Nearest;

/* Takes `candidate` where it is nearer to `word` than what was considered before, and near enough.
 * Case, and '-' for '_', make no difference. */
void nearest_consider(Nearest *nearest, const char *candidate, const char *word);

/* How many letters to insert, delete or replace to make `b` of `a`. */
size_t nearest_distance(const char *a, const char *b);
