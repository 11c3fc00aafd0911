#include "ep_softmax_s8.h"

static void row(const ep_softmax_s8_args *args, const int8_t *x, int8_t *y)
{
    int32_t largest = -128;
    uint64_t sum = 0;
    for (int32_t i = 0; i < args->count; i++) largest = x[i] > largest ? x[i] : largest;
    for (int32_t i = 0; i < args->count; i++) sum += args->powers[largest - x[i]];
    for (int32_t i = 0; i < args->count; i++) {
        const uint64_t share = ((uint64_t)args->powers[largest - x[i]] * 256 + sum / 2) / sum;
        y[i] = (int8_t)(share > 255 ? 127 : (int32_t)share - 128);
    }
}

void ep_softmax_s8(const ep_softmax_s8_args *args, const int8_t *x, int8_t *y)
{
    for (int32_t r = 0; r < args->rows; r++) row(args, x + (ptrdiff_t)r * args->count, y + (ptrdiff_t)r * args->count);
}
