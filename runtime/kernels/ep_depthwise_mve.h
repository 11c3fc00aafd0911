/* Windows of depthwise convolutions in Helium's vectors, from strips [columns][16 channels][4 lines]. Only for targets
 * with MVE. */
#ifndef EP_DEPTHWISE_MVE_H
#define EP_DEPTHWISE_MVE_H

#include <arm_mve.h>

#include "ep_depthwise_s8.h"

#include "ep_windows_mve.h"

#define EP_COLUMN_BYTES 64
#define EP_STRIP_COLUMNS 24

/* How windows are summed: four from one load, on two lines and columns; four of a line, two columns apart; any. */
#define EP_PAIRED 0
#define EP_WIDE 1
#define EP_ANY 2

typedef struct {
    int kind;
    int32_t lines, fewest; /* lines of a row of windows; least count of windows */
    int32_t down, across;  /* pieces of 4 x 4 */
    int32_t most;          /* windows of a row that fit a strip */
} ep_plan_mve;

/* Columns of a strip with `count` windows of a row. */
static inline int32_t ep_columns_mve(const ep_window *w, const ep_plan_mve *p, int32_t count)
{
    if (p->kind == EP_WIDE) count = (count + 3) / 4 * 4;
    return (count - 1) * w->stride_w + (p->across * 4 - 1) * w->dilation_w + 1;
}

static inline ep_plan_mve ep_plan_windows_mve(const ep_window *w)
{
    ep_plan_mve p;
    const int one = w->kernel_h <= 4 && w->kernel_w <= 4 && w->dilation_w == 1;
    p.kind = one && w->stride_w == 2 ? EP_WIDE : EP_ANY;
    if (one && w->kernel_h < 4 && w->kernel_w < 4 && w->stride_h == 1 && w->stride_w == 1 && w->dilation_h == 1 &&
        w->out_h >= 2 && w->out_w >= 2)
        p.kind = EP_PAIRED;
    p.lines = p.fewest = p.kind == EP_PAIRED ? 2 : 1;
    p.down = (w->kernel_h + 3) / 4;
    p.across = (w->kernel_w + 3) / 4;
    p.most = w->out_w;
    while (p.most > 0 && ep_columns_mve(w, &p, p.most) > EP_STRIP_COLUMNS / p.down) p.most--;
    if (p.most < w->out_w && p.most > 4) p.most -= p.most % 4;
    return p;
}

/* Four lines from `top` on, columns from `left` on, sixteen channels: what lies outside is the zero point. */
static inline void ep_put_lines_mve(const ep_depthwise_s8_args *args, const int8_t *x, int32_t top, int32_t left,
                                    int32_t columns, int32_t channel, int8_t *strip)
{
    const ep_window *w = &args->window;
    const int8x16_t outside = vdupq_n_s8((int8_t)args->in_zero);
    const mve_pred16_t lanes = vctp8q((uint32_t)(w->channels - channel));
    const int whole = w->channels - channel >= 16;
    int8_t filling[16];
    const int8_t *line[4];
    int32_t step[4], n = 0, inside = w->in_w - left;
    vstrbq_s8(filling, outside);
    for (int32_t i = 0; i < 4; i++) {
        const int32_t at = top + i * w->dilation_h;
        const int there = at >= 0 && at < w->in_h;
        step[i] = there ? w->channels : 0;
        line[i] = there ? x + ((ptrdiff_t)at * w->in_w + (left < 0 ? 0 : left)) * w->channels + channel : filling;
    }
    if (inside > columns) inside = columns;
    for (; n < -left && n < columns; n++, strip += EP_COLUMN_BYTES)
        for (int32_t k = 0; k < EP_COLUMN_BYTES; k += 16) vstrbq_s8(strip + k, outside);
    {
        const int8_t *a = line[0], *b = line[1], *c = line[2], *d = line[3];
        const int32_t step_a = step[0], step_b = step[1], step_c = step[2], step_d = step[3];
        for (; n < inside; n++, strip += EP_COLUMN_BYTES) {
            int8x16x4_t four;
            if (whole) {
                four.val[0] = vldrbq_s8(a);
                four.val[1] = vldrbq_s8(b);
                four.val[2] = vldrbq_s8(c);
                four.val[3] = vldrbq_s8(d);
            } else {
                four.val[0] = vldrbq_z_s8(a, lanes);
                four.val[1] = vldrbq_z_s8(b, lanes);
                four.val[2] = vldrbq_z_s8(c, lanes);
                four.val[3] = vldrbq_z_s8(d, lanes);
            }
            vst4q_s8(strip, four);
            a += step_a, b += step_b, c += step_c, d += step_d;
        }
    }
    for (; n < columns; n++, strip += EP_COLUMN_BYTES)
        for (int32_t k = 0; k < EP_COLUMN_BYTES; k += 16) vstrbq_s8(strip + k, outside);
}

