/* ep_rescale, zero point and saturation in five instructions, for the factors that layers have: 2^-21 to 1/2.
 *
 * Doubling saturates beyond 2^30, where results are beyond int8 with and without it. */
#ifndef EP_REQUANT_DSP_H
#define EP_REQUANT_DSP_H

#include "ep_dsp.h"
#include "ep_requant.h"

#define EP_MOST_RIGHT 20
#define EP_OTHER 64

/* What is done to the sums of an output. `offset` is half of the last place and the zero point, times 2^right. Where
 * only ep_rescale will do, `right` is negative: its shift less EP_OTHER. */
typedef struct {
    int32_t multiplier, offset, right;
} ep_scale_dsp;

static inline ep_scale_dsp ep_make_scale_dsp(int32_t multiplier, int32_t shift, int32_t zero)
{
    const int is_usual = shift < 0 && shift >= -EP_MOST_RIGHT;
    ep_scale_dsp scale;
    scale.multiplier = multiplier;
    scale.right = is_usual ? -shift : shift - EP_OTHER;
    scale.offset = is_usual ? (int32_t)((UINT32_C(1) << -shift >> 1) + ((uint32_t)zero << -shift)) : zero;
    return scale;
}

static inline int ep_is_usual_dsp(const ep_scale_dsp *scale) { return scale->right >= 0; }

/* Zero point + rescaled sum within int8, of a usual scale. */
static inline int32_t ep_rescale_dsp(int32_t acc, const ep_scale_dsp *scale)
{
    const int32_t t = ep_smmulr(ep_qadd(acc, acc), scale->multiplier);
    return ep_ssat8((t + (scale->offset + (t >> 31))) >> scale->right);
}

/* The same of any other. */
static inline int32_t ep_rescale_other_dsp(int32_t acc, const ep_scale_dsp *scale)
{
    return ep_ssat8(scale->offset + ep_rescale(acc, scale->multiplier, scale->right + EP_OTHER));
}

static inline int32_t ep_rescale_any_dsp(int32_t acc, const ep_scale_dsp *scale)
{
    return ep_is_usual_dsp(scale) ? ep_rescale_dsp(acc, scale) : ep_rescale_other_dsp(acc, scale);
}

/* Results within bounds that are narrower than int8. */
static inline void ep_clamp_all_s8(int8_t *y, int32_t count, int32_t low, int32_t high)
{
    if (low == -128 && high == 127) return;
    for (int32_t i = 0; i < count; i++) y[i] = ep_clamp_s8(y[i], low, high);
}

#endif
