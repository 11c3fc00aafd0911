/* ep_bdots for Cortex-M with the DSP extension: three words are added before their ones are counted.
 *
 * A full adder makes two words of three, one of units and one of twos. Fields of two bits hold the ones of each pair of
 * bits (0 to 2), fields of four bits units + 2 twos (0 to 12), bytes their sums (0 to 24). The sum of absolute
 * differences from a constant adds the bytes. Constants lie in registers: shifts of the other operand are free. */
#include "ep_bdots_lanes.h"

#if defined(EP_TARGET_SMLAD) && EP_BITS_LANES == 1 && EP_BITS_DEPTH == 3 && defined(__GNUC__) && defined(__OPTIMIZE__)

#define PAIRS UINT32_C(0x55555555)
#define FOURS UINT32_C(0x33333333)
#define BYTES UINT32_C(0x0F0F0F0F)
#define FAR (4 * 0x33) /* what a sum of differences counts down from, each time */

/* Three words of a pixel with those of all outputs: FAR less their ones is added to sums[0 .. outputs). */
static inline void three(const uint32_t *x, const uint32_t *w, int32_t *sums, int32_t outputs)
{
    const int32_t *end = sums + outputs;
    __asm__ volatile("1:\n\t"
                     "ldmia %[w]!, {r6, r8, r9}\n\t"
                     "eor r6, r6, %[x0]\n\t"
                     "eor r8, r8, %[x1]\n\t"
                     "eor r9, r9, %[x2]\n\t"
                     "eor r4, r6, r8\n\t" /* full adder: units r9, twos r6 */
                     "eor r5, r6, r9\n\t"
                     "eor r9, r9, r4\n\t"
                     "and r5, r5, r4\n\t"
                     "eor r6, r6, r5\n\t"
                     "and r4, %[pairs], r9, lsr #1\n\t"
                     "and r5, %[pairs], r6, lsr #1\n\t"
                     "sub r9, r9, r4\n\t"
                     "sub r6, r6, r5\n\t"
                     "and r4, %[fours], r9, lsr #2\n\t" /* units + 2 twos, less three times their upper pairs */
                     "and r5, %[fours], r6, lsr #2\n\t"
                     "add r9, r9, r6, lsl #1\n\t"
                     "add r4, r4, r5, lsl #1\n\t"
                     "sub r9, r9, r4\n\t"
                     "sub r9, r9, r4, lsl #1\n\t"
                     "and r4, %[bytes], r9, lsr #4\n\t" /* less fifteen times the upper fours */
                     "ldr r5, [%[sums]]\n\t"
                     "add r9, r9, r4\n\t"
                     "sub r9, r9, r4, lsl #4\n\t"
                     "usada8 r5, r9, %[fours], r5\n\t"
                     "str r5, [%[sums]], #4\n\t"
                     "cmp %[sums], %[end]\n\t"
                     "bne 1b\n\t"
                     : [w] "+r"(w), [sums] "+r"(sums)
                     : [x0] "r"(x[0]), [x1] "r"(x[1]), [x2] "r"(x[2]), [pairs] "r"(PAIRS), [fours] "r"(FOURS),
                       [bytes] "r"(BYTES), [end] "r"(end)
                     : "r4", "r5", "r6", "r8", "r9", "cc", "memory");
}

/* One word of a pixel with those of all outputs. */
static void one(uint32_t x, const uint32_t *w, int32_t *sums, int32_t outputs)
{
    for (int32_t n = 0; n < outputs; n++, w += EP_BITS_DEPTH) sums[n] -= (int32_t)ep_popcount(x ^ *w);
}

/* A run of words from word k of the filters on; gives how often FAR was added. */
static int32_t run_of(const ep_bits_shape *s, const uint32_t *filters, int32_t first, int32_t k, const uint32_t *x,
                      int32_t *sums, int32_t outputs)
{
    const int32_t stop = k + s->run;
    int32_t threes = 0;
    while (k < stop) {
        const uint32_t *w = ep_bits_filter(s, filters, first, k);
        if (k % EP_BITS_DEPTH != 0 || k + EP_BITS_DEPTH > stop) {
            one(*x++, w, sums, outputs);
            k++;
            continue;
        }
        for (; k + EP_BITS_DEPTH <= stop; k += EP_BITS_DEPTH, x += EP_BITS_DEPTH, threes++) {
            three(x, w, sums, outputs);
            w += (ptrdiff_t)s->outputs * EP_BITS_DEPTH;
        }
    }
    return threes;
}

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, int32_t first, int32_t outputs,
              const uint32_t *const *x, int32_t pixels, int32_t (*differing)[EP_BITS_GROUP])
{
    for (int32_t p = 0; p < pixels; p++) {
        int32_t *sums = differing[p], threes = 0;
        for (int32_t n = 0; n < outputs; n++) sums[n] = 0;
        for (int32_t line = 0; line < shape->lines; line++)
            for (int32_t tap = 0; tap < shape->taps; tap++) {
                const int32_t k = shape->begin + line * shape->filter_line + tap * shape->filter_tap;
                const uint32_t *from = x[p] + line * shape->line_step + tap * shape->tap_step;
                threes += run_of(shape, filters, first, k, from, sums, outputs);
            }
        for (int32_t n = 0; n < outputs; n++) sums[n] = threes * FAR - sums[n];
    }
}

#else

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, int32_t first, int32_t outputs,
              const uint32_t *const *x, int32_t pixels, int32_t (*differing)[EP_BITS_GROUP])
{
    ep_bdots_plain(shape, filters, first, outputs, x, pixels, differing);
}

#endif
