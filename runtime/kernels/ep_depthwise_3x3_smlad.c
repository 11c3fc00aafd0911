#include "ep_depthwise_3x3_smlad.h"

#if EP_LAYOUT == EP_LAYOUT_SMLAD

#include "ep_dsp.h"
#include "ep_requant_dsp.h"

#define GROUP 4 /* channels taken apart at once */

/* A band of planes [lines][GROUP][words]. */
typedef struct {
    int32_t *planes;
    int32_t words; /* of a line of one channel */
    int32_t pad;   /* a pair of what lies outside */
} band;

/* Two neighbours of four channels each, as one word a channel. */
static inline void put(int32_t *to, int32_t step, int32_t a, int32_t b)
{
    const int32_t even_a = ep_sxtb16(a), odd_a = ep_sxtb16_ror8(a);
    const int32_t even_b = ep_sxtb16(b), odd_b = ep_sxtb16_ror8(b);
    to[0] = ep_lower_lanes(even_a, even_b);
    to[step] = ep_lower_lanes(odd_a, odd_b);
    to[2 * step] = ep_upper_lanes(even_a, even_b);
    to[3 * step] = ep_upper_lanes(odd_a, odd_b);
}

static inline int32_t at(const ep_window *w, const int8_t *line, int32_t column, int32_t outside)
{
    return column < 0 || column >= w->in_w ? outside : ep_word(line + (ptrdiff_t)column * w->channels);
}

/* One line of the image from `first` on, taken apart. */
static void take_apart(const ep_window *w, const band *b, const int8_t *image, int32_t line, int32_t first, int32_t *to)
{
    const int32_t outside = (int32_t)(((uint32_t)b->pad & 0xFF) * UINT32_C(0x01010101));
    const int32_t words = b->words, channels = w->channels;
    const int8_t *from = image + (ptrdiff_t)line * w->in_w * channels + first;
    int32_t column = -w->pad_w, k = 0;
    if (line < 0 || line >= w->in_h) {
        for (int32_t n = 0; n < GROUP * words; n++) to[n] = b->pad;
        return;
    }
    for (; k < words && column < 0; k++, column += 2)
        put(to + k, words, at(w, from, column, outside), at(w, from, column + 1, outside));
    const int8_t *pixel = from + (ptrdiff_t)column * channels;
    for (; k < words && column + 1 < w->in_w; k++, column += 2, pixel += 2 * channels)
        put(to + k, words, ep_word(pixel), ep_word(pixel + channels));
    for (; k < words; k++, column += 2)
        put(to + k, words, at(w, from, column, outside), at(w, from, column + 1, outside));
}

/* Weights of a channel: of each line the pairs (w0, w1) and (w1, w2). */
typedef struct {
    int32_t p0, q0, p1, q1, p2, q2;
} taps;

/* Two neighbouring sums; the lines move on by what the pixels do. */
typedef struct {
    int32_t left, right;
    const int32_t *line0, *line1, *line2;
} sums;

#if defined(EP_TARGET_SMLAD)

#define LINE(body)                                                                                          \
    do {                                                                                                    \
        int32_t even, odd;                                                                                  \
        __asm__(body                                                                                        \
                : [l] "+r"(s->left), [r] "+r"(s->right), [line] "+r"(*line), [x] "=&r"(even), [y] "=&r"(odd) \
                : [p] "r"(p), [q] "r"(q)                                                                    \
                : "memory");                                                                                \
    } while (0)

static inline void line_1(sums *s, const int32_t **line, int32_t p, int32_t q)
{
    LINE("ldrd %[x], %[y], [%[line]], #4\n\t"
         "smlad %[l], %[x], %[p], %[l]\n\t"
         "smlatb %[r], %[x], %[p], %[r]\n\t"
         "smlabt %[l], %[y], %[q], %[l]\n\t"
         "smlad %[r], %[y], %[q], %[r]");
}

static inline void line_2(sums *s, const int32_t **line, int32_t p, int32_t q)
{
    LINE("ldrd %[x], %[y], [%[line]], #8\n\t"
         "smlad %[l], %[x], %[p], %[l]\n\t"
         "ldr %[x], [%[line]]\n\t"
         "smlabt %[l], %[y], %[q], %[l]\n\t"
         "smlad %[r], %[y], %[p], %[r]\n\t"
         "smlabt %[r], %[x], %[q], %[r]");
}

#else

static inline void line_1(sums *s, const int32_t **line, int32_t p, int32_t q)
{
    const int32_t x = (*line)[0], y = (*line)[1];
    s->left = ep_smlabt(y, q, ep_smlad(x, p, s->left));
    s->right = ep_smlad(y, q, ep_smlatb(x, p, s->right));
    *line += 1;
}

