/* ep_conv_s8 for EP_LAYOUT_NEON and EP_LAYOUT_NEON_DOT: windows are multiplied where they lie, in the image or, where
 * some reach beyond it, in a ring of padded lines; they are gathered only if their runs are no whole steps. */
#include "ep_conv_s8.h"

#include <string.h>

#include "ep_lines.h"

#if EP_LAYOUT == EP_LAYOUT_NEON_DOT
#define STEP 4
#else
#define STEP 8
#endif
#define CHUNK 16             /* bytes copied at once; shorter runs are gathered, into rows of whole chunks */
#define GATHERED_BYTES 2048  /* about as much as is gathered before it is multiplied */

/* What a convolution needs to know of its window; the exporter computes the scratch from the same rules. */
typedef struct {
    int32_t span, reach;    /* lines and columns: of one window, of all windows of a line */
    int32_t pieces, piece;  /* runs of a window's line, their bytes */
    int32_t line_bytes;     /* of the ring */
    int32_t row_bytes, most; /* of gathered rows; how many */
    int whole;              /* runs are whole steps, and long enough */
    int inside;             /* no window reaches beyond the image */
} shape;

static inline int32_t round_up(int32_t value, int32_t step) { return (value + step - 1) / step * step; }

static shape shape_of(const ep_window *w)
{
    shape s;
    s.span = (w->kernel_h - 1) * w->dilation_h + 1;
    s.reach = (w->out_w - 1) * w->stride_w + (w->kernel_w - 1) * w->dilation_w + 1;
    s.pieces = w->dilation_w == 1 ? 1 : w->kernel_w;
    s.piece = w->kernel_w * w->channels / s.pieces;
    s.whole = s.pieces == 1 && s.piece % STEP == 0 && s.piece >= CHUNK;
    s.inside = w->pad_h == 0 && w->pad_w == 0 && s.reach <= w->in_w &&
               (w->out_h - 1) * w->stride_h + s.span <= w->in_h;
    s.line_bytes = s.reach * w->channels;
    s.row_bytes = round_up((w->kernel_h * s.pieces - 1) * s.piece + round_up(s.piece, CHUNK), CHUNK);
    s.most = GATHERED_BYTES / s.row_bytes;
    if (s.most < 4) s.most = 4;
    if (s.most > w->out_w) s.most = w->out_w;
    return s;
}

/* Exactly `count` bytes, without a call; the last pieces may overlap. */
static inline void copy(int8_t *EP_RESTRICT to, const int8_t *EP_RESTRICT from, int32_t count)
{
    for (; count >= 4 * CHUNK; count -= 4 * CHUNK, to += 4 * CHUNK, from += 4 * CHUNK) memcpy(to, from, 4 * CHUNK);
    if (count >= CHUNK) {
        for (int32_t i = 0; i + CHUNK < count; i += CHUNK) memcpy(to + i, from + i, CHUNK);
        memcpy(to + count - CHUNK, from + count - CHUNK, CHUNK);
    } else {
        for (int32_t i = 0; i < count; i++) to[i] = from[i];
    }
}

/* One line of the image as the ring holds it. */
static void pad_line(const ep_conv_s8_args *args, const shape *s, const int8_t *image, int32_t line, int8_t *to)
{
    const ep_window *w = &args->window;
    const int32_t left = w->pad_w * w->channels, all = w->in_w * w->channels;
    const int32_t count = s->line_bytes - left < all ? s->line_bytes - left : all;
    if (line < 0 || line >= w->in_h || count <= 0) {
        memset(to, args->pad_value, (size_t)s->line_bytes);
        return;
    }
    for (int32_t i = 0; i < left; i++) to[i] = (int8_t)args->pad_value;
    copy(to + left, image + (ptrdiff_t)line * all, count);
    for (int32_t i = left + count; i < s->line_bytes; i++) to[i] = (int8_t)args->pad_value;
}