/* What follows the sums of one channel. */
typedef struct {
    int32_t bias, multiplier, shift, zero;
    int32x4_t low, high;
} ep_channel_mve;

static inline int32x4_t ep_finish_mve(const ep_channel_mve *s, int32_t a, int32_t b, int32_t c, int32_t d)
{
    int32x4_t acc;
    __asm__("vmov %e0, %1, %2\n\tvmov %f0, %3, %4" : "=w"(acc) : "r"(a), "r"(b), "r"(c), "r"(d));
    acc = vqrdmulhq_n_s32(vaddq_n_s32(acc, s->bias), s->multiplier);
    acc = vrshlq_n_s32(vaddq_s32(acc, vshrq_n_s32(acc, 31)), s->shift);
    return vminq_s32(vmaxq_s32(vaddq_n_s32(acc, s->zero), s->low), s->high);
}

static inline int8x16_t ep_gather_mve(const int8_t *from, uint32x4_t offsets)
{
    return vreinterpretq_s8_u32(vldrwq_gather_offset_u32((const uint32_t *)(const void *)from, offsets));
}

/* `count` windows of one line and channel, four at a time; of the last ones some are computed more than once. */
static inline void ep_fours_mve(const ep_window *w, const ep_channel_mve *s, const int8_t *strip, const int8_t *weights,
                                int32_t count, int8_t *y, int32_t outputs)
{
    const uint32x4_t columns = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)(EP_COLUMN_BYTES * w->dilation_w));
    const int32_t down = (w->kernel_h + 3) / 4, across = (w->kernel_w + 3) / 4, step = EP_COLUMN_BYTES * w->stride_w;
    const uint32x4_t last = vdupq_n_u32((uint32_t)(count - 1));
    for (int32_t j = 0; j < count; j += 4) {
        const uint32x4_t at = vminq_u32(vidupq_n_u32((uint32_t)j, 1), last);
        const int8_t *p0 = strip + j * step, *p1 = strip + (int32_t)vgetq_lane_u32(at, 1) * step;
        const int8_t *p2 = strip + (int32_t)vgetq_lane_u32(at, 2) * step;
        const int8_t *p3 = strip + (int32_t)vgetq_lane_u32(at, 3) * step, *wt = weights;
        int32_t a = 0, b = 0, c = 0, d = 0;
        for (int32_t g = 0; g < down; g++)
            for (int32_t k = 0; k < across; k++, wt += 16) {
                const ptrdiff_t offset = (g * (EP_STRIP_COLUMNS / down) + k * 4 * w->dilation_w) * EP_COLUMN_BYTES;
                const int8x16_t value = vldrbq_s8(wt);
                a = vmladavaq_s8(a, ep_gather_mve(p0 + offset, columns), value);
                b = vmladavaq_s8(b, ep_gather_mve(p1 + offset, columns), value);
                c = vmladavaq_s8(c, ep_gather_mve(p2 + offset, columns), value);
                d = vmladavaq_s8(d, ep_gather_mve(p3 + offset, columns), value);
            }
        vstrbq_scatter_offset_s32(y, vmulq_n_u32(at, (uint32_t)outputs), ep_finish_mve(s, a, b, c, d));
    }
}

