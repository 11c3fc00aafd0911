/* Convolution [N, H, W, C] -> [N, H', W', O]: windows gathered into rows, rows multiplied by the weights. */
#ifndef EP_CONV_S8_H
#define EP_CONV_S8_H

#include "ep_gemm_s8.h"
#include "ep_window.h"

typedef struct {
    ep_window window;
    ep_gemm_s8_args gemm;
    int32_t pad_value; /* the input's zero point */
} ep_conv_s8_args;

/* `rows` holds EP_GEMM_ROWS * gemm.depth elements; it is not read for pointwise convolutions. */
void ep_conv_s8(const ep_conv_s8_args *args, const int8_t *x, int8_t *y, int8_t *rows);

#endif
