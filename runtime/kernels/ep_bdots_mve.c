/* ep_bdots for Helium: four outputs in the lanes of a vector, three words added before their ones are counted.
 *
 * A full adder makes two words of three, one of units and one of twos. Fields of two bits hold the ones of each pair of
 * bits (0 to 2), fields of four bits units + 2 twos (0 to 12), bytes their sums (0 to 24). Differences between an upper
 * and a lower field are multiples that one multiplication takes off. */
#include "ep_bdots_lanes.h"

#if defined(EP_TARGET_MVE) && EP_BITS_LANES == 4

#include <arm_mve.h>

#define BYTES_HOLD 10 /* threes whose ones a byte can count */

static inline uint8x16_t differing_of(uint32_t x, const uint32_t *w)
{
    return vreinterpretq_u8_u32(veorq_u32(vdupq_n_u32(x), vld1q_u32(w)));
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

static inline uint8x16_t three(const uint32_t *x, const uint32_t *w)
{
    const uint8x16_t a = differing_of(x[0], w), b = differing_of(x[1], w + 4), c = differing_of(x[2], w + 8);
    const uint8x16_t d = veorq_u8(a, b);
    const uint8x16_t twos = in_pairs(veorq_u8(a, vandq_u8(d, veorq_u8(a, c)))), units = in_pairs(veorq_u8(d, c));
    return in_bytes(vmlaq_n_u8(units, twos, 2), vmlaq_n_u8(upper(units), upper(twos), 2));
}

static inline uint8x16_t one(const uint32_t *x, const uint32_t *w)
{
    const uint8x16_t pairs = in_pairs(differing_of(*x, w));
    return in_bytes(pairs, upper(pairs));
}

/* Bytes of each lane of 32 bits added to it. */
static inline uint32x4_t wide(uint32x4_t sums, uint8x16_t bytes)
{
    const uint16x8_t halves = vaddq_u16(vmovlbq_u8(bytes), vmovltq_u8(bytes));
    return vaddq_u32(sums, vaddq_u32(vmovlbq_u16(halves), vmovltq_u16(halves)));
}

/* One pixel with four outputs. */
static inline uint32x4_t block(const ep_bits_shape *s, const uint32_t *filters, const uint32_t *x)
{
    uint32x4_t sums = vdupq_n_u32(0);
    uint8x16_t bytes = vdupq_n_u8(0);
    int32_t room = BYTES_HOLD;
    for (int32_t line = 0; line < s->lines; line++)
        for (int32_t tap = 0; tap < s->taps; tap++) {
            const uint32_t *from = x + line * s->line_step + tap * s->tap_step;
            const uint32_t *w = filters + (ptrdiff_t)(line * s->filter_line + tap * s->filter_tap) * EP_BITS_LANES;
            for (int32_t left = s->run; left > 0;) {
                if (room == 0) sums = wide(sums, bytes), bytes = vdupq_n_u8(0), room = BYTES_HOLD;
                if (left >= 3) {
                    int32_t threes = left / 3 < room ? left / 3 : room;
                    left -= threes * 3, room -= threes;
                    for (; threes > 0; threes--, from += 3, w += 3 * EP_BITS_LANES)
                        bytes = vaddq_u8(bytes, three(from, w));
                } else {
                    bytes = vaddq_u8(bytes, one(from, w));
                    left--, room--, from++, w += EP_BITS_LANES;
                }
            }
        }
    return wide(sums, bytes);
}

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, const uint32_t *const *x, int32_t pixels,
              int32_t outputs, int32_t (*differing)[EP_BITS_GROUP])
{
    for (int32_t n = 0; n < outputs; n += EP_BITS_LANES, filters += (ptrdiff_t)shape->words * EP_BITS_LANES)
        for (int32_t p = 0; p < pixels; p++)
            vst1q_s32(differing[p] + n, vreinterpretq_s32_u32(block(shape, filters, x[p])));
}

#else

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, const uint32_t *const *x, int32_t pixels,
              int32_t outputs, int32_t (*differing)[EP_BITS_GROUP])
{
    ep_bdots_plain(shape, filters, x, pixels, outputs, differing);
}

#endif
