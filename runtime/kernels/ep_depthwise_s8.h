/* Depthwise convolution, int8: output channel c * multiples + m reads input channel c. */
#ifndef EP_DEPTHWISE_S8_H
#define EP_DEPTHWISE_S8_H

#include "ep_window.h"

typedef struct {
    ep_window window;
    int32_t multiples;     /* outputs of each channel */
    const int8_t *weights; /* [taps][channels * multiples], or in the blocks of the layout */
    const int32_t *bias;   /* EP_LAYOUT_ROWS: as the model has it, the zero point is taken off each input */
    const int32_t *multiplier;
    const int32_t *shift;
    int32_t in_zero, zero, low, high;
} ep_depthwise_s8_args;

void ep_depthwise_s8(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y);

#endif