/* `count` windows as rows; what is copied too much is written over by the next piece, or is never used. */
static void gather(const ep_window *w, const shape *s, const ep_lines *where, const int8_t *x, int32_t count,
                   int8_t *rows)
{
    const ptrdiff_t step = where->row_step;
    for (int32_t i = 0; i < w->kernel_h; i++, x = ep_next_line(where, x))
        for (int32_t j = 0; j < s->pieces; j++, rows += s->piece) {
            const int8_t *from = x + (ptrdiff_t)j * w->dilation_w * w->channels;
            int8_t *to = rows;
            if (s->piece <= CHUNK) {
                for (int32_t r = 0; r < count; r++, from += step, to += s->row_bytes) memcpy(to, from, CHUNK);
                continue;
            }
            for (int32_t r = 0; r < count; r++, from += step, to += s->row_bytes)
                for (int32_t k = 0; k < s->piece; k += CHUNK) memcpy(to + k, from + k, CHUNK);
        }
}

/* One line of results from the lines at x. */
static void multiply(const ep_conv_s8_args *args, const shape *s, const ep_lines *where, const int8_t *x, int8_t *y,
                     int8_t *rows)
{
    const ep_window *w = &args->window;
    ep_lines gathered;
    if (s->whole) {
        ep_gemm_lines_s8(&args->gemm, where, x, w->out_w, y);
        return;
    }
    gathered = ep_dense_rows(rows, round_up(args->gemm.depth, CHUNK), s->most);
    gathered.row_step = s->row_bytes;
    for (int32_t j = 0; j < w->out_w; j += s->most) {
        const int32_t count = w->out_w - j < s->most ? w->out_w - j : s->most;
        gather(w, s, where, x + j * where->row_step, count, rows);
        ep_gemm_lines_s8(&args->gemm, &gathered, rows, count, y + (ptrdiff_t)j * args->gemm.outputs);
    }
}

/* All lines of an image, from where it lies. */
static void direct(const ep_conv_s8_args *args, const shape *s, ep_lines *where, const int8_t *image, int8_t *y)
{
    const ep_window *w = &args->window;
    const ptrdiff_t line = (ptrdiff_t)w->in_w * w->channels, step = (ptrdiff_t)w->out_w * args->gemm.outputs;
    where->line_step = w->dilation_h * line;
    where->end = image + w->in_h * line;
    where->ring = 0;
    for (int32_t i = 0; i < w->out_h; i++)
        multiply(args, s, where, image + (ptrdiff_t)i * w->stride_h * line, y + i * step, NULL);
}

/* The same by way of padded lines: line n of the image, counted from the padding, lies in slot n % span. */
static void padded(const ep_conv_s8_args *args, const shape *s, ep_lines *where, const int8_t *image, int8_t *y,
                   int8_t *scratch)
{
    const ep_window *w = &args->window;
    const ptrdiff_t step = (ptrdiff_t)w->out_w * args->gemm.outputs, line = s->line_bytes;
    int8_t *rows = scratch + s->span * line + CHUNK;
    int32_t ready = 0;
    where->line_step = w->dilation_h * line;
    where->end = scratch + s->span * line;
    where->ring = s->span * line;
    for (int32_t i = 0; i < w->out_h; i++) {
        const int32_t top = i * w->stride_h;
        if (ready < top) ready = top;
        for (; ready < top + s->span; ready++)
            pad_line(args, s, image, ready - w->pad_h, scratch + ready % s->span * line);
        multiply(args, s, where, scratch + top % s->span * line, y + i * step, rows);
    }
}

void ep_conv_s8(const ep_conv_s8_args *args, const int8_t *x, int8_t *y, int8_t *scratch)
{
    const ep_window *w = &args->window;
    const ptrdiff_t in = (ptrdiff_t)w->in_h * w->in_w * w->channels;
    const ptrdiff_t out = (ptrdiff_t)w->out_h * w->out_w * args->gemm.outputs;
    const shape s = shape_of(w);
    ep_lines where;
    if (ep_is_pointwise(w)) {
        ep_gemm_s8(&args->gemm, x, w->batch * w->out_h * w->out_w, y);
        return;
    }
    where.lines = w->kernel_h;
    where.run = w->kernel_w * w->channels;
    where.row_step = (ptrdiff_t)w->stride_w * w->channels;
    for (int32_t b = 0; b < w->batch; b++, x += in, y += out) {
        if (s.whole && s.inside)
            direct(args, &s, &where, x, y);
        else
            padded(args, &s, &where, x, y, scratch);
    }
}
