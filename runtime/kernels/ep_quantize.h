/* Between float and int8: y = clamp(round_half_even(x / scale) + zero), x = scale * (y - zero). */
#ifndef EP_QUANTIZE_H
#define EP_QUANTIZE_H

#include "ep_base.h"

typedef struct {
    int32_t count, zero;
    float scale;
} ep_quantize_args;

void ep_quantize_s8(const ep_quantize_args *args, const float *x, int8_t *y);
void ep_dequantize_s8(const ep_quantize_args *args, const int8_t *x, float *y);

#endif
