#include "ep_gemm_f32.h"

#define WIDTH 16 /* output channels whose sums are held at once */

static inline float clamp(const ep_gemm_f32_args *args, float value)
{
    value = value < args->low ? args->low : value;
    return value > args->high ? args->high : value;
}

static void block(const ep_gemm_f32_args *args, const float *EP_RESTRICT x, int32_t rows, int32_t first,
                  float *EP_RESTRICT y)
{
    const int32_t depth = args->depth, outputs = args->outputs;
    float acc[EP_FLOAT_ROWS][WIDTH];
    for (int32_t r = 0; r < rows; r++)
        for (int32_t n = 0; n < WIDTH; n++) acc[r][n] = args->bias[first + n];
    if (rows == EP_FLOAT_ROWS) {
        for (int32_t k = 0; k < depth; k++) {
            const float *w = args->weights + (ptrdiff_t)k * outputs + first;
            for (int32_t r = 0; r < EP_FLOAT_ROWS; r++)
                for (int32_t n = 0; n < WIDTH; n++) acc[r][n] += x[r * depth + k] * w[n];
        }
    } else {
        for (int32_t r = 0; r < rows; r++)
            for (int32_t k = 0; k < depth; k++) {
                const float *w = args->weights + (ptrdiff_t)k * outputs + first;
                for (int32_t n = 0; n < WIDTH; n++) acc[r][n] += x[r * depth + k] * w[n];
            }
    }
    for (int32_t r = 0; r < rows; r++)
        for (int32_t n = 0; n < WIDTH; n++) y[r * outputs + first + n] = clamp(args, acc[r][n]);
}

static void column(const ep_gemm_f32_args *args, const float *EP_RESTRICT x, int32_t rows, int32_t n,
                   float *EP_RESTRICT y)
{
    for (int32_t r = 0; r < rows; r++) {
        float acc = args->bias[n];
        for (int32_t k = 0; k < args->depth; k++)
            acc += x[r * args->depth + k] * args->weights[(ptrdiff_t)k * args->outputs + n];
        y[r * args->outputs + n] = clamp(args, acc);
    }
}

void ep_gemm_f32(const ep_gemm_f32_args *args, const float *x, int32_t rows, float *y)
{
    while (rows > 0) {
        int32_t taken = rows < EP_FLOAT_ROWS ? rows : EP_FLOAT_ROWS, n = 0;
        for (; n + WIDTH <= args->outputs; n += WIDTH) block(args, x, taken, n, y);
        for (; n < args->outputs; n++) column(args, x, taken, n, y);
        x += (ptrdiff_t)taken * args->depth;
        y += (ptrdiff_t)taken * args->outputs;
        rows -= taken;
    }
}
