/* Blocks of one size that are used again: taking one and giving it back costs a few instructions,
 * where malloc(), whose own caches hold seven, takes hundreds. At most `max_kept` wait for their
 * next use, so that a burst does not stay in memory. Under AddressSanitizer none is kept: it could
 * not see a block that is used after it was given back. */
#pragma once

#include <glib.h>

#if defined(__SANITIZE_ADDRESS__)
#define BLOCK_CACHE_KEEPS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BLOCK_CACHE_KEEPS 0
#endif
#endif
#ifndef BLOCK_CACHE_KEEPS
#define BLOCK_CACHE_KEEPS 1
#endif

typedef struct BlockCache {
    void *kept; /* each begins with a pointer to the next */
    size_t block_size;
    unsigned n_kept, max_kept;
} BlockCache;

static inline void block_cache_init(BlockCache *cache, size_t block_size, unsigned max_kept)
{
    *cache = (BlockCache){
        .block_size = block_size,
        .max_kept = BLOCK_CACHE_KEEPS ? max_kept : 0,
    };
}

/* Blocks that are out may still be given back; they must be freed by clearing again. */
static inline void block_cache_clear(BlockCache *cache)
{
    while (cache->kept != NULL) {
        void *block = cache->kept;
        cache->kept = *(void **)block;
        g_free(block);
    }
    cache->n_kept = 0;
}

/* A block whose bytes are undefined. */
static inline void *block_cache_take(BlockCache *cache)
{
    void *block = cache->kept;
    if (block == NULL)
        return g_malloc(cache->block_size);
    cache->kept = *(void **)block;
    cache->n_kept--;
    return block;
}

static inline void block_cache_give(BlockCache *cache, void *block)
{
    if (cache->n_kept >= cache->max_kept) {
        g_free(block);
        return;
    }
    *(void **)block = cache->kept;
    cache->kept = block;
    cache->n_kept++;
}
