/* Largest and average value under a window, float; padding is left out of both. */
#ifndef EP_POOL_F32_H
#define EP_POOL_F32_H

#include "ep_window.h"

typedef struct {
    ep_window window;
    float low, high;
} ep_pool_f32_args;

void ep_max_pool_f32(const ep_pool_f32_args *args, const float *x, float *y);
void ep_average_pool_f32(const ep_pool_f32_args *args, const float *x, float *y);

#endif
