/* ep_gemm_s8 for EP_LAYOUT_SMLAD: weights [outputs / 2][depth / 4][2] words, two outputs in a lane: 256 b + a.
 *
 * A lane as it is gives the sum 256 sb + sa, its sign-extended lower byte the sum sa, so that two outputs cost one
 * instruction beside the products. Sums are kept modulo 2^32: what is left of sb are 24 bits, enough for CHUNK elements. */
#include "ep_gemm_s8.h"

#include "ep_requant_dsp.h"

#define CHUNK 496 /* 2^14 CHUNK < 2^23 */
#define STEP 4

/* Sums of an output pair over four rows: those of the first output, and those of both. */
typedef struct {
    int32_t a[4], both[4];
} sums;

/* Sums of two output pairs over one row. */
typedef struct {
    int32_t a0, both0, a1, both1;
} row_sums;

static inline int32_t filled(const ep_gemm_s8_args *args) { return (args->depth + STEP - 1) / STEP * STEP; }

#if defined(EP_SMLAD_ASM)

/* Two elements of four rows and two outputs: sixteen products in twelve instructions. */
#define PAIR                             \
    "ldr %[w], [%[weights]], #4\n\t"     \
    "ldrd %[x], %[y], [%[rows]], #8\n\t" \
    "sxtb16 %[v], %[w]\n\t"              \
    "smlad %[b0], %[x], %[w], %[b0]\n\t" \
    "smlad %[a0], %[x], %[v], %[a0]\n\t" \
    "smlad %[b1], %[y], %[w], %[b1]\n\t" \
    "smlad %[a1], %[y], %[v], %[a1]\n\t" \
    "ldrd %[x], %[y], [%[rows]], #8\n\t" \
    "smlad %[b2], %[x], %[w], %[b2]\n\t" \
    "smlad %[a2], %[x], %[v], %[a2]\n\t" \
    "smlad %[b3], %[y], %[w], %[b3]\n\t" \
    "smlad %[a3], %[y], %[v], %[a3]\n\t"

#define FOUR_ROWS(body)                                                                                               \
    do {                                                                                                              \
        int32_t word, lower, even, odd;                                                                               \
        __asm__(body                                                                                                  \
                : [b0] "+r"(s->both[0]), [b1] "+r"(s->both[1]), [b2] "+r"(s->both[2]), [b3] "+r"(s->both[3]),         \
                  [a0] "+r"(s->a[0]), [a1] "+r"(s->a[1]), [a2] "+r"(s->a[2]), [a3] "+r"(s->a[3]), [rows] "+r"(x),     \
                  [weights] "+r"(w), [w] "=&r"(word), [v] "=&r"(lower), [x] "=&r"(even), [y] "=&r"(odd)               \
                :                                                                                                     \
                : "memory");                                                                                          \
    } while (0)

static inline const int32_t *multiply(sums *s, const int32_t *x, const int32_t *w, const int32_t *whole,
                                      const int32_t *end)
{
    while (x != whole) FOUR_ROWS(PAIR PAIR PAIR PAIR PAIR PAIR PAIR PAIR);
    while (x != end) FOUR_ROWS(PAIR PAIR);
    return w;
}

/* Four elements of a row and four outputs: sixteen products in seventeen instructions. */
#define QUAD                             \
    "ldr %[y], [%[row]], #4\n\t"         \
    "ldrd %[w], %[v], [%[first]], #8\n\t" \
    "sxtb16 %[x], %[y]\n\t"              \
    "sxtb16 %[y], %[y], ror #8\n\t"      \
    "sxtb16 %[u], %[w]\n\t"              \
    "smlad %[b0], %[x], %[w], %[b0]\n\t" \
    "smlad %[a0], %[x], %[u], %[a0]\n\t" \
    "sxtb16 %[u], %[v]\n\t"              \
    "smlad %[b0], %[y], %[v], %[b0]\n\t" \
    "smlad %[a0], %[y], %[u], %[a0]\n\t" \
    "ldrd %[w], %[v], [%[second]], #8\n\t" \
    "sxtb16 %[u], %[w]\n\t"              \
    "smlad %[b1], %[x], %[w], %[b1]\n\t" \
    "smlad %[a1], %[x], %[u], %[a1]\n\t" \
    "sxtb16 %[u], %[v]\n\t"              \
    "smlad %[b1], %[y], %[v], %[b1]\n\t" \
    "smlad %[a1], %[y], %[u], %[a1]\n\t"

