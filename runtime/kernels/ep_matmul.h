/* Products of two computed matrices, batches broadcast: y[n][m] = sum_k a[n][k] b[k][m]. */
#ifndef EP_MATMUL_H
#define EP_MATMUL_H

#include "ep_requant.h"
#include "ep_strides.h"

typedef struct {
    ep_strides strides; /* a, b, -, y of the batches; the last axis has length 1 */
    int32_t n, m, depth, step_an, step_ak, step_bk, step_bm;
} ep_matmul_f32_args;

void ep_matmul_f32(const ep_matmul_f32_args *args, const float *a, const float *b, float *y);

typedef struct {
    ep_strides strides;
    int32_t n, m, depth, step_an, step_ak, step_bk, step_bm;
    int32_t zero_a, zero_b;
    ep_scale scale;
    int32_t zero;
} ep_matmul_s8_args;

void ep_matmul_s8(const ep_matmul_s8_args *args, const int8_t *a, const int8_t *b, int8_t *y);

#endif
