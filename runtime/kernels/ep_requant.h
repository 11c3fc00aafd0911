/* Fixed-point rescaling of int32 accumulators, rounded twice: in the doubling high product and in the shift.
 *
 *     y = acc * multiplier * 2^(shift - 31),   2^30 <= multiplier < 2^31, or 0
 *
 * Source: gemmlowp (Jacob et al., CVPR 2018, section 2.2). For multiplier >= 0 the rounding high product is
 * (acc * multiplier + 2^30) >> 31 for both signs. */
#ifndef EP_REQUANT_H
#define EP_REQUANT_H

#include "ep_base.h"

typedef struct {
    int32_t multiplier;
    int32_t shift;
} ep_scale;

/* t / 2^right, half away from zero; 0 <= right <= 31. */
static inline int32_t ep_rounding_shift(int32_t t, int32_t right)
{
    int32_t mask = (int32_t)((UINT32_C(1) << right) - 1);
    int32_t threshold = (mask >> 1) + (t < 0);
    return (t >> right) + ((t & mask) > threshold);
}

static inline int32_t ep_high_product(int32_t acc, int32_t multiplier)
{
    return (int32_t)(((int64_t)acc * multiplier + (INT64_C(1) << 30)) >> 31);
}

/* Factors of 1 and more: results beyond +-2^30 saturate there, far outside of any int8. */
static inline int32_t ep_rescale_up(int32_t acc, int32_t multiplier, int32_t left)
{
    const int64_t limit = INT64_C(1) << 30;
    int64_t shifted = (int64_t)acc * (INT64_C(1) << (left < 31 ? left : 31));
    if (shifted > limit) shifted = limit;
    if (shifted < -limit) shifted = -limit;
    return ep_high_product((int32_t)shifted, multiplier);
}

static inline int32_t ep_rescale(int32_t acc, int32_t multiplier, int32_t shift)
{
    if (shift > 0) return ep_rescale_up(acc, multiplier, shift);
    return ep_rounding_shift(ep_high_product(acc, multiplier), -shift);
}

static inline int8_t ep_clamp_s8(int32_t value, int32_t low, int32_t high)
{
    value = value < low ? low : value;
    return (int8_t)(value > high ? high : value);
}

#endif
