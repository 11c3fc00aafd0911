/* Transposed convolution: for each output pixel the inputs that reach it are gathered into a row. */
#ifndef EP_TRANSPOSE_CONV_H
#define EP_TRANSPOSE_CONV_H

#include "ep_gemm_f32.h"
#include "ep_gemm_s8.h"

#define EP_TRANSPOSE_CONV_GEOMETRY                                                           \
    int32_t batch, in_h, in_w, channels, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w; \
    int32_t pad_h, pad_w; /* rows and columns cut off in front of the result */

typedef struct {
    EP_TRANSPOSE_CONV_GEOMETRY
    ep_gemm_s8_args gemm;
    int32_t pad_value;
} ep_transpose_conv_s8_args;

typedef struct {
    EP_TRANSPOSE_CONV_GEOMETRY
    ep_gemm_f32_args gemm;
} ep_transpose_conv_f32_args;

/* `row` holds gemm.depth elements. */
void ep_transpose_conv_s8(const ep_transpose_conv_s8_args *args, const int8_t *x, int8_t *y, int8_t *row);
void ep_transpose_conv_f32(const ep_transpose_conv_f32_args *args, const float *x, float *y, float *row);

#endif
