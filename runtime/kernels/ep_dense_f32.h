/* Dense layers over any number of rows, float. */
#ifndef EP_DENSE_F32_H
#define EP_DENSE_F32_H

#include "ep_gemm_f32.h"

typedef struct {
    int32_t rows;
    ep_gemm_f32_args gemm;
} ep_dense_f32_args;

static inline void ep_dense_f32(const ep_dense_f32_args *args, const float *x, float *y)
{
    ep_gemm_f32(&args->gemm, x, args->rows, y);
}

#endif
