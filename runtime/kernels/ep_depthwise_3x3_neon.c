#include "ep_depthwise_3x3_neon.h"

#if (EP_LAYOUT == EP_LAYOUT_NEON_DOT && defined(EP_TARGET_DOTPROD)) || \
    (EP_LAYOUT != EP_LAYOUT_NEON_DOT && defined(EP_TARGET_NEON))

#include "ep_requant_neon.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-schedule-insns") /* which gathers loads until registers run out */
#endif

#define INLINE static inline __attribute__((always_inline))

/* Eight channels of one layer. */
#if EP_LAYOUT == EP_LAYOUT_NEON_DOT

typedef struct {
    int8x16_t low, high; /* four channels, four lines of each; the last counts nothing */
} column;

typedef struct {
    column taps[3];
} weights;

INLINE column column_of(int8x8_t a, int8x8_t b, int8x8_t c)
{
    const int8x16_t none = vdupq_n_s8(0), first = vcombine_s8(a, vdup_n_s8(0)), second = vcombine_s8(b, vdup_n_s8(0));
    const int8x16_t ac = vzip1q_s8(first, vcombine_s8(c, vdup_n_s8(0))), b0 = vzip1q_s8(second, none);
    column made;
    made.low = vzip1q_s8(ac, b0);
    made.high = vzip2q_s8(ac, b0);
    return made;
}

INLINE weights load_weights(const int8_t *w, int32_t first)
{
    weights made;
    w += (ptrdiff_t)first * 12;
    for (int32_t j = 0; j < 3; j++) {
        made.taps[j].low = vld1q_s8(w + j * 32);
        made.taps[j].high = vld1q_s8(w + j * 32 + 16);
    }
    return made;
}

INLINE void add(const weights *w, column c0, column c1, column c2, int32x4_t *low, int32x4_t *high)
{
    *low = vdotq_s32(vdotq_s32(vdotq_s32(*low, w->taps[0].low, c0.low), w->taps[1].low, c1.low), w->taps[2].low, c2.low);
    *high = vdotq_s32(vdotq_s32(vdotq_s32(*high, w->taps[0].high, c0.high), w->taps[1].high, c1.high), w->taps[2].high,
                      c2.high);
}

#else

typedef struct {
    int8x8_t line[3];
} column;

typedef struct {
    int8x8_t taps[9];
} weights;

INLINE column column_of(int8x8_t a, int8x8_t b, int8x8_t c)
{
    column made;
    made.line[0] = a;
    made.line[1] = b;
    made.line[2] = c;
    return made;
}

INLINE weights load_weights(const int8_t *w, int32_t first)
{
    weights made;
    for (int32_t tap = 0; tap < 9; tap++) made.taps[tap] = vld1_s8(w + (ptrdiff_t)first * 9 + tap * 8);
    return made;
}

INLINE void both(int16x8_t sum, int32x4_t *low, int32x4_t *high)
{
    *low = vaddw_s16(*low, vget_low_s16(sum));
    *high = vaddw_high_s16(*high, sum);
}

/* Pairs of products are added in sixteen bits. */
INLINE void add(const weights *w, column c0, column c1, column c2, int32x4_t *low, int32x4_t *high)
{
    both(vmlal_s8(vmull_s8(c0.line[0], w->taps[0]), c1.line[0], w->taps[1]), low, high);
    both(vmlal_s8(vmull_s8(c2.line[0], w->taps[2]), c0.line[1], w->taps[3]), low, high);
    both(vmlal_s8(vmull_s8(c1.line[1], w->taps[4]), c2.line[1], w->taps[5]), low, high);
    both(vmlal_s8(vmull_s8(c0.line[2], w->taps[6]), c1.line[2], w->taps[7]), low, high);
    both(vmull_s8(c2.line[2], w->taps[8]), low, high);
}

#endif

typedef struct {
    ep_window window;
    ep_finish_neon finish;
    weights taps;
    int32x4_t bias[2], multiplier[2], shift[2];
    int8x8_t outside;
    int32_t left; /* channels from here on */
} job;

/* The three lines of a row of windows, where the block's channels of column 0 lie; steps are 0 for lines outside. */
typedef struct {
    const int8_t *at[3];
    ptrdiff_t step[3];
} lines;

INLINE int8x8_t eight(const job *j, const int8_t *from, ptrdiff_t step)
{
    int8_t some[8] = {0};
    if (j->left >= 8 || step == 0) return vld1_s8(from);
    for (int32_t n = 0; n < j->left; n++) some[n] = from[n];
    return vld1_s8(some);
}

