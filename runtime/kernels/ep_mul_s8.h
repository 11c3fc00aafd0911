/* Product of two int8 tensors under any scales, with broadcasting. */
#ifndef EP_MUL_S8_H
#define EP_MUL_S8_H

#include "ep_requant.h"
#include "ep_strides.h"

typedef struct {
    ep_strides strides; /* a, b, -, y */
    int32_t zero_a, zero_b;
    ep_scale scale;
    int32_t zero, low, high;
} ep_mul_s8_args;

void ep_mul_s8(const ep_mul_s8_args *args, const int8_t *a, const int8_t *b, int8_t *y);

#endif
