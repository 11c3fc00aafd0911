/* Bilinear resize of [N, H, W, C]: for each result row and column two sources and the share of the second. */
#ifndef EP_RESIZE_H
#define EP_RESIZE_H

#include "ep_base.h"

typedef struct {
    int32_t batch, in_h, in_w, channels, out_h, out_w;
    const int32_t *rows;    /* [out_h][2] */
    const int32_t *columns; /* [out_w][2] */
    const float *down;      /* [out_h] */
    const float *right;     /* [out_w] */
} ep_resize_bilinear_f32_args;

void ep_resize_bilinear_f32(const ep_resize_bilinear_f32_args *args, const float *x, float *y);

#endif