/* All of the strip's channels in assembly: `rows` rows of `count` windows, `columns` columns a row. */
static void ep_strip_sums_mve(const ep_depthwise_s8_args *args, const ep_plan_mve *p, const int8_t *strip,
                              int32_t columns, int32_t rows, int32_t count, int32_t channel, int8_t *y)
{
    const ep_window *w = &args->window;
    const int paired = p->kind == EP_PAIRED;
    const int32_t multiples = args->multiples, outputs = w->channels * multiples;
    const int32_t line = paired ? w->out_w * outputs : 2 * outputs, left = w->channels - channel;
    const int32_t bytes = paired ? count * EP_COLUMN_BYTES : (count + 3) / 4 * 4 * 2 * EP_COLUMN_BYTES;
    const int32_t group = paired ? 2 : 4, first = channel * multiples, taken = left < 16 ? left : 16;
    uint32x4_t from = vmulq_n_u32(vidupq_n_u32(0, 1), EP_COLUMN_BYTES);
    ep_windows t;
    from = vaddq_n_u32(from, (uint32_t)(uintptr_t)strip - 2 * EP_COLUMN_BYTES - 4);
    t.places = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)outputs);
    t.places = vaddq_m_n_u32(t.places, t.places, (uint32_t)(line - 2 * outputs), 0xFF00);
    t.bias = args->bias + first;
    t.multiplier = args->multiplier + first;
    t.shift = args->shift + first;
    t.weights = args->weights + (ptrdiff_t)first * 16;
    t.y = y + first - 1;
    t.rows = rows;
    t.turns = count / group;
    t.rest = count % group;
    t.step = (ptrdiff_t)group * outputs;
    t.back = outputs;
    t.row = (ptrdiff_t)p->lines * w->out_w * outputs;
    t.line = (ptrdiff_t)columns * EP_COLUMN_BYTES - bytes;
    t.zero = args->zero;
    t.low = vdupq_n_s32(args->low);
    t.high = vdupq_n_s32(args->high);
    for (int32_t n = 0; n < taken; n += multiples == 1 ? taken : 1, from = vaddq_n_u32(from, 4))
        for (int32_t m = 0; m < (multiples == 1 ? 1 : multiples); m++) {
            t.from = from;
            t.channels = multiples == 1 ? taken : 1;
            if (paired)
                ep_paired_windows_mve(&t);
            else
                ep_wide_windows_mve(&t);
        }
}

/* The same for any windows, of one row. */
static void ep_any_sums_mve(const ep_depthwise_s8_args *args, const int8_t *strip, int32_t count, int32_t channel,
                            int8_t *y)
{
    const ep_window *w = &args->window;
    const int32_t outputs = w->channels * args->multiples;
    const int32_t taps = (w->kernel_h + 3) / 4 * ((w->kernel_w + 3) / 4) * 16;
    int32_t end = (channel + 16) * args->multiples;
    ep_channel_mve s;
    s.zero = args->zero;
    s.low = vdupq_n_s32(args->low);
    s.high = vdupq_n_s32(args->high);
    if (end > outputs) end = outputs;
    for (int32_t n = channel * args->multiples; n < end; n++) {
        s.bias = args->bias[n];
        s.multiplier = args->multiplier[n];
        s.shift = args->shift[n];
        ep_fours_mve(w, &s, strip + (n / args->multiples - channel) * 4, args->weights + (ptrdiff_t)n * taps, count,
                     y + n, outputs);
    }
}

/* `rows` rows of `count` windows from (i, j) on. */
static void ep_windows_mve(const ep_depthwise_s8_args *args, const ep_plan_mve *p, const int8_t *x, int32_t i,
                           int32_t rows, int32_t j, int32_t count, int8_t *y)
{
    const ep_window *w = &args->window;
    const int32_t left = j * w->stride_w - w->pad_w, columns = ep_columns_mve(w, p, count);
    int8_t strip[EP_STRIP_COLUMNS * EP_COLUMN_BYTES] EP_ALIGNED(16);
    y += ((ptrdiff_t)i * w->out_w + j) * w->channels * args->multiples;
    for (int32_t c = 0; c < w->channels; c += 16) {
        for (int32_t r = 0; r < rows; r++)
            for (int32_t g = 0; g < p->down; g++) {
                const int32_t top = (i + r * p->lines) * w->stride_h - w->pad_h + g * 4 * w->dilation_h;
                const int32_t at = p->down == 1 ? r * columns : g * (EP_STRIP_COLUMNS / p->down);
                ep_put_lines_mve(args, x, top, left, columns, c, strip + at * EP_COLUMN_BYTES);
            }
        if (p->kind == EP_ANY)
            ep_any_sums_mve(args, strip, count, c, y);
        else
            ep_strip_sums_mve(args, p, strip, columns, rows, count, c, y);
    }
}

#endif
