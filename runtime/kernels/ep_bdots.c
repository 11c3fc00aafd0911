/* ep_bdots for scalar cores: words two by two. */
#include "ep_bdots_lanes.h"

#include <string.h>

#if EP_BITS_LANES == 1 && EP_BITS_DEPTH == 1

static inline uint64_t two(const uint32_t *x)
{
    uint64_t both;
    memcpy(&both, x, sizeof both);
    return both;
}

/* One pixel with one output. */
static int32_t differing_of(const ep_bits_shape *s, const uint32_t *filter, const uint32_t *x)
{
    uint32_t count = 0;
    for (int32_t line = 0; line < s->lines; line++)
        for (int32_t tap = 0; tap < s->taps; tap++) {
            const uint32_t *from = x + line * s->line_step + tap * s->tap_step;
            const uint32_t *w = filter + line * s->filter_line + tap * s->filter_tap;
            int32_t k = 0;
            for (; k + 2 <= s->run; k += 2) count += ep_popcount64(two(from + k) ^ two(w + k));
            if (k < s->run) count += ep_popcount(from[k] ^ w[k]);
        }
    return (int32_t)count;
}

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, int32_t first, int32_t outputs,
              const uint32_t *const *x, int32_t pixels, int32_t (*differing)[EP_BITS_GROUP])
{
    const uint32_t *filter = ep_bits_filter(shape, filters, first, shape->begin);
    for (int32_t n = 0; n < outputs; n++, filter += shape->words)
        for (int32_t p = 0; p < pixels; p++) differing[p][n] = differing_of(shape, filter, x[p]);
}

#else

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, int32_t first, int32_t outputs,
              const uint32_t *const *x, int32_t pixels, int32_t (*differing)[EP_BITS_GROUP])
{
    ep_bdots_plain(shape, filters, first, outputs, x, pixels, differing);
}

#endif
