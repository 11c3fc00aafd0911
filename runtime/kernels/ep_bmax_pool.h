/* Largest of packed signs in windows: the AND of words, as bit 1 is -1. What lies outside counts for nothing. */
#ifndef EP_BMAX_POOL_H
#define EP_BMAX_POOL_H

#include "ep_window.h"

typedef struct {
    ep_window window; /* channels: words of a pixel */
} ep_bmax_pool_args;

void ep_bmax_pool(const ep_bmax_pool_args *args, const int32_t *x, int32_t *y);

#endif
