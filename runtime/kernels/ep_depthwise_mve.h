/* Windows of depthwise convolutions in Helium's vectors, from strips [columns][16 channels][4 lines]. Only for targets
 * with MVE. */
#ifndef EP_DEPTHWISE_MVE_H
#define EP_DEPTHWISE_MVE_H

#include <arm_mve.h>

#include "ep_depthwise_s8.h"

#define EP_COLUMN_BYTES 64
#define EP_STRIP_COLUMNS 24

/* True if windows of two lines and two columns lie in one of 4 x 4. */
static inline int ep_is_paired_mve(const ep_window *w)
{
    return w->kernel_h <= 3 && w->kernel_w <= 3 && w->stride_h == 1 && w->stride_w == 1 && w->dilation_h == 1 &&
           w->dilation_w == 1 && w->out_h >= 2 && w->out_w >= 2;
}

/* Columns that the loads of one window reach, and windows of a line whose columns fit a strip. */
static inline int32_t ep_span_mve(const ep_window *w) { return ((w->kernel_w + 3) / 4 * 4 - 1) * w->dilation_w + 1; }

static inline int32_t ep_most_windows_mve(const ep_window *w)
{
    const int32_t columns = EP_STRIP_COLUMNS / ((w->kernel_h + 3) / 4), left = columns - ep_span_mve(w);
    return left < 0 ? 0 : left / w->stride_w + 1;
}

/* Four lines from `top` on, columns from `left` on, sixteen channels: what lies outside is the zero point. */
static inline void ep_put_lines_mve(const ep_depthwise_s8_args *args, const int8_t *x, int32_t top, int32_t left,
                                    int32_t columns, int32_t channel, int8_t *strip)
{
    const ep_window *w = &args->window;
    const int8x16_t outside = vdupq_n_s8((int8_t)args->in_zero);
    const mve_pred16_t lanes = vctp8q((uint32_t)(w->channels - channel));
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
            four.val[0] = vldrbq_z_s8(a, lanes);
            four.val[1] = vldrbq_z_s8(b, lanes);
            four.val[2] = vldrbq_z_s8(c, lanes);
            four.val[3] = vldrbq_z_s8(d, lanes);
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

/* Two lines of `count` windows of one channel, two columns at a time: one load, four sums with shifted weights. */
static inline void ep_pairs_mve(const ep_channel_mve *s, const int8_t *strip, const int8_t *weights, int32_t count,
                                int8_t *y, int32_t outputs, int32_t line)
{
    const uint32x4_t columns = vmulq_n_u32(vidupq_n_u32(0, 1), EP_COLUMN_BYTES);
    const uint32x4_t first = vreinterpretq_u32_s8(vldrbq_s8(weights));
    uint32_t carry = 0;
    const uint32x4_t second = vshlcq_u32(first, &carry, 32);
    const int8x16_t w00 = vreinterpretq_s8_u32(first), w01 = vreinterpretq_s8_u32(second);
    const int8x16_t w10 = vreinterpretq_s8_u32(vshlq_n_u32(first, 8));
    const int8x16_t w11 = vreinterpretq_s8_u32(vshlq_n_u32(second, 8));
    uint32x4_t places = vdupq_n_u32(0);
    places = vsetq_lane_u32((uint32_t)outputs, places, 1);
    places = vsetq_lane_u32((uint32_t)line, places, 2);
    places = vsetq_lane_u32((uint32_t)(line + outputs), places, 3);
    for (int32_t left = count; left > 0; left -= 2) {
        int8x16_t x;
        if (left == 1) { /* the last two once more */
            strip -= EP_COLUMN_BYTES;
            y -= outputs;
        }
        x = ep_gather_mve(strip, columns);
        vstrbq_scatter_offset_s32(y, places,
                                  ep_finish_mve(s, vmladavq_s8(x, w00), vmladavq_s8(x, w01), vmladavq_s8(x, w10),
                                                vmladavq_s8(x, w11)));
        strip += 2 * EP_COLUMN_BYTES;
        y += 2 * outputs;
    }
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

/* `count` windows from (i, j) on, of two lines if `paired`, for sixteen input channels from `channel` on. */
static void ep_windows_mve(const ep_depthwise_s8_args *args, const int8_t *x, int paired, int32_t i, int32_t j,
                           int32_t count, int32_t channel, int8_t *y)
{
    const ep_window *w = &args->window;
    const int32_t outputs = w->channels * args->multiples, down = (w->kernel_h + 3) / 4;
    const int32_t taps = down * ((w->kernel_w + 3) / 4) * 16, most = EP_STRIP_COLUMNS / down;
    const int32_t left = j * w->stride_w - w->pad_w, top = i * w->stride_h - w->pad_h;
    const int32_t columns = (count - 1) * w->stride_w + ep_span_mve(w);
    int32_t end = (channel + 16) * args->multiples;
    int8_t strip[EP_STRIP_COLUMNS * EP_COLUMN_BYTES] EP_ALIGNED(16);
    ep_channel_mve s;
    s.zero = args->zero;
    s.low = vdupq_n_s32(args->low);
    s.high = vdupq_n_s32(args->high);
    for (int32_t g = 0; g < down; g++)
        ep_put_lines_mve(args, x, top + g * 4 * w->dilation_h, left, columns, channel,
                         strip + g * most * EP_COLUMN_BYTES);
    if (end > outputs) end = outputs;
    y += ((ptrdiff_t)i * w->out_w + j) * outputs;
    for (int32_t n = channel * args->multiples; n < end; n++) {
        const int8_t *from = strip + (n / args->multiples - channel) * 4, *weights = args->weights + (ptrdiff_t)n * taps;
        s.bias = args->bias[n];
        s.multiplier = args->multiplier[n];
        s.shift = args->shift[n];
        if (s.shift >= 0) continue;
        if (paired)
            ep_pairs_mve(&s, from, weights, count, y + n, outputs, w->out_w * outputs);
        else
            ep_fours_mve(w, &s, from, weights, count, y + n, outputs);
    }
}

#endif
