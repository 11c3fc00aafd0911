/* ep_depthwise_s8 for EP_LAYOUT_BLOCKS16X4: weights [channels / 16][taps / 4][16][4], the input's zero point in the bias,
 * taps outside of the image read as the zero point. */
#include "ep_depthwise_s8.h"

#include <string.h>

#include "ep_requant.h"

#define WIDTH 16
#define STEP 4

static inline int32_t taps_of(const ep_window *w) { return w->kernel_h * w->kernel_w; }

static inline int32_t quads_of(const ep_window *w) { return (taps_of(w) + STEP - 1) / STEP; }

static const int8_t *source(const ep_window *w, const int8_t *x, int32_t i, int32_t j, int32_t tap)
{
    const int32_t line = i * w->stride_h - w->pad_h + tap / w->kernel_w * w->dilation_h;
    const int32_t column = j * w->stride_w - w->pad_w + tap % w->kernel_w * w->dilation_w;
    if (line < 0 || line >= w->in_h || column < 0 || column >= w->in_w) return NULL;
    return x + ((ptrdiff_t)line * w->in_w + column) * w->channels;
}

/* Sixteen outputs of one pixel in plain C. */
static void block(const ep_depthwise_s8_args *args, const int8_t *x, int32_t i, int32_t j, int32_t first, int8_t *y)
{
    const ep_window *w = &args->window;
    const int32_t left = w->channels * args->multiples - first, count = left < WIDTH ? left : WIDTH;
    const int8_t *weights = args->weights + (ptrdiff_t)first * quads_of(w) * STEP;
    for (int32_t n = 0; n < count; n++) {
        int32_t acc = args->bias[first + n];
        for (int32_t tap = 0; tap < taps_of(w); tap++) {
            const int8_t *pixel = source(w, x, i, j, tap);
            const int32_t value = pixel == NULL ? args->in_zero : pixel[(first + n) / args->multiples];
            acc += (value + 128) * weights[(tap / STEP * WIDTH + n) * STEP + tap % STEP];
        }
        acc = ep_rescale(acc, args->multiplier[first + n], args->shift[first + n]);
        y[first + n] = ep_clamp_s8(args->zero + acc, args->low, args->high);
    }
}

static void plain(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y)
{
    const ep_window *w = &args->window;
    const int32_t outputs = w->channels * args->multiples;
    for (int32_t i = 0; i < w->out_h; i++)
        for (int32_t j = 0; j < w->out_w; j++, y += outputs)
            for (int32_t first = 0; first < outputs; first += WIDTH) block(args, x, i, j, first, y);
}

#if defined(EP_TARGET_AVX512VNNI) && defined(__AVX512VBMI__)

#include "ep_requant_avx512.h"

#define MOST_TAPS 64

/* Where the taps of a pixel lie, and how far it is to the next sixteen channels: taps outside read the same again. */
typedef struct {
    const int8_t *at[MOST_TAPS];
    int32_t step[MOST_TAPS];
} sources;

static void find(const ep_window *w, const int8_t *x, int32_t i, int32_t j, const int8_t *outside, sources *s)
{
    const int32_t taps = taps_of(w), all = quads_of(w) * STEP;
    const int32_t top = i * w->stride_h - w->pad_h, left = j * w->stride_w - w->pad_w;
    int32_t tap = 0;
    for (int32_t a = 0; a < w->kernel_h; a++) {
        const int32_t line = top + a * w->dilation_h;
        const int8_t *row = x + (ptrdiff_t)line * w->in_w * w->channels;
        for (int32_t b = 0; b < w->kernel_w; b++, tap++) {
            const int32_t column = left + b * w->dilation_w;
            const int inside = line >= 0 && line < w->in_h && column >= 0 && column < w->in_w;
            s->at[tap] = inside ? row + (ptrdiff_t)column * w->channels : outside;
            s->step[tap] = inside ? 1 : 0;
        }
    }
    for (tap = taps; tap < all; tap++) {
        s->at[tap] = outside;
        s->step[tap] = 0;
    }
}

