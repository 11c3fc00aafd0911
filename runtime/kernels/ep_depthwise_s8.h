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
#if EP_LAYOUT == EP_LAYOUT_SMLAD
    int32_t band; /* lines of results at once; 0: any kernel and scale, without memory */
#endif
} ep_depthwise_s8_args;

#if EP_LAYOUT == EP_LAYOUT_BLOCKS16X4 || EP_LAYOUT == EP_LAYOUT_SMLAD
/* `memory` holds a ring of lines (ep_ring_s8.h), or a band of them. */
void ep_depthwise_s8(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y, int8_t *memory);
#else
void ep_depthwise_s8(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y);
#endif

#endif
