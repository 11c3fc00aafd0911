/* ep_conv_s8 for EP_LAYOUT_MVE. A strip holds the columns of some windows, [column][kernel_h][channels], the padding in
 * it: each window is one run there, and windows of neighbours overlap. Weights are [kernel_w][kernel_h][channels].
 * Windows of one line that lie inside are multiplied where they are. */
#include "ep_conv_s8.h"

#include "ep_gemm_steps.h"
#include "ep_strip.h"

#define STRIP_BYTES 2048 /* about as long as strips are */

/* What a convolution needs to know of its window; the exporter computes the scratch from the same rules. */
typedef struct {
    int32_t piece;    /* bytes of a column */
    int32_t row_step; /* bytes from window to window */
    int32_t most;     /* windows of a strip */
    int apart;        /* windows share no columns, each has its own */
    int32_t from, to; /* windows of a line that are multiplied where they are */
} shape;

static void find_inside(const ep_window *w, shape *s)
{
    const int32_t reach = w->in_w + w->pad_w - w->kernel_w;
    s->from = s->to = w->out_w;
    if (w->kernel_h != 1 || w->dilation_w != 1 || reach < 0) return;
    s->from = (w->pad_w + w->stride_w - 1) / w->stride_w;
    s->to = reach / w->stride_w + 1;
    if (s->to > w->out_w) s->to = w->out_w;
    if (s->from >= s->to) s->from = s->to = w->out_w;
}

static shape shape_of(const ep_window *w)
{
    shape s;
    s.piece = w->kernel_h * w->channels;
    s.apart = w->dilation_w != 1 || w->stride_w >= w->kernel_w;
    s.row_step = (s.apart ? w->kernel_w : w->stride_w) * s.piece;
    s.most = (STRIP_BYTES - w->kernel_w * s.piece) / s.row_step + 1;
    if (s.most < 2 || STRIP_BYTES < w->kernel_w * s.piece) s.most = 2;
    if (s.most > w->out_w) s.most = w->out_w;
    find_inside(w, &s);
    return s;
}

/* Column `at` of the image as the strip holds it, and those behind it. */
static void put_columns(const ep_conv_s8_args *args, const int8_t *image, int32_t top, int32_t at, int32_t count,
                        int8_t *strip)
{
    const ep_window *w = &args->window;
    const int32_t channels = w->channels, piece = w->kernel_h * channels;
    int32_t before = at < 0 ? -at : 0, end = w->in_w - at;
    if (before > count) before = count;
    if (end > count) end = count;
    if (end < before) end = before;
    for (int32_t i = 0; i < w->kernel_h; i++, strip += channels) {
        const int32_t line = top + i * w->dilation_h;
        int32_t from = before, to = end;
        if (line < 0 || line >= w->in_h) from = to = count;
        ep_fill_columns(strip, piece, from, channels, (int8_t)args->pad_value);
        if (from < to) {
            const int8_t *source = image + ((ptrdiff_t)line * w->in_w + at + from) * channels;
            ep_copy_columns(strip + from * piece, piece, source, channels, to - from, channels);
        }
        ep_fill_columns(strip + to * piece, piece, count - to, channels, (int8_t)args->pad_value);
    }
}

/* Windows [from, to) of a line by way of strips: overlapping ones in one piece, others column by column. */
static void by_strips(const ep_conv_s8_args *args, const shape *s, const int8_t *image, int32_t top, int32_t from,
                      int32_t to, int8_t *y, int8_t *strip)
{
    const ep_window *w = &args->window;
    for (int32_t j = from; j < to;) {
        const int32_t count = to - j < s->most ? to - j : s->most;
        const int32_t pieces = s->apart ? count * w->kernel_w : 1;
        const int32_t columns = s->apart ? 1 : (count - 1) * w->stride_w + w->kernel_w;
        for (int32_t k = 0; k < pieces; k++) {
            const int32_t column = (j + k / w->kernel_w) * w->stride_w + k % w->kernel_w * w->dilation_w - w->pad_w;
            put_columns(args, image, top, column, columns, strip + k * s->piece);
        }
        ep_gemm_steps_s8(&args->gemm, strip, s->row_step, count, y + (ptrdiff_t)j * args->gemm.outputs);
        j += count;
    }
}

void ep_conv_s8(const ep_conv_s8_args *args, const int8_t *x, int8_t *y, int8_t *strip)
{
    const ep_window *w = &args->window;
    const shape s = shape_of(w);
    const ptrdiff_t line = (ptrdiff_t)w->in_w * w->channels, outputs = args->gemm.outputs;
    if (ep_is_pointwise(w)) {
        ep_gemm_s8(&args->gemm, x, w->batch * w->out_h * w->out_w, y);
        return;
    }
    for (int32_t b = 0; b < w->batch; b++, x += w->in_h * line)
        for (int32_t i = 0; i < w->out_h; i++, y += w->out_w * outputs) {
            const int32_t top = i * w->stride_h - w->pad_h;
            int32_t from = s.from, to = s.to;
            if (top < 0 || top >= w->in_h) from = to = w->out_w;
            for (int32_t side = 0; side < 2; side++)
                by_strips(args, &s, x, top, side ? to : 0, side ? w->out_w : from, y, strip);
            if (from < to) {
                const int8_t *row = x + top * line + (ptrdiff_t)(from * w->stride_w - w->pad_w) * w->channels;
                const ptrdiff_t step = (ptrdiff_t)w->stride_w * w->channels;
                ep_gemm_steps_s8(&args->gemm, row, step, to - from, y + from * outputs);
            }
        }
}
