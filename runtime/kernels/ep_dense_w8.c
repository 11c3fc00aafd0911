#include "ep_dense_w8.h"

#define WIDTH 32 /* outputs held at once */

static void some(const ep_dense_w8_args *args, const float *EP_RESTRICT x, int32_t first, int32_t count,
                 float *EP_RESTRICT y)
{
    float sums[WIDTH];
    for (int32_t n = 0; n < count; n++) sums[n] = args->bias[first + n];
    for (int32_t k = 0; k < args->depth; k++) {
        const int8_t *w = args->weights + (ptrdiff_t)k * args->outputs + first;
        for (int32_t n = 0; n < count; n++) sums[n] += x[k] * (float)w[n];
    }
    for (int32_t n = 0; n < count; n++) {
        const float value = sums[n] < args->low ? args->low : sums[n];
        y[first + n] = value > args->high ? args->high : value;
    }
}

void ep_dense_w8(const ep_dense_w8_args *args, const float *x, float *y)
{
    for (int32_t r = 0; r < args->rows; r++, x += args->depth, y += args->outputs)
        for (int32_t first = 0; first < args->outputs; first += WIDTH) {
            const int32_t left = args->outputs - first;
            if (left >= WIDTH)
                some(args, x, first, WIDTH, y);
            else
                some(args, x, first, left, y);
        }
}
