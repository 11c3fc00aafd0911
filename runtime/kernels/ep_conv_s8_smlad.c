/* ep_conv_s8 for EP_LAYOUT_SMLAD: four windows at a time, widened to 16 bits and interleaved, then multiplied. */
#include "ep_conv_s8.h"

#include "ep_dsp.h"
#include "ep_gather.h"

#define ROWS 4
#define STEP 4
#define WORDS (2 * ROWS) /* what four bytes of four rows become */

/* Where windows are gathered from and to. */
typedef struct {
    const ep_window *window;
    const int8_t *image;
    int32_t pad_value, filled; /* depth, filled up to whole words */
    int32_t *pairs;
    int8_t *bytes; /* [ROWS][filled], where channels are no whole words */
} gathering;

static inline void put(int32_t *to, int32_t word)
{
    to[0] = ep_sxtb16(word);
    to[ROWS] = ep_sxtb16_ror8(word);
}

static int32_t *fill_row(int32_t *to, int32_t pair, int32_t count)
{
    for (; count > 0; count -= STEP, to += WORDS) to[0] = to[ROWS] = pair;
    return to;
}

/* `count` bytes, a multiple of four, of one row. */
static int32_t *widen_row(int32_t *to, const int8_t *from, int32_t count)
{
    for (; count >= 4 * STEP; count -= 4 * STEP, from += 4 * STEP, to += 4 * WORDS) {
        put(to, ep_word(from));
        put(to + WORDS, ep_word(from + STEP));
        put(to + 2 * WORDS, ep_word(from + 2 * STEP));
        put(to + 3 * WORDS, ep_word(from + 3 * STEP));
    }
    for (; count > 0; count -= STEP, from += STEP, to += WORDS) put(to, ep_word(from));
    return to;
}

static int32_t *fill_rows(int32_t *to, int32_t pair, int32_t count)
{
    int32_t *const end = to + count / STEP * WORDS;
    for (; to != end; to += WORDS)
        for (int32_t i = 0; i < WORDS; i++) to[i] = pair;
    return to;
}

/* `count` bytes of all four rows, `step` bytes apart. */
static int32_t *widen_rows(int32_t *to, const int8_t *from, ptrdiff_t step, int32_t count)
{
    const int8_t *const end = from + count;
    for (; from != end; from += STEP, to += WORDS) {
        const int32_t w0 = ep_word(from), w1 = ep_word(from + step);
        const int32_t w2 = ep_word(from + 2 * step), w3 = ep_word(from + 3 * step);
        to[0] = ep_sxtb16(w0);
        to[1] = ep_sxtb16(w1);
        to[2] = ep_sxtb16(w2);
        to[3] = ep_sxtb16(w3);
        to[4] = ep_sxtb16_ror8(w0);
        to[5] = ep_sxtb16_ror8(w1);
        to[6] = ep_sxtb16_ror8(w2);
        to[7] = ep_sxtb16_ror8(w3);
    }
    return to;
}

/* The window of row r, which begins at (top, left); channels are whole words. */
static void gather_row(const gathering *g, int32_t r, int32_t top, int32_t left)
{
    const ep_window *w = g->window;
    const int32_t channels = w->channels, pair = ep_lanes(g->pad_value, g->pad_value);
    int32_t *to = g->pairs + r;
    int32_t first, last;
    ep_taps(left, w->in_w, w->kernel_w, w->dilation_w, &first, &last);
    for (int32_t i = 0; i < w->kernel_h; i++) {
        const int32_t line = top + i * w->dilation_h;
        const int8_t *source = g->image + ((ptrdiff_t)line * w->in_w + left + first * w->dilation_w) * channels;
        if (line < 0 || line >= w->in_h) {
            to = fill_row(to, pair, w->kernel_w * channels);
            continue;
        }
        to = fill_row(to, pair, first * channels);
        if (w->dilation_w == 1)
            to = widen_row(to, source, (last - first) * channels);
        else
            for (int32_t j = first; j < last; j++, source += (ptrdiff_t)w->dilation_w * channels)
                to = widen_row(to, source, channels);
        to = fill_row(to, pair, (w->kernel_w - last) * channels);
    }
}

