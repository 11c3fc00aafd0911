/* ep_depthwise_s8 for EP_LAYOUT_NEON and EP_LAYOUT_NEON_DOT: weights [channels / 8][taps][8], for the dot product's 3 x 3
 * windows [channels / 8][3 columns][8][4 lines]; the input's zero point in the bias, taps outside of the image read as
 * the zero point. */
#include "ep_depthwise_s8.h"

#include <string.h>

#include "ep_depthwise_3x3_neon.h"
#include "ep_requant.h"

static inline int32_t taps_of(const ep_window *w) { return w->kernel_h * w->kernel_w; }

static const int8_t *source(const ep_window *w, const int8_t *x, int32_t i, int32_t j, int32_t tap)
{
    const int32_t line = i * w->stride_h - w->pad_h + tap / w->kernel_w * w->dilation_h;
    const int32_t column = j * w->stride_w - w->pad_w + tap % w->kernel_w * w->dilation_w;
    if (line < 0 || line >= w->in_h || column < 0 || column >= w->in_w) return NULL;
    return x + ((ptrdiff_t)line * w->in_w + column) * w->channels;
}

static inline int32_t weight_of(const ep_depthwise_s8_args *args, int32_t n, int32_t tap)
{
    if (ep_in_columns(args)) return args->weights[(n / 8 * 3 + tap % 3) * 32 + n % 8 * 4 + tap / 3];
    return args->weights[(ptrdiff_t)(n / 8 * taps_of(&args->window) + tap) * 8 + n % 8];
}

/* One output pixel in plain C. */
static void pixel(const ep_depthwise_s8_args *args, const int8_t *x, int32_t i, int32_t j, int8_t *y)
{
    const ep_window *w = &args->window;
    for (int32_t n = 0; n < w->channels * args->multiples; n++) {
        int32_t acc = args->bias[n];
        for (int32_t tap = 0; tap < taps_of(w); tap++) {
            const int8_t *from = source(w, x, i, j, tap);
            acc += (from == NULL ? args->in_zero : from[n / args->multiples]) * weight_of(args, n, tap);
        }
        acc = ep_rescale(acc, args->multiplier[n], args->shift[n]);
        y[n] = ep_clamp_s8(args->zero + acc, args->low, args->high);
    }
}

static void plain(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y)
{
    const ep_window *w = &args->window;
    for (int32_t i = 0; i < w->out_h; i++)
        for (int32_t j = 0; j < w->out_w; j++, y += w->channels * args->multiples) pixel(args, x, i, j, y);
}

#if defined(EP_TARGET_NEON)

#include "ep_requant_neon.h"

#define MOST_TAPS 64

/* Where the taps of a pixel lie, and how far it is to the next channel: taps outside read the same again. */
typedef struct {
    const int8_t *at[MOST_TAPS];
    int32_t step[MOST_TAPS];
} sources;

static void find(const ep_window *w, const int8_t *x, int32_t i, int32_t j, const int8_t *outside, sources *s)
{
    for (int32_t tap = 0; tap < taps_of(w); tap++) {
        const int8_t *from = source(w, x, i, j, tap);
        s->at[tap] = from == NULL ? outside : from;
        s->step[tap] = from != NULL;
    }
}

/* Eight channels of a tap from channel `first` on, if so many are left. */
static inline int8x8_t eight(const sources *s, int32_t tap, int32_t first, int32_t left)
{
    const int8_t *from = s->at[tap] + first * s->step[tap];
    int8_t some[8] = {0};
    if (left >= 8) return vld1_s8(from);
    for (int32_t n = 0; n < left; n++) some[n] = from[n];
    return vld1_s8(some);
}

/* Any window of one output for each channel: two products are added in sixteen bits, then go to the sums. */
static void vector(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y)
{
    const ep_window *w = &args->window;
    const int32_t channels = w->channels, taps = taps_of(w);
    const ep_finish_neon f = ep_load_finish_neon(args->zero, args->low, args->high, args->shift, channels);
    int8_t outside[8];
    sources s;
    memset(outside, args->in_zero, sizeof outside);
    for (int32_t i = 0; i < w->out_h; i++)
        for (int32_t j = 0; j < w->out_w; j++, y += channels) {
            const int8_t *weights = args->weights;
            find(w, x, i, j, outside, &s);
            for (int32_t first = 0; first < channels; first += 8) {
                const int32_t left = channels - first;
                const int32_t *by = args->multiplier + first, *to = args->shift + first;
                const int32x4_t multiplier[2] = {vld1q_s32(by), vld1q_s32(by + 4)};
                const int32x4_t shift[2] = {vld1q_s32(to), vld1q_s32(to + 4)};
                int32x4_t low = vld1q_s32(args->bias + first), high = vld1q_s32(args->bias + first + 4);
                for (int32_t tap = 0; tap < taps; tap += 2, weights += 16) {
                    int16x8_t sum = vmull_s8(eight(&s, tap, first, left), vld1_s8(weights));
                    if (tap + 1 < taps)
                        sum = vmlal_s8(sum, eight(&s, tap + 1, first, left), vld1_s8(weights + 8));
                    else
                        weights -= 8;
                    low = vaddw_s16(low, vget_low_s16(sum));
                    high = vaddw_high_s16(high, sum);
                }
                ep_put8_neon(&f, multiplier, shift, low, high, left, y + first);
            }
        }
}

#endif

void ep_depthwise_s8(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y)
{
    const ep_window *w = &args->window;
    const ptrdiff_t in = (ptrdiff_t)w->in_h * w->in_w * w->channels;
    const ptrdiff_t out = (ptrdiff_t)w->out_h * w->out_w * w->channels * args->multiples;
    for (int32_t b = 0; b < w->batch; b++, x += in, y += out) {
        if (ep_depthwise_3x3_neon(args, x, y)) continue;
#if defined(EP_TARGET_NEON)
        if (args->multiples == 1 && !ep_in_columns(args) && taps_of(w) <= MOST_TAPS) {
            vector(args, x, y);
            continue;
        }
#endif
        plain(args, x, y);
    }
}
