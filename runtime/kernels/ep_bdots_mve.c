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

/* Ones of three words that differ, in bytes. */
static inline uint8x16_t ones_of(uint32x4_t x0, uint32x4_t x1, uint32x4_t x2, const uint32_t *w)
{
    const uint8x16_t a = differing_of(x0, w), b = differing_of(x1, w + 4), c = differing_of(x2, w + 8);
    const uint8x16_t d = veorq_u8(a, b), units = in_pairs(veorq_u8(d, c));
    const uint8x16_t twos = in_pairs(veorq_u8(a, vandq_u8(d, veorq_u8(a, c))));
    const uint8x16_t uppers = vmlaq_n_u8(upper(units), upper(twos), 2);
    return in_bytes(vmlaq_n_u8(units, twos, 2), uppers);
}

/* Three words of a pixel with those of all outputs, added to bytes. */
static void three(const uint32_t *x, const uint32_t *w, uint8_t *bytes, int32_t outputs)
{
    const uint32x4_t x0 = vdupq_n_u32(x[0]), x1 = vdupq_n_u32(x[1]), x2 = vdupq_n_u32(x[2]);
    for (; outputs > 0; outputs -= EP_BITS_LANES, w += 3 * EP_BITS_LANES, bytes += 16)
        vst1q_u8(bytes, vaddq_u8(vld1q_u8(bytes), ones_of(x0, x1, x2, w)));
}

static void one(uint32_t x, const uint32_t *w, uint8_t *bytes, int32_t outputs)
{
    const uint32x4_t word = vdupq_n_u32(x);
    for (; outputs > 0; outputs -= EP_BITS_LANES, w += 3 * EP_BITS_LANES, bytes += 16) {
        const uint8x16_t pairs = in_pairs(differing_of(word, w));
        vst1q_u8(bytes, vaddq_u8(vld1q_u8(bytes), in_bytes(pairs, upper(pairs))));
    }
}

/* Bytes of each lane of 32 bits added to it. */
static inline uint32x4_t wide(uint32x4_t sums, uint8x16_t bytes)
{
    const uint16x8_t halves = vaddq_u16(vmovlbq_u8(bytes), vmovltq_u8(bytes));
    return vaddq_u32(sums, vaddq_u32(vmovlbq_u16(halves), vmovltq_u16(halves)));
}

/* `count` threes with all outputs; x holds each word four times. Adds to sums, or sets them. */
static void threes_of(const uint32_t *x, const uint32_t *filters, ptrdiff_t step, int32_t count, int32_t *sums,
                      int32_t outputs, int fresh)
{
    for (; outputs > 0; outputs -= EP_BITS_LANES, filters += 3 * EP_BITS_LANES, sums += EP_BITS_LANES) {
        const uint32_t *w = filters, *from = x;
        const uint32x4_t before = fresh ? vdupq_n_u32(0) : vreinterpretq_u32_s32(vld1q_s32(sums));
        uint8x16_t bytes = vdupq_n_u8(0);
        for (int32_t left = count; left > 0; left--, from += 12, w += step)
            bytes = vaddq_u8(bytes, ones_of(vld1q_u32(from), vld1q_u32(from + 4), vld1q_u32(from + 8), w));
        vst1q_s32(sums, vreinterpretq_s32_u32(wide(before, bytes)));
    }
}

/* Windows whose words are whole threes that follow one another in the filters, too. */
static void aligned(const ep_bits_shape *s, const uint32_t *w, ptrdiff_t step, const uint32_t *x, int32_t *sums,
                    int32_t outputs)
{
    uint32_t words[BYTES_HOLD * 3 * EP_BITS_LANES];
    int32_t count = 0, fresh = 1;
    for (int32_t line = s->lines; line > 0; line--, x += s->line_step - s->run)
        for (int32_t left = s->run; left > 0; left -= 3, x += 3) {
            uint32_t *to = words + count * 3 * EP_BITS_LANES;
            vst1q_u32(to, vdupq_n_u32(x[0]));
            vst1q_u32(to + 4, vdupq_n_u32(x[1]));
            vst1q_u32(to + 8, vdupq_n_u32(x[2]));
            if (++count < BYTES_HOLD) continue;
            threes_of(words, w, step, count, sums, outputs, fresh);
            w += count * step;
            count = fresh = 0;
        }
    if (count > 0 || fresh) threes_of(words, w, step, count, sums, outputs, fresh);
}

/* Counts of one pixel: bytes, and what they held before they were full. */
typedef struct {
    uint8_t bytes[BLOCKS * 16];
    int32_t *sums;
    int32_t outputs, room;
} counts;

static void empty(counts *c)
{
    for (int32_t n = 0; n < c->outputs; n += EP_BITS_LANES) {
        const uint32x4_t before = vreinterpretq_u32_s32(vld1q_s32(c->sums + n));
        vst1q_s32(c->sums + n, vreinterpretq_s32_u32(wide(before, vld1q_u8(c->bytes + n * 4))));
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

/* Windows of any runs. */
static void any(const ep_bits_shape *s, const uint32_t *filters, int32_t first, const uint32_t *x, int32_t *sums,
                int32_t outputs)
{
    counts c;
    c.sums = sums;
    c.outputs = outputs;
    c.room = BYTES_HOLD;
    for (int32_t n = 0; n < BLOCKS; n++) vst1q_u8(c.bytes + n * 16, vdupq_n_u8(0));
    for (int32_t n = 0; n < outputs; n += EP_BITS_LANES) vst1q_s32(sums + n, vdupq_n_s32(0));
    for (int32_t line = 0; line < s->lines; line++)
        for (int32_t tap = 0; tap < s->taps; tap++) {
            const int32_t k = s->begin + line * s->filter_line + tap * s->filter_tap;
            run_of(s, filters, first, k, x + line * s->line_step + tap * s->tap_step, &c);
        }
    empty(&c);
}

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, int32_t first, int32_t outputs,
              const uint32_t *const *x, int32_t pixels, int32_t (*differing)[EP_BITS_GROUP])
{
    const int whole = shape->taps == 1 && shape->run % EP_BITS_DEPTH == 0 && shape->begin % EP_BITS_DEPTH == 0 &&
                      (shape->lines == 1 || shape->filter_line == shape->run);
    const uint32_t *w = ep_bits_filter(shape, filters, first, shape->begin);
    for (int32_t p = 0; p < pixels; p++) {
        if (whole)
            aligned(shape, w, (ptrdiff_t)shape->outputs * EP_BITS_DEPTH, x[p], differing[p], outputs);
        else
            any(shape, filters, first, x[p], differing[p], outputs);
    }
}

#else

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, int32_t first, int32_t outputs,
              const uint32_t *const *x, int32_t pixels, int32_t (*differing)[EP_BITS_GROUP])
{
    ep_bdots_plain(shape, filters, first, outputs, x, pixels, differing);
}

#endif