/* Four windows beside each other, none of which reaches beyond the left or the right; runs are whole words. */
static void gather_rows(const gathering *g, int32_t top, int32_t left)
{
    const ep_window *w = g->window;
    const int32_t run = w->kernel_w * w->channels, pair = ep_lanes(g->pad_value, g->pad_value);
    int32_t *to = g->pairs;
    for (int32_t i = 0; i < w->kernel_h; i++) {
        const int32_t line = top + i * w->dilation_h;
        const int8_t *source = g->image + ((ptrdiff_t)line * w->in_w + left) * w->channels;
        if (line < 0 || line >= w->in_h)
            to = fill_rows(to, pair, run);
        else
            to = widen_rows(to, source, (ptrdiff_t)w->stride_w * w->channels, run);
    }
}

/* The windows of `count` pixels from (i, j) on, in the order of the output. */
static void gather(const gathering *g, int32_t i, int32_t j, int32_t count)
{
    const ep_window *w = g->window;
    const int32_t left = j * w->stride_w - w->pad_w, reach = left + (ROWS - 1) * w->stride_w + w->kernel_w;
    const int is_inside = left >= 0 && reach <= w->in_w && j + ROWS <= w->out_w;
    if (is_inside && count == ROWS && w->dilation_w == 1 && w->kernel_w * w->channels % STEP == 0) {
        gather_rows(g, i * w->stride_h - w->pad_h, left);
        return;
    }
    for (int32_t r = 0; r < count; r++) {
        const int32_t top = i * w->stride_h - w->pad_h, start = j * w->stride_w - w->pad_w;
        if (w->channels % STEP == 0)
            gather_row(g, r, top, start);
        else
            ep_gather_s8(w, g->image, top, start, (int8_t)g->pad_value, g->bytes + r * g->filled);
        if (++j == w->out_w) {
            j = 0;
            i++;
        }
    }
    if (w->channels % STEP != 0) widen_rows(g->pairs, g->bytes, g->filled, g->filled);
}

static void image(const ep_conv_s8_args *args, const gathering *g, int8_t *y)
{
    const ep_window *w = g->window;
    int32_t i = 0, j = 0;
    for (int32_t left = w->out_h * w->out_w; left > 0; left -= ROWS, y += (ptrdiff_t)ROWS * args->gemm.outputs) {
        const int32_t count = left < ROWS ? left : ROWS;
        gather(g, i, j, count);
        ep_gemm_pairs_s8(&args->gemm, g->pairs, count, y);
        for (j += ROWS; j >= w->out_w; j -= w->out_w) i++;
    }
}

void ep_conv_s8(const ep_conv_s8_args *args, const int8_t *x, int8_t *y, int8_t *scratch)
{
    ep_window w = args->window;
    const int32_t filled = (args->gemm.depth + STEP - 1) / STEP * STEP;
    gathering g;
    g.pairs = (int32_t *)(void *)scratch;
    g.bytes = scratch + (ptrdiff_t)filled * WORDS;
    g.filled = filled;
    g.pad_value = args->pad_value;
    g.window = &w;
    if (ep_is_pointwise(&w)) { /* one line of pixels */
        w.out_w = w.in_w = w.batch * w.out_h * w.out_w;
        w.batch = w.out_h = w.in_h = 1;
    }
    if (w.channels % STEP != 0) memset(g.bytes, 0, (size_t)filled * ROWS);
    for (int32_t b = 0; b < w.batch; b++) {
        g.image = x + (ptrdiff_t)b * w.in_h * w.in_w * w.channels;
        image(args, &g, y + (ptrdiff_t)b * w.out_h * w.out_w * args->gemm.outputs);
    }
}
