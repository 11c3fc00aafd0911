#include "ep_conv_s8.h"

#include <string.h>

static inline int8_t *fill(int8_t *to, int8_t value, int32_t count)
{
    for (int32_t i = 0; i < count; i++) to[i] = value;
    return to + count;
}

/* A short copy without a call: in pieces, the last of which may overlap the one before. */
static inline void copy(int8_t *EP_RESTRICT to, const int8_t *EP_RESTRICT from, int32_t count)
{
    if (count >= 16) {
        for (int32_t i = 0; i + 16 < count; i += 16) memcpy(to + i, from + i, 16);
        memcpy(to + count - 16, from + count - 16, 16);
    } else if (count >= 8) {
        memcpy(to, from, 8);
        memcpy(to + count - 8, from + count - 8, 8);
    } else {
        for (int32_t i = 0; i < count; i++) to[i] = from[i];
    }
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
            copy(row, source + (ptrdiff_t)(left + from) * channels, count);
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

#if EP_LAYOUT == EP_LAYOUT_BLOCKS16X4
/* The pixels of a line whose windows lie inside, from where they lie: [*from, *to). None if runs are not whole. */
static void direct(const ep_conv_s8_args *args, const int8_t *image, int32_t i, int8_t *y, int32_t *from, int32_t *to)
{
    const ep_window *w = &args->window;
    const int32_t top = i * w->stride_h - w->pad_h, run = w->kernel_w * w->channels;
    const int32_t reach = w->in_w - w->kernel_w + w->pad_w;
    ep_rows where;
    *from = *to = w->out_w;
    if (w->dilation_w != 1 || run % 4 != 0 || reach < 0) return;
    if (top < 0 || top + (w->kernel_h - 1) * w->dilation_h >= w->in_h) return;
    *from = (w->pad_w + w->stride_w - 1) / w->stride_w;
    *to = reach / w->stride_w + 1;
    if (*to > w->out_w) *to = w->out_w;
    if (*from >= *to) {
        *from = *to = w->out_w;
        return;
    }
    where.lines = w->kernel_h;
    where.run = run;
    where.line_step = (ptrdiff_t)w->dilation_h * w->in_w * w->channels;
    where.row_step = (ptrdiff_t)w->stride_w * w->channels;
    image += ((ptrdiff_t)top * w->in_w + *from * w->stride_w - w->pad_w) * w->channels;
    ep_gemm_rows_s8(&args->gemm, &where, image, *to - *from, y + (ptrdiff_t)*from * args->gemm.outputs);
}
#else
static void direct(const ep_conv_s8_args *args, const int8_t *image, int32_t i, int8_t *y, int32_t *from, int32_t *to)
{
    (void)image, (void)i, (void)y;
    *from = *to = args->window.out_w;
}
#endif

/* Pixels [from, to) of a line, gathered. */
static void gathered(const ep_conv_s8_args *args, const int8_t *image, int32_t i, int32_t from, int32_t to, int8_t *y,
                     int8_t *rows)
{
    const ep_window *w = &args->window;
    const int32_t depth = args->gemm.depth, outputs = args->gemm.outputs;
    const int32_t top = i * w->stride_h - w->pad_h;
    for (int32_t j = from; j < to;) {
        const int32_t count = to - j < EP_GEMM_ROWS ? to - j : EP_GEMM_ROWS;
        for (int32_t r = 0; r < count; r++)
            gather(w, image, top, (j + r) * w->stride_w - w->pad_w, (int8_t)args->pad_value,
                   rows + (ptrdiff_t)r * depth);
        ep_gemm_s8(&args->gemm, rows, count, y + (ptrdiff_t)j * outputs);
        j += count;
    }
}

void ep_conv_s8(const ep_conv_s8_args *args, const int8_t *x, int8_t *y, int8_t *rows)
{
    const ep_window *w = &args->window;
    const ptrdiff_t line = (ptrdiff_t)w->out_w * args->gemm.outputs;
    if (ep_is_pointwise(w)) {
        ep_gemm_s8(&args->gemm, x, w->batch * w->out_h * w->out_w, y);
        return;
    }
    for (int32_t b = 0; b < w->batch; b++) {
        const int8_t *image = x + (ptrdiff_t)b * w->in_h * w->in_w * w->channels;
        for (int32_t i = 0; i < w->out_h; i++, y += line) {
            int32_t from, to;
            direct(args, image, i, y, &from, &to);
            gathered(args, image, i, 0, from, y, rows);
            gathered(args, image, i, to, w->out_w, y, rows);
        }
    }
}