#define ONE_ROW(body)                                                                                                 \
    do {                                                                                                              \
        int32_t even, odd, lower, left, right;                                                                        \
        __asm__(body                                                                                                  \
                : [b0] "+r"(s->both0), [a0] "+r"(s->a0), [b1] "+r"(s->both1), [a1] "+r"(s->a1), [row] "+r"(x),        \
                  [first] "+r"(w0), [second] "+r"(w1), [x] "=&r"(even), [y] "=&r"(odd), [u] "=&r"(lower),             \
                  [w] "=&r"(left), [v] "=&r"(right)                                                                   \
                :                                                                                                     \
                : "memory");                                                                                          \
    } while (0)

static inline void multiply_row(row_sums *s, const int8_t *x, const int32_t *w0, const int32_t *w1, int32_t depth)
{
    const int8_t *const end = x + depth, *const whole = x + depth / (4 * STEP) * (4 * STEP);
    while (x != whole) ONE_ROW(QUAD QUAD QUAD QUAD);
    while (x != end) ONE_ROW(QUAD);
}

#else

static inline const int32_t *multiply(sums *s, const int32_t *x, const int32_t *w, const int32_t *whole,
                                      const int32_t *end)
{
    (void)whole;
    for (; x != end; x += 4, w++) {
        const int32_t lower = ep_sxtb16(*w);
        for (int32_t r = 0; r < 4; r++) {
            s->both[r] = ep_smlad(x[r], *w, s->both[r]);
            s->a[r] = ep_smlad(x[r], lower, s->a[r]);
        }
    }
    return w;
}

static inline void pair_of_row(int32_t *a, int32_t *both, int32_t x, int32_t w)
{
    *both = ep_smlad(x, w, *both);
    *a = ep_smlad(x, ep_sxtb16(w), *a);
}

static inline void multiply_row(row_sums *s, const int8_t *x, const int32_t *w0, const int32_t *w1, int32_t depth)
{
    for (int32_t k = 0; k < depth; k += STEP, x += STEP, w0 += 2, w1 += 2) {
        const int32_t even = ep_sxtb16(ep_word(x)), odd = ep_sxtb16_ror8(ep_word(x));
        pair_of_row(&s->a0, &s->both0, even, w0[0]);
        pair_of_row(&s->a0, &s->both0, odd, w0[1]);
        pair_of_row(&s->a1, &s->both1, even, w1[0]);
        pair_of_row(&s->a1, &s->both1, odd, w1[1]);
    }
}

#endif

/* sb where both sums began at the same number. */
static inline int32_t second(int32_t both, int32_t a) { return (int32_t)((uint32_t)both - (uint32_t)a) >> 8; }

/* An output of the layout's `scales`. */
typedef struct {
    int32_t bias;
    ep_scale_dsp scale;
} result;

static inline result result_of(const int32_t *words)
{
    const result r = {words[0], {words[1], words[2], words[3]}};
    return r;
}

static EP_NOINLINE void finish_other(const ep_scale_dsp *scale, const int32_t *values, int8_t *y, const int32_t *rows)
{
    for (int32_t r = 3; r >= 0; r--) y[rows[r]] = (int8_t)ep_rescale_other_dsp(values[r], scale);
}

/* One output of four rows, the first row last: rows that are not there lie where it does. */
static inline void finish(const result *result, int32_t v0, int32_t v1, int32_t v2, int32_t v3, int8_t *y,
                          const int32_t *rows)
{
    const ep_scale_dsp *scale = &result->scale;
    if (!ep_is_usual_dsp(scale)) {
        const int32_t values[4] = {v0, v1, v2, v3};
        const ep_scale_dsp held = *scale;
        finish_other(&held, values, y, rows);
        return;
    }
    y[rows[3]] = (int8_t)ep_rescale_dsp(v3, scale);
    y[rows[2]] = (int8_t)ep_rescale_dsp(v2, scale);
    y[rows[1]] = (int8_t)ep_rescale_dsp(v1, scale);
    y[0] = (int8_t)ep_rescale_dsp(v0, scale);
}

