/* ep_bdots for NEON: sixteen outputs in the lanes of four vectors, ones counted in sixteen bits. */
#include "ep_bdots_lanes.h"

#if defined(EP_TARGET_NEON) && EP_BITS_LANES == 16

#include <arm_neon.h>

#define BLOCKS 4 /* vectors of sixteen outputs */
#define MOST 4095 /* words whose ones sixteen bits can count, two bytes a word */

/* `pixels` x sixteen outputs; `pixels` is a constant where this is inlined. */
static inline __attribute__((always_inline)) void tile(const ep_bits_shape *s, const uint32_t *filters,
                                                       const uint32_t *const *x, int32_t pixels,
                                                       int32_t (*differing)[EP_BITS_GROUP])
{
    uint16x8_t halves[EP_BITS_PIXELS][BLOCKS];
    for (int32_t p = 0; p < pixels; p++)
        for (int32_t b = 0; b < BLOCKS; b++) halves[p][b] = vdupq_n_u16(0);
    for (int32_t line = 0; line < s->lines; line++)
        for (int32_t tap = 0; tap < s->taps; tap++) {
            const ptrdiff_t at = line * s->line_step + tap * s->tap_step;
            const uint32_t *w = filters + (ptrdiff_t)(line * s->filter_line + tap * s->filter_tap) * EP_BITS_LANES;
            const uint32_t *end = w + (ptrdiff_t)s->run * EP_BITS_LANES;
            const uint32_t *from[EP_BITS_PIXELS];
            for (int32_t p = 0; p < pixels; p++) from[p] = x[p] + at;
            for (; w != end; w += EP_BITS_LANES) {
                const uint32x4_t w0 = vld1q_u32(w), w1 = vld1q_u32(w + 4), w2 = vld1q_u32(w + 8), w3 = vld1q_u32(w + 12);
                for (int32_t p = 0; p < pixels; p++) {
                    const uint32x4_t word = vld1q_dup_u32(from[p]++);
                    halves[p][0] = vpadalq_u8(halves[p][0], vcntq_u8(vreinterpretq_u8_u32(veorq_u32(word, w0))));
                    halves[p][1] = vpadalq_u8(halves[p][1], vcntq_u8(vreinterpretq_u8_u32(veorq_u32(word, w1))));
                    halves[p][2] = vpadalq_u8(halves[p][2], vcntq_u8(vreinterpretq_u8_u32(veorq_u32(word, w2))));
                    halves[p][3] = vpadalq_u8(halves[p][3], vcntq_u8(vreinterpretq_u8_u32(veorq_u32(word, w3))));
                }
            }
        }
    for (int32_t p = 0; p < pixels; p++)
        for (int32_t b = 0; b < BLOCKS; b++)
            vst1q_s32(differing[p] + 4 * b, vreinterpretq_s32_u32(vpaddlq_u16(halves[p][b])));
}

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, int32_t first, int32_t outputs,
              const uint32_t *const *x, int32_t pixels, int32_t (*differing)[EP_BITS_GROUP])
{
    if (shape->words > MOST) {
        ep_bdots_plain(shape, filters, first, outputs, x, pixels, differing);
        return;
    }
    for (int32_t n = 0; n < outputs; n += EP_BITS_LANES) {
        const uint32_t *from = ep_bits_filter(shape, filters, first + n, shape->begin);
        int32_t(*to)[EP_BITS_GROUP] = (int32_t(*)[EP_BITS_GROUP])(differing[0] + n);
        if (pixels == 4) {
            tile(shape, from, x, 4, to);
            continue;
        }
        if (pixels >= 2) tile(shape, from, x, 2, to);
        if (pixels & 1) tile(shape, from, x + pixels - 1, 1, to + pixels - 1);
    }
}

#else

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, int32_t first, int32_t outputs,
              const uint32_t *const *x, int32_t pixels, int32_t (*differing)[EP_BITS_GROUP])
{
    ep_bdots_plain(shape, filters, first, outputs, x, pixels, differing);
}

#endif
