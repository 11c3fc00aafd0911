#include "ep_gemm_s8.h"

#include "ep_requant.h"

static inline int8_t finish(const ep_gemm_s8_args *args, int32_t n, int32_t acc)
{
    int32_t y = ep_rescale(acc, args->multiplier[n], args->shift[n]);
    return ep_clamp_s8(args->zero + y, args->low, args->high);
}

/* Four rows with one output channel: each weight is loaded once for four products. */
static void four_rows(const ep_gemm_s8_args *args, const int8_t *EP_RESTRICT x, int8_t *EP_RESTRICT y)
{
    const int32_t depth = args->depth, outputs = args->outputs;
    const int8_t *x0 = x, *x1 = x + depth, *x2 = x1 + depth, *x3 = x2 + depth;
    for (int32_t n = 0; n < outputs; n++) {
        const int8_t *w = args->weights + (ptrdiff_t)n * depth;
        int32_t a0 = args->bias[n], a1 = a0, a2 = a0, a3 = a0;
        for (int32_t k = 0; k < depth; k++) {
            a0 += x0[k] * w[k];
            a1 += x1[k] * w[k];
            a2 += x2[k] * w[k];
            a3 += x3[k] * w[k];
        }
        y[n] = finish(args, n, a0);
        y[n + outputs] = finish(args, n, a1);
        y[n + 2 * outputs] = finish(args, n, a2);
        y[n + 3 * outputs] = finish(args, n, a3);
    }
}

static void one_row(const ep_gemm_s8_args *args, const int8_t *EP_RESTRICT x, int8_t *EP_RESTRICT y)
{
    const int32_t depth = args->depth;
    for (int32_t n = 0; n < args->outputs; n++) {
        const int8_t *w = args->weights + (ptrdiff_t)n * depth;
        int32_t acc = args->bias[n];
        for (int32_t k = 0; k < depth; k++) acc += x[k] * w[k];
        y[n] = finish(args, n, acc);
    }
}

void ep_gemm_s8(const ep_gemm_s8_args *args, const int8_t *x, int32_t rows, int8_t *y)
{
    for (; rows >= 4; rows -= 4) {
        four_rows(args, x, y);
        x += (ptrdiff_t)4 * args->depth;
        y += (ptrdiff_t)4 * args->outputs;
    }
    for (; rows > 0; rows--) {
        one_row(args, x, y);
        x += args->depth;
        y += args->outputs;
    }
}
