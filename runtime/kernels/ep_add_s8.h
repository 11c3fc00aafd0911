/* Sum and difference of two int8 tensors under any scales, with broadcasting. */
#ifndef EP_ADD_S8_H
#define EP_ADD_S8_H

#include "ep_requant.h"
#include "ep_strides.h"

/* Both sides times 2^20, brought to twice the larger scale, added, brought to the result's scale. A difference has
 * `sign` -1. */
typedef struct {
    ep_strides strides; /* a, b, -, y */
    int32_t zero_a, zero_b, sign;
    ep_scale scale_a, scale_b, scale_y;
    int32_t zero, low, high;
} ep_add_s8_args;

void ep_add_s8(const ep_add_s8_args *args, const int8_t *a, const int8_t *b, int8_t *y);

#endif
