#include "ep_conv_s8.h"

#include "ep_gather.h"

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
            ep_gather_s8(w, image, top, (j + r) * w->stride_w - w->pad_w, (int8_t)args->pad_value,
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
