/* ep_bdots in plain C for all layouts: what the vector forms compute, where the compiler has no vectors. */
#ifndef EP_BDOTS_LANES_H
#define EP_BDOTS_LANES_H

#include "ep_bdots.h"
#include "ep_popcount.h"

/* One pixel with one block of outputs. */
static inline void ep_bdots_block(const ep_bits_shape *s, const uint32_t *filters, int32_t first, const uint32_t *x,
                                  int32_t *sums)
{
    uint32_t count[EP_BITS_LANES] = {0};
    for (int32_t line = 0; line < s->lines; line++)
        for (int32_t tap = 0; tap < s->taps; tap++) {
            const uint32_t *from = x + line * s->line_step + tap * s->tap_step;
            const int32_t begin = s->begin + line * s->filter_line + tap * s->filter_tap;
            for (int32_t k = 0; k < s->run; k++) {
                const uint32_t *w = ep_bits_filter(s, filters, first, begin + k);
                for (int32_t n = 0; n < EP_BITS_LANES; n++) count[n] += ep_popcount(from[k] ^ w[n]);
            }
        }
    for (int32_t n = 0; n < EP_BITS_LANES; n++) sums[n] = EP_BITS_SIGN * (int32_t)count[n];
}

static inline void ep_bdots_plain(const ep_bits_shape *s, const uint32_t *filters, int32_t first, int32_t outputs,
                                  const uint32_t *const *x, int32_t pixels, int32_t (*differing)[EP_BITS_GROUP])
{
    for (int32_t n = 0; n < outputs; n += EP_BITS_LANES)
        for (int32_t p = 0; p < pixels; p++) ep_bdots_block(s, filters, first + n, x[p], differing[p] + n);
}

#endif
