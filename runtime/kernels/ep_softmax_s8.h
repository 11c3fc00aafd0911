/* Softmax along the last axis, int8. */
#ifndef EP_SOFTMAX_S8_H
#define EP_SOFTMAX_S8_H

#include "ep_base.h"

/* int8: powers[d] = round(2^30 exp(-scale d)); y = floor((256 p + sum / 2) / sum) - 128: scale 1/256, zero -128. */
typedef struct {
    int32_t rows, count;
    const uint32_t *powers;
} ep_softmax_s8_args;

void ep_softmax_s8(const ep_softmax_s8_args *args, const int8_t *x, int8_t *y);

#endif