INLINE column inside(const job *j, const lines *l, int32_t at)
{
    return column_of(eight(j, l->at[0] + at * l->step[0], l->step[0]), eight(j, l->at[1] + at * l->step[1], l->step[1]),
                     eight(j, l->at[2] + at * l->step[2], l->step[2]));
}

INLINE column any(const job *j, const lines *l, int32_t at)
{
    if (at < 0 || at >= j->window.in_w) return column_of(j->outside, j->outside, j->outside);
    return inside(j, l, at);
}

INLINE void put(const job *j, column c0, column c1, column c2, int8_t *y)
{
    int32x4_t low = j->bias[0], high = j->bias[1];
    add(&j->taps, c0, c1, c2, &low, &high);
    ep_put8_neon(&j->finish, j->multiplier, j->shift, low, high, j->left, y);
}

/* One line of results, neighbouring windows two columns in common. */
INLINE void line_of_1(const job *j, const lines *l, int8_t *y)
{
    const ep_window *w = &j->window;
    const ptrdiff_t step = w->channels;
    const int32_t last = w->in_w - 2 + w->pad_w < w->out_w ? w->in_w - 2 + w->pad_w : w->out_w; /* inside up to it */
    int32_t i = 0, at = 2 - w->pad_w;
    column a = any(j, l, at - 2), b = any(j, l, at - 1), c;
    for (; i + 3 <= last && at >= 0; i += 3, at += 3, y += 3 * step) {
        c = inside(j, l, at);
        put(j, a, b, c, y);
        a = inside(j, l, at + 1);
        put(j, b, c, a, y + step);
        b = inside(j, l, at + 2);
        put(j, c, a, b, y + 2 * step);
    }
    for (; i < w->out_w; i++, at++, y += step) {
        c = any(j, l, at);
        put(j, a, b, c, y);
        a = b;
        b = c;
    }
}

/* The same at any other stride. */
INLINE void line_of_any(const job *j, const lines *l, int8_t *y)
{
    const ep_window *w = &j->window;
    int32_t at = -w->pad_w;
    column a = any(j, l, at), b, c;
    for (int32_t i = 0; i < w->out_w; i++, y += w->channels) {
        b = any(j, l, at + 1);
        c = any(j, l, at + 2);
        put(j, a, b, c, y);
        at += w->stride_w;
        a = w->stride_w == 2 ? c : any(j, l, at);
    }
}

/* Eight channels of the whole image. */
INLINE void block(const job *j, int next, const int8_t *x, const int8_t *outside, int8_t *y)
{
    const ep_window *w = &j->window;
    const ptrdiff_t line = (ptrdiff_t)w->in_w * w->channels;
    for (int32_t i = 0; i < w->out_h; i++, y += (ptrdiff_t)w->out_w * w->channels) {
        const int32_t top = i * w->stride_h - w->pad_h;
        lines l;
        for (int32_t a = 0; a < 3; a++) {
            const int is_inside = top + a >= 0 && top + a < w->in_h;
            l.at[a] = is_inside ? x + (top + a) * line : outside;
            l.step[a] = is_inside ? w->channels : 0;
        }
        if (next)
            line_of_1(j, &l, y);
        else
            line_of_any(j, &l, y);
    }
}

static void whole(const job *all, const int8_t *x, const int8_t *outside, int8_t *y)
{
    job j = *all;
    j.left = 8;
    if (j.window.stride_w == 1)
        block(&j, 1, x, outside, y);
    else
        block(&j, 0, x, outside, y);
}

static void part(const job *j, const int8_t *x, const int8_t *outside, int8_t *y) { block(j, 0, x, outside, y); }

int ep_depthwise_3x3_neon(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y)
{
    const int32_t channels = args->window.channels;
    int8_t outside[8];
    job j;
    if (!ep_is_3x3(args)) return 0;
    j.window = args->window;
    j.finish = ep_load_finish_neon(args->zero, args->low, args->high, args->shift, channels);
    j.outside = vdup_n_s8((int8_t)args->in_zero);
    vst1_s8(outside, j.outside);
    for (int32_t first = 0; first < channels; first += 8) {
        j.taps = load_weights(args->weights, first);
        j.left = channels - first;
        for (int32_t i = 0; i < 2; i++) {
            j.bias[i] = vld1q_s32(args->bias + first + 4 * i);
            j.multiplier[i] = vld1q_s32(args->multiplier + first + 4 * i);
            j.shift[i] = vld1q_s32(args->shift + first + 4 * i);
        }
        if (j.left >= 8)
            whole(&j, x + first, outside, y + first);
        else
            part(&j, x + first, outside, y + first);
    }
    return 1;
}

#else

int ep_depthwise_3x3_neon(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y)
{
    (void)args, (void)x, (void)y;
    return 0;
}

#endif
