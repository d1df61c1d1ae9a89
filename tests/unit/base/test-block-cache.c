#include "base/block-cache.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

enum { SIZE = 100, KEPT = 3, BLOCKS = 10 };

Test(block_cache, blocks_are_used_again_up_to_a_number)
{
    BlockCache cache;
    void *blocks[BLOCKS];
    block_cache_init(&cache, SIZE, KEPT);
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = block_cache_take(&cache);
        memset(blocks[i], (int)i, SIZE);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        for (unsigned k = 0; k < SIZE; k++)
            cr_assert_eq(((uint8_t *)blocks[i])[k], i);
        block_cache_give(&cache, blocks[i]);
    }
    cr_assert_eq(cache.n_kept, BLOCK_CACHE_KEEPS ? KEPT : 0);
    if (BLOCK_CACHE_KEEPS)
        cr_assert_eq(block_cache_take(&cache), blocks[KEPT - 1], "the latest first");
    else
        blocks[KEPT - 1] = block_cache_take(&cache);
    block_cache_give(&cache, blocks[KEPT - 1]);
    block_cache_clear(&cache);
    cr_assert_eq(cache.n_kept, 0);
    block_cache_give(&cache, block_cache_take(&cache));
    block_cache_clear(&cache);
}
