/* ep_bdots for NEON: sixteen outputs in the lanes of four vectors, ones counted in bytes. */
#include "ep_bdots_lanes.h"

#if defined(EP_TARGET_NEON) && EP_BITS_LANES == 16

#include <arm_neon.h>

#define BLOCKS 4      /* vectors of sixteen outputs */
#define BYTES_HOLD 31 /* words whose ones a byte can count */

/* `pixels` x sixteen outputs; `pixels` is a constant where this is inlined. */
static inline __attribute__((always_inline)) void tile(const ep_bits_shape *s, const uint32_t *filters,
                                                       const uint32_t *const *x, int32_t pixels,
                                                       int32_t (*differing)[EP_BITS_GROUP], int32_t first)
{
    uint32x4_t sums[EP_BITS_PIXELS][BLOCKS];
    uint8x16_t bytes[EP_BITS_PIXELS][BLOCKS];
    int32_t room = BYTES_HOLD;
    for (int32_t p = 0; p < pixels; p++)
        for (int32_t b = 0; b < BLOCKS; b++) sums[p][b] = vdupq_n_u32(0), bytes[p][b] = vdupq_n_u8(0);
    for (int32_t line = 0; line < s->lines; line++)
        for (int32_t tap = 0; tap < s->taps; tap++) {
            const ptrdiff_t at = line * s->line_step + tap * s->tap_step;
            const uint32_t *w = filters + (ptrdiff_t)(line * s->filter_line + tap * s->filter_tap) * EP_BITS_LANES;
            for (int32_t k = 0; k < s->run;) {
                const int32_t stop = s->run - k < room ? s->run : k + room;
                room -= stop - k;
                for (; k < stop; k++, w += EP_BITS_LANES)
                    for (int32_t p = 0; p < pixels; p++) {
                        const uint32x4_t word = vdupq_n_u32(x[p][at + k]);
                        for (int32_t b = 0; b < BLOCKS; b++) {
                            const uint32x4_t other = veorq_u32(word, vld1q_u32(w + 4 * b));
                            bytes[p][b] = vaddq_u8(bytes[p][b], vcntq_u8(vreinterpretq_u8_u32(other)));
                        }
                    }
                if (room > 0) continue;
                room = BYTES_HOLD;
                for (int32_t p = 0; p < pixels; p++)
                    for (int32_t b = 0; b < BLOCKS; b++) {
                        sums[p][b] = vpadalq_u16(sums[p][b], vpaddlq_u8(bytes[p][b]));
                        bytes[p][b] = vdupq_n_u8(0);
                    }
            }
        }
    for (int32_t p = 0; p < pixels; p++)
        for (int32_t b = 0; b < BLOCKS; b++) {
            const uint32x4_t sum = vpadalq_u16(sums[p][b], vpaddlq_u8(bytes[p][b]));
            vst1q_s32(differing[p] + first + 4 * b, vreinterpretq_s32_u32(sum));
        }
}

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, const uint32_t *const *x, int32_t pixels,
              int32_t outputs, int32_t (*differing)[EP_BITS_GROUP])
{
    for (int32_t first = 0; first < outputs; first += EP_BITS_LANES) {
        int32_t p = 0;
        for (; p + 4 <= pixels; p += 4) tile(shape, filters, x + p, 4, differing + p, first);
        if (p + 2 <= pixels) {
            tile(shape, filters, x + p, 2, differing + p, first);
            p += 2;
        }
        if (p < pixels) tile(shape, filters, x + p, 1, differing + p, first);
        filters += (ptrdiff_t)shape->words * EP_BITS_LANES;
    }
}

#else

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, const uint32_t *const *x, int32_t pixels,
              int32_t outputs, int32_t (*differing)[EP_BITS_GROUP])
{
    ep_bdots_plain(shape, filters, x, pixels, outputs, differing);
}

#endif
