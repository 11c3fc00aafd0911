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

#if defined(EP_TARGET_SMLAD) && defined(__OPTIMIZE__) && !defined(EP_WITHOUT_ASM)

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

static inline void multiply(sums *s, const int32_t *x, const int32_t *w, int32_t depth)
{
    const int32_t *const end = w + depth / 2, *const whole = w + depth / (4 * STEP) * (2 * STEP);
    while (w != whole) FOUR_ROWS(PAIR PAIR PAIR PAIR PAIR PAIR PAIR PAIR);
    while (w != end) FOUR_ROWS(PAIR PAIR);
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

static inline void multiply(sums *s, const int32_t *x, const int32_t *w, int32_t depth)
{
    for (int32_t k = 0; k < depth; k += 2, w++, x += 4) {
        const int32_t lower = ep_sxtb16(*w);
        for (int32_t r = 0; r < 4; r++) {
            s->both[r] = ep_smlad(x[r], *w, s->both[r]);
            s->a[r] = ep_smlad(x[r], lower, s->a[r]);
        }
    }
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

static EP_NOINLINE void finish_any(const ep_gemm_s8_args *args, int32_t n, const int32_t *values, int8_t *y,
                                   const int32_t *rows)
{
    for (int32_t r = 3; r >= 0; r--)
        y[rows[r]] = (int8_t)ep_rescale_any_dsp(values[r], args->multiplier[n], args->shift[n], args->zero);
}

/* One output of four rows, the first row last: rows that are not there lie where it does. */
static inline void finish(const ep_gemm_s8_args *args, int32_t n, const int32_t *values, int8_t *y,
                          const int32_t *rows)
{
    const ep_scale_dsp scale = ep_make_scale_dsp(args->multiplier[n], args->shift[n], args->zero);
    if (scale.right == 0) {
        const int32_t held[4] = {values[0], values[1], values[2], values[3]};
        finish_any(args, n, held, y, rows);
        return;
    }
    y[rows[3]] = (int8_t)ep_rescale_dsp(values[3], &scale);
    y[rows[2]] = (int8_t)ep_rescale_dsp(values[2], &scale);
    y[rows[1]] = (int8_t)ep_rescale_dsp(values[1], &scale);
    y[0] = (int8_t)ep_rescale_dsp(values[0], &scale);
}

/* Outputs n and n + 1 of four rows. */
static inline void two_outputs(const ep_gemm_s8_args *args, int32_t n, const int32_t *x, const int32_t *w,
                               int32_t depth, int8_t *y, const int32_t *rows)
{
    const int32_t start = args->bias[n], other = args->bias[n + 1];
    sums s = {{start, start, start, start}, {start, start, start, start}};
    int32_t before[4] = {0, 0, 0, 0}, others[4];
    int32_t left = depth;
    for (; left > CHUNK; left -= CHUNK, x += 2 * CHUNK, w += CHUNK / 2) {
        multiply(&s, x, w, CHUNK);
        for (int32_t r = 0; r < 4; r++) {
            before[r] += second(s.both[r], s.a[r]);
            s.both[r] = s.a[r];
        }
    }
    multiply(&s, x, w, left);
    for (int32_t r = 0; r < 4; r++) others[r] = other + second(s.both[r], s.a[r]);
    if (depth > CHUNK)
        for (int32_t r = 0; r < 4; r++) others[r] += before[r];
    finish(args, n, s.a, y + n, rows);
    if (n + 1 < args->outputs) finish(args, n + 1, others, y + n + 1, rows);
}

static void clamp(const ep_gemm_s8_args *args, int8_t *y, int32_t count)
{
    if (args->low == -128 && args->high == 127) return;
    for (int32_t i = 0; i < count; i++) y[i] = ep_clamp_s8(y[i], args->low, args->high);
}

void ep_gemm_pairs_s8(const ep_gemm_s8_args *args, const int32_t *pairs, int32_t count, int8_t *y)
{
    const int32_t depth = filled(args), step = args->outputs;
    const int32_t *w = (const int32_t *)(const void *)args->weights;
    const int32_t rows[4] = {0, count > 1 ? step : 0, count > 2 ? 2 * step : 0, count > 3 ? 3 * step : 0};
    for (int32_t n = 0; n < args->outputs; n += 2, w += depth / 2) two_outputs(args, n, pairs, w, depth, y, rows);
    clamp(args, y, count * step);
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
        for (int32_t i = 0; i < count; i++)
            y[n + i] = (int8_t)ep_finish_dsp(args->bias[n + i] + values[i], args->multiplier[n + i],
                                             args->shift[n + i], args->zero);
    }
    clamp(args, y, args->outputs);
}

void ep_gemm_s8(const ep_gemm_s8_args *args, const int8_t *x, int32_t rows, int8_t *y)
{
    for (; rows > 0; rows--, x += args->depth, y += args->outputs) one_row(args, x, y);
}
