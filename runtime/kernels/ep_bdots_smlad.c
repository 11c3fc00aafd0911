/* ep_bdots for Cortex-M with the DSP extension: three words are added before their ones are counted.
 *
 * A full adder makes two words of three, one of units and one of twos. Fields of two bits hold the ones of each pair of
 * bits (0 to 2), fields of four bits units + 2 twos (0 to 12), bytes their sums (0 to 24). The sum of absolute
 * differences from a constant adds the bytes. Constants lie in registers: shifts of the other operand are free. */
#include "ep_bdots_lanes.h"

#if defined(EP_SMLAD_ASM) && !defined(EP_TARGET_MVE)

#define PAIRS UINT32_C(0x55555555)
#define FOURS UINT32_C(0x33333333)
#define BYTES UINT32_C(0x0F0F0F0F)
#define FAR (4 * 0x33) /* what a sum of differences counts down from, each time */
#define COMMA ,

/* Three words of a pixel with those of all outputs: FAR less their ones is added to sums[0 .. outputs); `begin` gives
 * what to. */
#define THREE(x, w, sums, end, begin, more)                                                                        \
    __asm__ volatile("1:\n\t"                                                                                      \
                     "ldmia %[filter]!, {r6, r8, r9}\n\t"                                                          \
                     "eor r6, r6, %[x0]\n\t"                                                                       \
                     "eor r8, r8, %[x1]\n\t"                                                                       \
                     "eor r9, r9, %[x2]\n\t"                                                                       \
                     "eor r4, r6, r8\n\t" /* full adder: units r9, twos r6 */                                      \
                     "eor r5, r6, r9\n\t"                                                                          \
                     "eor r9, r9, r4\n\t"                                                                          \
                     "and r5, r5, r4\n\t"                                                                          \
                     "eor r6, r6, r5\n\t"                                                                          \
                     "and r4, %[pairs], r9, lsr #1\n\t"                                                            \
                     "and r5, %[pairs], r6, lsr #1\n\t"                                                            \
                     "sub r9, r9, r4\n\t"                                                                          \
                     "sub r6, r6, r5\n\t"                                                                          \
                     "and r4, %[fours], r9, lsr #2\n\t" /* units + 2 twos, less three times their upper pairs */   \
                     "and r5, %[fours], r6, lsr #2\n\t"                                                            \
                     "add r9, r9, r6, lsl #1\n\t"                                                                  \
                     "add r4, r4, r5, lsl #1\n\t"                                                                  \
                     "sub r9, r9, r4\n\t"                                                                          \
                     "sub r9, r9, r4, lsl #1\n\t"                                                                  \
                     "and r4, %[bytes], r9, lsr #4\n\t" /* less fifteen times the upper fours */                   \
                     begin                                                                                         \
                     "add r9, r9, r4\n\t"                                                                          \
                     "sub r9, r9, r4, lsl #4\n\t"                                                                  \
                     "usada8 r5, r9, %[fours], r5\n\t"                                                             \
                     "str r5, [%[to]], #4\n\t"                                                                     \
                     "cmp %[to], %[stop]\n\t"                                                                      \
                     "bne 1b\n\t"                                                                                  \
                     : [filter] "+r"(w), [to] "+r"(sums)                                                           \
                     : more [x0] "r"((x)[0]), [x1] "r"((x)[1]), [x2] "r"((x)[2]), [pairs] "r"(PAIRS),                   \
                       [fours] "r"(FOURS), [bytes] "r"(BYTES), [stop] "r"(end)                                     \
                     : "r4", "r5", "r6", "r8", "r9", "cc", "memory")

static inline void first_three(const uint32_t *x, const uint32_t *w, int32_t *sums, const int32_t *end, int32_t start)
{
    THREE(x, w, sums, end, "ldr r5, %[start]\n\t", [start] "m"(start) COMMA);
}

static inline void next_three(const uint32_t *x, const uint32_t *w, int32_t *sums, const int32_t *end)
{
    THREE(x, w, sums, end, "ldr r5, [%[to]]\n\t", );
}

