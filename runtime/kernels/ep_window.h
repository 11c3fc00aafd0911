/* The window of a convolution or pool over a channels-last tensor [N, H, W, C]; 1-D windows have H = 1. */
#ifndef EP_WINDOW_H
#define EP_WINDOW_H

#include "ep_base.h"

typedef struct {
    int32_t batch;
    int32_t in_h, in_w, channels;
    int32_t out_h, out_w;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_h, pad_w; /* rows above, columns to the left */
} ep_window;

/* First and one past the last tap that lie inside, for a window that begins at `start`. */
static inline void ep_taps(int32_t start, int32_t size, int32_t kernel, int32_t dilation, int32_t *from, int32_t *to)
{
    int32_t first = start < 0 ? (-start + dilation - 1) / dilation : 0;
    int32_t last = start < size ? (size - 1 - start) / dilation + 1 : 0;
    if (last > kernel) last = kernel;
    *from = first;
    *to = last < first ? first : last;
}

/* True if every output pixel is its input pixel: the tensor is the rows of a product as it lies. */
static inline int ep_is_pointwise(const ep_window *w)
{
    return w->kernel_h == 1 && w->kernel_w == 1 && w->stride_h == 1 && w->stride_w == 1 && w->pad_h == 0 &&
           w->pad_w == 0;
}

#endif
