/* Depthwise windows of 3 x 3 taps under NEON: eight channels at a time, columns of the window kept along a line. */
#ifndef EP_DEPTHWISE_3X3_NEON_H
#define EP_DEPTHWISE_3X3_NEON_H

#include "ep_depthwise_s8.h"

static inline int ep_is_3x3(const ep_depthwise_s8_args *args)
{
    const ep_window *w = &args->window;
    return w->kernel_h == 3 && w->kernel_w == 3 && w->dilation_h == 1 && w->dilation_w == 1 && args->multiples == 1;
}

/* True if the weights are packed for the dot product, the lines of a column beside each other. */
static inline int ep_in_columns(const ep_depthwise_s8_args *args)
{
#if EP_LAYOUT == EP_LAYOUT_NEON_DOT
    return ep_is_3x3(args);
#else
    (void)args;
    return 0;
#endif
}

/* One image; gives 0 and does nothing if the window or the target is another. */
int ep_depthwise_3x3_neon(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y);

#endif
