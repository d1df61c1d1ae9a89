/* Reproducible random numbers (splitmix64): a failure names its seed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct Random {
    uint64_t state;
} Random;

static inline uint64_t random_bits(Random *random)
{
    uint64_t bits = random->state += 0x9e3779b97f4a7c15u;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
    return bits ^ (bits >> 31);
}

static inline unsigned random_below(Random *random, unsigned bound)
{
    return (unsigned)(random_bits(random) % bound);
}

static inline bool random_one_in(Random *random, unsigned bound)
{
    return random_below(random, bound) == 0;
}
