#include "ep_conv_s8.h"

#include <string.h>

static inline int8_t *fill(int8_t *to, int8_t value, int32_t count)
{
    for (int32_t i = 0; i < count; i++) to[i] = value;
    return to + count;
}

/* The window of one output pixel as one row; what lies outside is `outside`. */
static void gather(const ep_window *w, const int8_t *x, int32_t top, int32_t left, int8_t outside, int8_t *row)
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
        const int8_t *source = x + (ptrdiff_t)line * w->in_w * channels;
        row = fill(row, outside, from * channels);
        if (w->dilation_w == 1) {
            const int32_t count = (to - from) * channels;
            if (count > 0) memcpy(row, source + (ptrdiff_t)(left + from) * channels, (size_t)count * sizeof *row);
            row += count;
        } else {
            for (int32_t j = from; j < to; j++) {
                const int8_t *pixel = source + (ptrdiff_t)(left + j * w->dilation_w) * channels;
                memcpy(row, pixel, (size_t)channels * sizeof *row);
                row += channels;
            }
        }
        row = fill(row, outside, (w->kernel_w - to) * channels);
    }
}

void ep_conv_s8(const ep_conv_s8_args *args, const int8_t *x, int8_t *y, int8_t *rows)
{
    const ep_window *w = &args->window;
    const int32_t pixels = w->out_h * w->out_w, depth = args->gemm.depth, outputs = args->gemm.outputs;
    if (ep_is_pointwise(w)) {
        ep_gemm_s8(&args->gemm, x, w->batch * pixels, y);
        return;
    }
    for (int32_t b = 0; b < w->batch; b++) {
        const int8_t *image = x + (ptrdiff_t)b * w->in_h * w->in_w * w->channels;
        int32_t held = 0;
        for (int32_t i = 0; i < w->out_h; i++)
            for (int32_t j = 0; j < w->out_w; j++) {
                const int32_t top = i * w->stride_h - w->pad_h, left = j * w->stride_w - w->pad_w;
                gather(w, image, top, left, (int8_t)args->pad_value, rows + (ptrdiff_t)held * depth);
                if (++held == EP_GEMM_ROWS) {
                    ep_gemm_s8(&args->gemm, rows, held, y);
                    y += (ptrdiff_t)held * outputs;
                    held = 0;
                }
            }
        ep_gemm_s8(&args->gemm, rows, held, y);
        y += (ptrdiff_t)held * outputs;
    }
}
