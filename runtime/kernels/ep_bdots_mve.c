/* ep_bdots for Helium: four outputs in the lanes of a vector, three words added before their ones are counted.
 *
 * A full adder makes two words of three, one of units and one of twos. Fields of two bits hold the ones of each pair of
 * bits (0 to 2), fields of four bits units + 2 twos (0 to 12), bytes their sums (0 to 24). Differences between an upper
 * and a lower field are multiples that one multiplication takes off. */
#include "ep_bdots_lanes.h"

#if defined(EP_TARGET_MVE) && EP_BITS_LANES == 4 && EP_BITS_DEPTH == 3

#include <arm_mve.h>

#define BYTES_HOLD 10 /* threes, or more single words, whose ones a byte can count */
#define BLOCKS (EP_BITS_GROUP / EP_BITS_LANES)

static inline uint8x16_t differing_of(uint32x4_t x, const uint32_t *w)
{
    return vreinterpretq_u8_u32(veorq_u32(x, vld1q_u32(w)));
}

/* Ones of each pair of bits. */
static inline uint8x16_t in_pairs(uint8x16_t v)
{
    return vsubq_u8(v, vandq_u8(vshrq_n_u8(v, 1), vdupq_n_u8(0x55)));
}

/* The upper of two pairs of bits, in fields of four. */
static inline uint8x16_t upper(uint8x16_t pairs) { return vandq_u8(vshrq_n_u8(pairs, 2), vdupq_n_u8(0x33)); }

/* Ones of a byte, from pairs. */
static inline uint8x16_t in_bytes(uint8x16_t pairs, uint8x16_t uppers)
{
    const uint8x16_t fours = vmlaq_n_u8(pairs, uppers, (uint8_t)-3);
    return vmlaq_n_u8(fours, vshrq_n_u8(fours, 4), (uint8_t)-15);
}

/* Three words of a pixel with those of all outputs, added to bytes. */
static void three(const uint32_t *x, const uint32_t *w, uint8_t *bytes, int32_t outputs)
{
    const uint32x4_t x0 = vdupq_n_u32(x[0]), x1 = vdupq_n_u32(x[1]), x2 = vdupq_n_u32(x[2]);
    for (; outputs > 0; outputs -= EP_BITS_LANES, w += 3 * EP_BITS_LANES, bytes += 16) {
        const uint8x16_t a = differing_of(x0, w), b = differing_of(x1, w + 4), c = differing_of(x2, w + 8);
        const uint8x16_t d = veorq_u8(a, b), units = in_pairs(veorq_u8(d, c));
        const uint8x16_t twos = in_pairs(veorq_u8(a, vandq_u8(d, veorq_u8(a, c))));
        const uint8x16_t uppers = vmlaq_n_u8(upper(units), upper(twos), 2);
        vst1q_u8(bytes, vaddq_u8(vld1q_u8(bytes), in_bytes(vmlaq_n_u8(units, twos, 2), uppers)));
    }
}

static void one(uint32_t x, const uint32_t *w, uint8_t *bytes, int32_t outputs)
{
    const uint32x4_t word = vdupq_n_u32(x);
    for (; outputs > 0; outputs -= EP_BITS_LANES, w += 3 * EP_BITS_LANES, bytes += 16) {
        const uint8x16_t pairs = in_pairs(differing_of(word, w));
        vst1q_u8(bytes, vaddq_u8(vld1q_u8(bytes), in_bytes(pairs, upper(pairs))));
    }
}

/* Counts of one pixel: bytes, and what they held before they were full. */
typedef struct {
    uint8_t bytes[BLOCKS * 16];
    int32_t *sums;
    int32_t outputs, room;
} counts;

/* Bytes of each lane of 32 bits added to it. */
static void empty(counts *c)
{
    for (int32_t n = 0; n < c->outputs; n += EP_BITS_LANES) {
        const uint8x16_t bytes = vld1q_u8(c->bytes + n * 4);
        const uint16x8_t halves = vaddq_u16(vmovlbq_u8(bytes), vmovltq_u8(bytes));
        const uint32x4_t sum = vaddq_u32(vmovlbq_u16(halves), vmovltq_u16(halves));
        vst1q_s32(c->sums + n, vaddq_s32(vld1q_s32(c->sums + n), vreinterpretq_s32_u32(sum)));
        vst1q_u8(c->bytes + n * 4, vdupq_n_u8(0));
    }
    c->room = BYTES_HOLD;
}

/* A run of words from word k of the filters on. */
static void run_of(const ep_bits_shape *s, const uint32_t *filters, int32_t first, int32_t k, const uint32_t *x,
                   counts *c)
{
    const int32_t stop = k + s->run;
    while (k < stop) {
        const uint32_t *w = ep_bits_filter(s, filters, first, k);
        const int32_t step = k % EP_BITS_DEPTH == 0 && k + EP_BITS_DEPTH <= stop ? EP_BITS_DEPTH : 1;
        if (c->room-- == 0) {
            empty(c);
            c->room--;
        }
        if (step == 1)
            one(*x, w, c->bytes, c->outputs);
        else
            three(x, w, c->bytes, c->outputs);
        k += step, x += step;
    }
}

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, int32_t first, int32_t outputs,
              const uint32_t *const *x, int32_t pixels, int32_t (*differing)[EP_BITS_GROUP])
{
    counts c;
    c.outputs = outputs;
    for (int32_t n = 0; n < BLOCKS; n++) vst1q_u8(c.bytes + n * 16, vdupq_n_u8(0));
    for (int32_t p = 0; p < pixels; p++) {
        c.sums = differing[p];
        c.room = BYTES_HOLD;
        for (int32_t n = 0; n < outputs; n += EP_BITS_LANES) vst1q_s32(c.sums + n, vdupq_n_s32(0));
        for (int32_t line = 0; line < shape->lines; line++)
            for (int32_t tap = 0; tap < shape->taps; tap++) {
                const int32_t k = shape->begin + line * shape->filter_line + tap * shape->filter_tap;
                const uint32_t *from = x[p] + line * shape->line_step + tap * shape->tap_step;
                run_of(shape, filters, first, k, from, &c);
            }
        empty(&c);
    }
}

#else

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, int32_t first, int32_t outputs,
              const uint32_t *const *x, int32_t pixels, int32_t (*differing)[EP_BITS_GROUP])
{
    ep_bdots_plain(shape, filters, first, outputs, x, pixels, differing);
}

#endif
