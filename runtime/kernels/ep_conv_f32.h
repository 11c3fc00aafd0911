/* Convolution [N, H, W, C] -> [N, H', W', O]: windows gathered into rows, rows multiplied by the weights. */
#ifndef EP_CONV_F32_H
#define EP_CONV_F32_H

#include "ep_gemm_f32.h"
#include "ep_window.h"

typedef struct {
    ep_window window;
    ep_gemm_f32_args gemm;
} ep_conv_f32_args;

/* `rows` holds EP_FLOAT_ROWS * gemm.depth elements; it is not read for pointwise convolutions. */
void ep_conv_f32(const ep_conv_f32_args *args, const float *x, float *y, float *rows);

#endif