/* One word of a pixel with those of all outputs. */
static void one(uint32_t x, const uint32_t *w, int32_t *sums, int32_t outputs)
{
    for (int32_t n = 0; n < outputs; n++, w += EP_BITS_DEPTH) sums[n] -= (int32_t)ep_popcount(x ^ *w);
}

/* Windows whose runs are whole threes in the filters, too. */
static void aligned(const ep_bits_shape *s, const uint32_t *w, ptrdiff_t step, const uint32_t *x, int32_t *sums,
                    const int32_t *end)
{
    const int32_t threes = s->run / EP_BITS_DEPTH;
    const ptrdiff_t next = (s->filter_line / EP_BITS_DEPTH - threes) * step;
    const int32_t start = -FAR * s->lines * threes;
    int fresh = 1;
    for (int32_t i = s->lines; i > 0; i--, x += s->line_step - s->run, w += next)
        for (int32_t left = threes; left > 0; left--, x += EP_BITS_DEPTH, w += step) {
            if (fresh)
                first_three(x, w, sums, end, start);
            else
                next_three(x, w, sums, end);
            fresh = 0;
        }
}

/* A run of words from word k of the filters on; gives how often FAR was added. */
static int32_t run_of(const uint32_t *filters, ptrdiff_t step, int32_t k, const uint32_t *x, int32_t run, int32_t *sums,
                      const int32_t *end)
{
    const int32_t stop = k + run, outputs = (int32_t)(end - sums);
    int32_t threes = 0;
    while (k < stop) {
        const uint32_t *w = filters + k / EP_BITS_DEPTH * step + k % EP_BITS_DEPTH;
        if (k % EP_BITS_DEPTH == 0 && k + EP_BITS_DEPTH <= stop) {
            next_three(x, w, sums, end);
            threes++, k += EP_BITS_DEPTH, x += EP_BITS_DEPTH;
        } else {
            one(*x++, w, sums, outputs);
            k++;
        }
    }
    return threes;
}

static void any(const ep_bits_shape *s, const uint32_t *filters, ptrdiff_t step, const uint32_t *x, int32_t *sums,
                const int32_t *end)
{
    int32_t threes = 0;
    for (int32_t *to = sums; to != end; to++) *to = 0;
    for (int32_t line = 0; line < s->lines; line++)
        for (int32_t tap = 0; tap < s->taps; tap++) {
            const int32_t k = s->begin + line * s->filter_line + tap * s->filter_tap;
            threes += run_of(filters, step, k, x + line * s->line_step + tap * s->tap_step, s->run, sums, end);
        }
    for (int32_t *to = sums; to != end; to++) *to -= FAR * threes;
}

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, int32_t first, int32_t outputs,
              const uint32_t *const *x, int32_t pixels, int32_t (*differing)[EP_BITS_GROUP])
{
    const uint32_t *w = filters + (ptrdiff_t)first * EP_BITS_DEPTH;
    const ptrdiff_t step = (ptrdiff_t)shape->outputs * EP_BITS_DEPTH;
    const int whole = shape->taps == 1 && shape->lines > 0 && shape->run > 0 &&
                      shape->run % EP_BITS_DEPTH == 0 && shape->begin % EP_BITS_DEPTH == 0 &&
                      shape->filter_line % EP_BITS_DEPTH == 0;
    for (int32_t p = 0; p < pixels; p++) {
        int32_t *sums = differing[p];
        if (whole)
            aligned(shape, w + shape->begin / EP_BITS_DEPTH * step, step, x[p], sums, sums + outputs);
        else
            any(shape, w, step, x[p], sums, sums + outputs);
    }
}

#else

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, int32_t first, int32_t outputs,
              const uint32_t *const *x, int32_t pixels, int32_t (*differing)[EP_BITS_GROUP])
{
    ep_bdots_plain(shape, filters, first, outputs, x, pixels, differing);
}

#endif
