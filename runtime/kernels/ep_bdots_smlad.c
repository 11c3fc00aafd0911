/* ep_bdots for Cortex-M with the DSP extension: three words are added before their ones are counted.
 *
 * A full adder makes two words of three, one of units and one of twos. Fields of two bits hold the ones of each pair of
 * bits (0 to 2), fields of four bits units + 2 twos (0 to 12), bytes their sums (0 to 24). The sum of absolute
 * differences from a constant adds the bytes. Constants lie in registers: shifts of the other operand are free. All
 * registers are taken, so counters of the outer loops lie in memory. */
#include "ep_bdots_lanes.h"

#if defined(EP_TARGET_SMLAD) && EP_BITS_LANES == 1 && defined(__GNUC__) && defined(__OPTIMIZE__)

#define PAIRS UINT32_C(0x55555555)
#define FOURS UINT32_C(0x33333333)
#define BYTES UINT32_C(0x0F0F0F0F)
#define FAR (4 * 0x33) /* what a sum of differences counts down from, each time */

/* Bytes of fields of four bits in r6: less fifteen times the upper ones; added to the count. */
#define COUNT_FOURS                           \
    "and r5, %[bytes], r6, lsr #4\n\t"        \
    "mls r6, r5, %[fifteen], r6\n\t"          \
    "subs %[left], %[left], #1\n\t"           \
    "usada8 %[count], r6, %[fours], %[count]\n\t"

/* One pixel with all outputs; sums go to [out, end). */
static void one_pixel(const ep_bits_shape *s, const uint32_t *filters, const uint32_t *x, int32_t *out, int32_t outputs)
{
    const int32_t lines = s->lines, threes = s->run / 3, rest = s->run % 3;
    const int32_t x_step = (int32_t)(s->line_step - s->run) * 4, w_step = (s->filter_line - s->run) * 4;
    const int32_t x_back = (int32_t)s->line_step * lines * 4, w_next = (s->words - s->filter_line * lines) * 4;
    const int32_t far = FAR * lines * (threes + rest);
    const int32_t *end = out + outputs;
    int32_t line, left, count;
    __asm__ volatile(
        "1:\n\t" /* an output */
        "ldr r4, %[lines]\n\t"
        "mov %[count], #0\n\t"
        "2:\n\t" /* a line */
        "ldr %[left], %[threes]\n\t"
        "str r4, %[line]\n\t"
        "cmp %[left], #0\n\t"
        "beq 4f\n\t"
        "3:\n\t"
        "ldmia %[x]!, {r4, r5, r6}\n\t"
        "ldmia %[w]!, {r8, r9, r10}\n\t"
        "eor r4, r4, r8\n\t"
        "eor r5, r5, r9\n\t"
        "eor r6, r6, r10\n\t"
        "eor r8, r4, r5\n\t" /* full adder: units r6, twos r4 */
        "eor r9, r4, r6\n\t"
        "eor r6, r6, r8\n\t"
        "and r9, r9, r8\n\t"
        "eor r4, r4, r9\n\t"
        "and r5, %[pairs], r6, lsr #1\n\t"
        "and r8, %[pairs], r4, lsr #1\n\t"
        "sub r6, r6, r5\n\t"
        "sub r4, r4, r8\n\t"
        "and r5, %[fours], r6, lsr #2\n\t" /* units + 2 twos, less three times their upper pairs */
        "and r8, %[fours], r4, lsr #2\n\t"
        "add r6, r6, r4, lsl #1\n\t"
        "add r5, r5, r8, lsl #1\n\t"
        "sub r6, r6, r5\n\t"
        "sub r6, r6, r5, lsl #1\n\t" COUNT_FOURS "bne 3b\n\t"
        "4:\n\t"
        "ldr %[left], %[rest]\n\t"
        "cmp %[left], #0\n\t"
        "beq 6f\n\t"
        "5:\n\t" /* a word alone */
        "ldr r6, [%[x]], #4\n\t"
        "ldr r8, [%[w]], #4\n\t"
        "eor r6, r6, r8\n\t"
        "and r5, %[pairs], r6, lsr #1\n\t"
        "sub r6, r6, r5\n\t"
        "and r5, %[fours], r6, lsr #2\n\t"
        "sub r6, r6, r5\n\t"
        "sub r6, r6, r5, lsl #1\n\t" COUNT_FOURS "bne 5b\n\t"
        "6:\n\t"
        "ldr r5, %[x_step]\n\t"
        "ldr r6, %[w_step]\n\t"
        "ldr r4, %[line]\n\t"
        "add %[x], %[x], r5\n\t"
        "add %[w], %[w], r6\n\t"
        "subs r4, r4, #1\n\t"
        "bne 2b\n\t"
        "ldr r4, %[far]\n\t"
        "ldr r5, %[out]\n\t"
        "ldr r6, %[x_back]\n\t"
        "ldr r8, %[w_next]\n\t"
        "sub r4, r4, %[count]\n\t"
        "str r4, [r5], #4\n\t"
        "str r5, %[out]\n\t"
        "sub %[x], %[x], r6\n\t"
        "add %[w], %[w], r8\n\t"
        "ldr r6, %[end]\n\t"
        "cmp r5, r6\n\t"
        "bne 1b\n\t"
        : [x] "+r"(x), [w] "+r"(filters), [left] "=&r"(left), [count] "=&r"(count), [line] "=&m"(line), [out] "+m"(out)
        : [pairs] "r"(PAIRS), [fours] "r"(FOURS), [bytes] "r"(BYTES), [fifteen] "r"(15), [lines] "m"(lines),
          [threes] "m"(threes), [rest] "m"(rest), [x_step] "m"(x_step), [w_step] "m"(w_step), [x_back] "m"(x_back),
          [w_next] "m"(w_next), [far] "m"(far), [end] "m"(end)
        : "r4", "r5", "r6", "r8", "r9", "r10", "cc", "memory");
}

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, const uint32_t *const *x, int32_t pixels,
              int32_t outputs, int32_t (*differing)[EP_BITS_GROUP])
{
    if (shape->taps != 1 || shape->lines * shape->run == 0) {
        ep_bdots_plain(shape, filters, x, pixels, outputs, differing);
        return;
    }
    for (int32_t p = 0; p < pixels; p++) one_pixel(shape, filters, x[p], differing[p], outputs);
}

#else

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, const uint32_t *const *x, int32_t pixels,
              int32_t outputs, int32_t (*differing)[EP_BITS_GROUP])
{
    ep_bdots_plain(shape, filters, x, pixels, outputs, differing);
}

#endif
