#include "ep_transpose_conv.h"

#include <string.h>

/* Tap (i, j) reaches output (h, w) from input ((h + pad - i) / stride, ...) where that is whole and inside. */
static int32_t source(int32_t at, int32_t tap, int32_t pad, int32_t stride, int32_t size)
{
    const int32_t reach = at + pad - tap;
    if (reach < 0 || reach % stride != 0 || reach / stride >= size) return -1;
    return reach / stride;
}

#define TRANSPOSE_CONV(suffix, type, outside)                                                                      \
    static void gather_##suffix(const ep_transpose_conv_##suffix##_args *args, const type *x, int32_t h, int32_t w, \
                                type *row)                                                                         \
    {                                                                                                              \
        const int32_t channels = args->channels;                                                                   \
        for (int32_t i = 0; i < args->kernel_h; i++)                                                               \
            for (int32_t j = 0; j < args->kernel_w; j++, row += channels) {                                        \
                const int32_t line = source(h, i, args->pad_h, args->stride_h, args->in_h);                        \
                const int32_t column = source(w, j, args->pad_w, args->stride_w, args->in_w);                      \
                if (line < 0 || column < 0)                                                                        \
                    for (int32_t n = 0; n < channels; n++) row[n] = (outside);                                     \
                else                                                                                               \
                    memcpy(row, x + ((ptrdiff_t)line * args->in_w + column) * channels,                            \
                           (size_t)channels * sizeof *row);                                                        \
            }                                                                                                      \
    }                                                                                                              \
    void ep_transpose_conv_##suffix(const ep_transpose_conv_##suffix##_args *args, const type *x, type *y,         \
                                    type *row)                                                                     \
    {                                                                                                              \
        for (int32_t b = 0; b < args->batch; b++) {                                                                \
            for (int32_t h = 0; h < args->out_h; h++)                                                              \
                for (int32_t w = 0; w < args->out_w; w++) {                                                        \
                    gather_##suffix(args, x, h, w, row);                                                           \
                    ep_gemm_##suffix(&args->gemm, row, 1, y);                                                      \
                    y += args->gemm.outputs;                                                                       \
                }                                                                                                  \
            x += (ptrdiff_t)args->in_h * args->in_w * args->channels;                                              \
        }                                                                                                          \
    }

TRANSPOSE_CONV(s8, int8_t, (int8_t)args->pad_value)
TRANSPOSE_CONV(f32, float, 0.0f)
