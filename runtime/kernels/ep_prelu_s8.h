/* Parametric ReLU, int8: x for x >= 0, slope * x below, with broadcasting. */
#ifndef EP_PRELU_S8_H
#define EP_PRELU_S8_H

#include "ep_requant.h"
#include "ep_strides.h"

typedef struct {
    ep_strides strides; /* x, slope, -, y */
    int32_t zero_x, zero_slope;
    ep_scale scale, scale_below;
    int32_t zero;
} ep_prelu_s8_args;

void ep_prelu_s8(const ep_prelu_s8_args *args, const int8_t *x, const int8_t *slope, int8_t *y);

#endif