/* How far the taps lie behind the first; those that only fill up are the first again, their weights are 0. */
static void offsets_of(const ep_window *w, int32_t *offsets)
{
    const int32_t taps = taps_of(w), all = quads_of(w) * STEP;
    for (int32_t tap = 0; tap < all; tap++) {
        const int32_t line = tap / w->kernel_w * w->dilation_h, column = tap % w->kernel_w * w->dilation_w;
        offsets[tap] = tap < taps ? (line * w->in_w + column) * w->channels : 0;
    }
}

static int is_inside(const ep_window *w, int32_t i, int32_t j)
{
    const int32_t top = i * w->stride_h - w->pad_h, left = j * w->stride_w - w->pad_w;
    return top >= 0 && left >= 0 && top + (w->kernel_h - 1) * w->dilation_h < w->in_h &&
           left + (w->kernel_w - 1) * w->dilation_w < w->in_w;
}

/* Four taps of sixteen channels, the taps of a channel beside each other, counted from -128. */
static inline __m512i four_taps(const sources *s, int32_t tap, int32_t first, __mmask16 mask, __m512i order)
{
    __m512i v = _mm512_castsi128_si512(_mm_maskz_loadu_epi8(mask, s->at[tap] + first * s->step[tap]));
    v = _mm512_inserti32x4(v, _mm_maskz_loadu_epi8(mask, s->at[tap + 1] + first * s->step[tap + 1]), 1);
    v = _mm512_inserti32x4(v, _mm_maskz_loadu_epi8(mask, s->at[tap + 2] + first * s->step[tap + 2]), 2);
    v = _mm512_inserti32x4(v, _mm_maskz_loadu_epi8(mask, s->at[tap + 3] + first * s->step[tap + 3]), 3);
    v = _mm512_permutexvar_epi8(order, v);
    return _mm512_xor_si512(v, _mm512_set1_epi8((char)0x80));
}

static void vector(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y)
{
    const ep_window *w = &args->window;
    const int32_t channels = w->channels, quads = quads_of(w);
    int8_t outside[WIDTH], picks[64];
    int32_t offsets[MOST_TAPS];
    __m512i order;
    sources s;
    memset(outside, args->in_zero, sizeof outside);
    for (int32_t n = 0; n < 64; n++) picks[n] = (int8_t)(n % 4 * 16 + n / 4);
    order = _mm512_loadu_si512(picks);
    offsets_of(w, offsets);
    for (int32_t i = 0; i < w->out_h; i++)
        for (int32_t j = 0; j < w->out_w; j++, y += channels) {
            const int8_t *weights = args->weights;
            if (is_inside(w, i, j)) {
                const int8_t *pixel = source(w, x, i, j, 0);
                for (int32_t tap = 0; tap < quads * STEP; tap++) {
                    s.at[tap] = pixel + offsets[tap];
                    s.step[tap] = 1;
                }
            } else {
                find(w, x, i, j, outside, &s);
            }
            for (int32_t first = 0; first < channels; first += WIDTH) {
                const int32_t left = channels - first;
                const __mmask16 mask = (__mmask16)(left >= WIDTH ? 0xFFFF : (1 << left) - 1);
                const ep_scale_avx512 scale = ep_load_scale_avx512(args->multiplier + first, args->shift + first);
                __m512i acc = _mm512_loadu_si512(args->bias + first);
                for (int32_t q = 0; q < quads; q++, weights += WIDTH * STEP)
                    acc = _mm512_dpbusd_epi32(acc, four_taps(&s, q * STEP, first, mask, order),
                                              _mm512_loadu_si512(weights));
                ep_store_avx512(&scale, acc, args->zero, args->low, args->high, mask, y + first);
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
#if defined(EP_TARGET_AVX512VNNI) && defined(__AVX512VBMI__)
        if (args->multiples == 1 && quads_of(w) * STEP <= MOST_TAPS) {
            vector(args, x, y);
            continue;
        }
#endif
        plain(args, x, y);
    }
}