static inline void line_2(sums *s, const int32_t **line, int32_t p, int32_t q)
{
    const int32_t x = (*line)[0], y = (*line)[1], z = (*line)[2];
    s->left = ep_smlabt(y, q, ep_smlad(x, p, s->left));
    s->right = ep_smlabt(z, q, ep_smlad(y, p, s->right));
    *line += 2;
}

#endif

static inline void stride_1(sums *s, const taps *t)
{
    line_1(s, &s->line0, t->p0, t->q0);
    line_1(s, &s->line1, t->p1, t->q1);
    line_1(s, &s->line2, t->p2, t->q2);
}

static inline void stride_2(sums *s, const taps *t)
{
    line_2(s, &s->line0, t->p0, t->q0);
    line_2(s, &s->line1, t->p1, t->q1);
    line_2(s, &s->line2, t->p2, t->q2);
}

/* One channel of a line of results. */
static inline __attribute__((always_inline)) void line_of(sums s, int32_t stride, const taps *t,
                                                          const ep_scale_dsp *scale, int32_t width, int32_t channels,
                                                          int8_t *y)
{
    const int32_t bias = s.left;
    int8_t *const end = y + (ptrdiff_t)width * channels;
    for (; y != end; y += channels, s.left = s.right = bias) {
        if (stride == 1)
            stride_1(&s, t);
        else
            stride_2(&s, t);
        *y = (int8_t)ep_rescale_dsp(s.left, scale);
        y += channels;
        if (y == end) return;
        *y = (int8_t)ep_rescale_dsp(s.right, scale);
    }
}

/* The same with any scale and stride. */
static EP_NOINLINE void line_of_other(sums s, int32_t stride, const taps *t, const ep_scale_dsp *scale, int32_t width,
                                      int32_t channels, int8_t *y)
{
    const int32_t bias = s.left;
    for (int32_t j = 0; j < width; j += 2, s.left = s.right = bias) {
        if (stride == 1)
            stride_1(&s, t);
        else
            stride_2(&s, t);
        y[(ptrdiff_t)j * channels] = (int8_t)ep_rescale_other_dsp(s.left, scale);
        if (j + 1 < width) y[(ptrdiff_t)(j + 1) * channels] = (int8_t)ep_rescale_other_dsp(s.right, scale);
    }
}

/* Channel `n`, the one of number `k` in the planes, of `count` lines of results. */
static void channel(const ep_depthwise_s8_args *args, const band *b, int32_t n, int32_t k, int32_t count, int8_t *y)
{
    const ep_window *w = &args->window;
    const ptrdiff_t step = (ptrdiff_t)GROUP * b->words;
    const ep_scale_dsp scale = ep_make_scale_dsp(args->multiplier[n], args->shift[n], args->zero);
    const int8_t *of = args->weights + n * 3 * GROUP;
    const int32_t w0 = ep_word(of), w1 = ep_word(of + GROUP), w2 = ep_word(of + 2 * GROUP);
    const taps t = {ep_sxtb16(w0), ep_sxtb16_ror8(w0), ep_sxtb16(w1),
                    ep_sxtb16_ror8(w1), ep_sxtb16(w2), ep_sxtb16_ror8(w2)};
    const int32_t *lines = b->planes + k * b->words;
    for (int32_t i = 0; i < count; i++, lines += w->stride_h * step, y += (ptrdiff_t)w->out_w * w->channels) {
        const sums s = {args->bias[n], args->bias[n], lines, lines + step, lines + 2 * step};
        if (!ep_is_usual_dsp(&scale))
            line_of_other(s, w->stride_w, &t, &scale, w->out_w, w->channels, y);
        else if (w->stride_w == 1)
            line_of(s, 1, &t, &scale, w->out_w, w->channels, y);
        else
            line_of(s, 2, &t, &scale, w->out_w, w->channels, y);
    }
}

void ep_depthwise_3x3_smlad(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y, int32_t *planes)
{
    const ep_window *w = &args->window;
    const ptrdiff_t line = (ptrdiff_t)w->out_w * w->channels;
    band b;
    b.planes = planes;
    b.words = (w->out_w + 1) / 2 * w->stride_w + 1;
    b.pad = ep_lanes(args->in_zero, args->in_zero);
    for (int32_t i = 0; i < w->out_h; i += args->band) {
        const int32_t count = w->out_h - i < args->band ? w->out_h - i : args->band;
        const int32_t top = i * w->stride_h - w->pad_h, lines = (count - 1) * w->stride_h + 3;
        for (int32_t n = 0; n < w->channels; n += GROUP) {
            for (int32_t l = 0; l < lines; l++) take_apart(w, &b, x, top + l, n, planes + l * GROUP * b.words);
            for (int32_t k = 0; k < GROUP; k++) channel(args, &b, n + k, k, count, y + i * line + n + k);
        }
    }
}

#endif
