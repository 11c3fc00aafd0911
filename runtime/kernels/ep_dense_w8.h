/* Rows of float times int8 weights that are numbers themselves (scale 1): small integers of a few bits.
 *
 *     y[r][n] = clamp(bias[n] + sum_k x[r][k] w[k][n]) */
#ifndef EP_DENSE_W8_H
#define EP_DENSE_W8_H

#include "ep_base.h"

typedef struct {
    int32_t rows, depth, outputs;
    const int8_t *weights; /* [depth][outputs] */
    const float *bias;
    float low, high;
} ep_dense_w8_args;

void ep_dense_w8(const ep_dense_w8_args *args, const float *x, float *y);

#endif
