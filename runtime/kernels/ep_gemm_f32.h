/* Rows of floats times packed weights: the inner loop of float convolutions and dense layers. */
#ifndef EP_GEMM_F32_H
#define EP_GEMM_F32_H

#include "ep_base.h"

/* y[r][n] = clamp(bias[n] + sum_k x[r][k] w[k][n]), summed in the order of k. */
typedef struct {
    int32_t depth;   /* K */
    int32_t outputs; /* N */
    const float *weights;
    const float *bias;
    float low, high;
} ep_gemm_f32_args;

void ep_gemm_f32(const ep_gemm_f32_args *args, const float *x, int32_t rows, float *y);

#endif
