/* Depthwise convolution, float: output channel c * multiples + m reads input channel c. */
#ifndef EP_DEPTHWISE_F32_H
#define EP_DEPTHWISE_F32_H

#include "ep_window.h"

typedef struct {
    ep_window window;
    int32_t multiples;     /* outputs of each channel */
    const float *weights; /* [taps][channels * multiples] */
    const float *bias;
    float low, high;
} ep_depthwise_f32_args;

void ep_depthwise_f32(const ep_depthwise_f32_args *args, const float *x, float *y);

#endif
