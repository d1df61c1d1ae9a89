/* Skipping binary values whose bytes are all at hand: the usual case, several times as fast as the
 * resumable scanner. It knows only "here it ends"; where it gives up (cut short, invalid, too deep)
 * scan.h has the verdict. */
#pragma once

#include <stdint.h>

/* The end of the struct that begins at `at`, of at most `levels` levels; NULL when there is none
 * before `end`. */
const uint8_t *skip_binary_struct(const uint8_t *at, const uint8_t *end, unsigned levels);
