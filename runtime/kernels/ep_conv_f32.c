#include "ep_conv_f32.h"

#include <string.h>

static inline float *fill(float *to, float value, int32_t count)
{
    for (int32_t i = 0; i < count; i++) to[i] = value;
    return to + count;
}

/* The window of one output pixel as one row; what lies outside is `outside`. */
static void gather(const ep_window *w, const float *x, int32_t top, int32_t left, float outside, float *row)
{
    const int32_t channels = w->channels;
    int32_t from, to;
    ep_taps(left, w->in_w, w->kernel_w, w->dilation_w, &from, &to);
    for (int32_t i = 0; i < w->kernel_h; i++) {
        const int32_t line = top + i * w->dilation_h;
        if (line < 0 || line >= w->in_h) {
            row = fill(row, outside, w->kernel_w * channels);
            continue;
        }
        const float *source = x + (ptrdiff_t)line * w->in_w * channels;
        row = fill(row, outside, from * channels);
        if (w->dilation_w == 1) {
            const int32_t count = (to - from) * channels;
            if (count > 0) memcpy(row, source + (ptrdiff_t)(left + from) * channels, (size_t)count * sizeof *row);
            row += count;
        } else {
            for (int32_t j = from; j < to; j++) {
                const float *pixel = source + (ptrdiff_t)(left + j * w->dilation_w) * channels;
                memcpy(row, pixel, (size_t)channels * sizeof *row);
                row += channels;
            }
        }
        row = fill(row, outside, (w->kernel_w - to) * channels);
    }
}

void ep_conv_f32(const ep_conv_f32_args *args, const float *x, float *y, float *rows)
{
    const ep_window *w = &args->window;
    const int32_t pixels = w->out_h * w->out_w, depth = args->gemm.depth, outputs = args->gemm.outputs;
    if (ep_is_pointwise(w)) {
        ep_gemm_f32(&args->gemm, x, w->batch * pixels, y);
        return;
    }
    for (int32_t b = 0; b < w->batch; b++) {
        const float *image = x + (ptrdiff_t)b * w->in_h * w->in_w * w->channels;
        int32_t held = 0;
        for (int32_t i = 0; i < w->out_h; i++)
            for (int32_t j = 0; j < w->out_w; j++) {
                const int32_t top = i * w->stride_h - w->pad_h, left = j * w->stride_w - w->pad_w;
                gather(w, image, top, left, 0.0f, rows + (ptrdiff_t)held * depth);
                if (++held == EP_FLOAT_ROWS) {
                    ep_gemm_f32(&args->gemm, rows, held, y);
                    y += (ptrdiff_t)held * outputs;
                    held = 0;
                }
            }
        ep_gemm_f32(&args->gemm, rows, held, y);
        y += (ptrdiff_t)held * outputs;
    }
}
