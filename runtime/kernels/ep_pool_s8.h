/* Largest and average value under a window, int8; padding is left out of both. */
#ifndef EP_POOL_S8_H
#define EP_POOL_S8_H

#include "ep_window.h"

typedef struct {
    ep_window window;
    int32_t low, high;
} ep_pool_s8_args;

void ep_max_pool_s8(const ep_pool_s8_args *args, const int8_t *x, int8_t *y);

/* Rounds half away from zero on the integers less `zero`, the tensor's zero point. */
typedef struct {
    ep_window window;
    int32_t low, high, zero;
} ep_average_pool_s8_args;

void ep_average_pool_s8(const ep_average_pool_s8_args *args, const int8_t *x, int8_t *y);

#endif