/* The first chunks of a deep product; gives the weights behind them. `before` is what they bring to second sums. */
static EP_NOINLINE const int32_t *first_chunks(sums *all, int32_t *before, const int32_t *x, const int32_t *w,
                                               const int32_t *end)
{
    sums s = *all;
    for (; x != end; x += 2 * CHUNK) {
        w = multiply(&s, x, w, x + 2 * CHUNK, x + 2 * CHUNK);
        for (int32_t r = 0; r < 4; r++) {
            before[r] += second(s.both[r], s.a[r]);
            s.both[r] = s.a[r];
        }
    }
    *all = s;
    return w;
}

void ep_gemm_pairs_s8(const ep_gemm_s8_args *args, const int32_t *pairs, int32_t count, int8_t *y)
{
    const int32_t depth = filled(args), step = args->outputs, chunks = (depth - 1) / CHUNK;
    const int32_t rows[4] = {0, count > 1 ? step : 0, count > 2 ? 2 * step : 0, count > 3 ? 3 * step : 0};
    const int32_t *const x = pairs + chunks * (2 * CHUNK), *const end = pairs + 2 * depth;
    const int32_t *const whole = x + (end - x) / (8 * STEP) * (8 * STEP);
    const int32_t *w = (const int32_t *)(const void *)args->weights;
    const int32_t *scales = args->scales, *const all = scales + (ptrdiff_t)step * EP_SCALE_WORDS;
    int8_t *const first = y;
    for (; scales < all; scales += 2 * EP_SCALE_WORDS, y += 2) {
        const int32_t start = scales[0];
        sums s = {{start, start, start, start}, {start, start, start, start}};
        int32_t before[4] = {0, 0, 0, 0};
        if (chunks > 0) {
            sums deep = s;
            w = first_chunks(&deep, before, pairs, w, x);
            s = deep;
        }
        w = multiply(&s, x, w, whole, end);
        const result one = result_of(scales), two = result_of(scales + EP_SCALE_WORDS);
        int32_t others[4];
        for (int32_t r = 0; r < 4; r++) others[r] = two.bias + second(s.both[r], s.a[r]);
        if (chunks > 0)
            for (int32_t r = 0; r < 4; r++) others[r] += before[r];
        finish(&one, s.a[0], s.a[1], s.a[2], s.a[3], y, rows);
        if (scales + EP_SCALE_WORDS < all) finish(&two, others[0], others[1], others[2], others[3], y + 1, rows);
    }
    ep_clamp_all_s8(first, count * step, args->low, args->high);
}

/* The last, incomplete word of a row. */
static void last(row_sums *s, const int8_t *x, int32_t count, const int32_t *w0, const int32_t *w1)
{
    int8_t word[STEP] = {0};
    for (int32_t k = 0; k < count; k++) word[k] = x[k];
    multiply_row(s, word, w0, w1, STEP);
}

static void one_row(const ep_gemm_s8_args *args, const int8_t *x, int8_t *y)
{
    const int32_t depth = filled(args), whole = args->depth / STEP * STEP;
    const int32_t *w = (const int32_t *)(const void *)args->weights;
    for (int32_t n = 0; n < args->outputs; n += 4, w += depth) {
        const int32_t left = args->outputs - n, count = left < 4 ? left : 4;
        const int32_t *w1 = left > 2 ? w + depth / 2 : w;
        row_sums s = {0, 0, 0, 0};
        int32_t values[4] = {0, 0, 0, 0};
        for (int32_t k = 0; k < whole; k += CHUNK) {
            const int32_t some = whole - k < CHUNK ? whole - k : CHUNK;
            multiply_row(&s, x + k, w + k / 2, w1 + k / 2, some);
            values[1] += second(s.both0, s.a0);
            values[3] += second(s.both1, s.a1);
            s.both0 = s.a0;
            s.both1 = s.a1;
        }
        if (whole < args->depth) {
            last(&s, x + whole, args->depth - whole, w + whole / 2, w1 + whole / 2);
            values[1] += second(s.both0, s.a0);
            values[3] += second(s.both1, s.a1);
        }
        values[0] = s.a0;
        values[2] = s.a1;
        for (int32_t i = 0; i < count; i++) {
            const result r = result_of(args->scales + (n + i) * EP_SCALE_WORDS);
            y[n + i] = (int8_t)ep_rescale_any_dsp(r.bias + values[i], &r.scale);
        }
    }
    ep_clamp_all_s8(y, args->outputs, args->low, args->high);
}

void ep_gemm_s8(const ep_gemm_s8_args *args, const int8_t *x, int32_t rows, int8_t *y)
{
    for (; rows > 0; rows--, x += args->depth, y += args->outputs) one_row(args, x, y);
}
