/* Dense layers over any number of rows, int8. */
#ifndef EP_DENSE_S8_H
#define EP_DENSE_S8_H

#include "ep_gemm_s8.h"

typedef struct {
    int32_t rows;
    ep_gemm_s8_args gemm;
} ep_dense_s8_args;

static inline void ep_dense_s8(const ep_dense_s8_args *args, const int8_t *x, int8_t *y)
{
    ep_gemm_s8(&args->gemm, x, args->rows, y);
}

#endif
