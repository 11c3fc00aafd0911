/* ep_rescale, zero point and saturation in six instructions, for the factors that layers have: 2^-21 to 1/2. */
#ifndef EP_REQUANT_DSP_H
#define EP_REQUANT_DSP_H

#include "ep_dsp.h"
#include "ep_requant.h"

/* One output's scale, made ready. `right` is 0 where only ep_rescale will do. */
typedef struct {
    int32_t multiplier;
    int32_t offset; /* half of the last place, and the zero point */
    int32_t right;
} ep_scale_dsp;

static inline ep_scale_dsp ep_make_scale_dsp(int32_t multiplier, int32_t shift, int32_t zero)
{
    ep_scale_dsp scale;
    scale.multiplier = multiplier;
    scale.right = shift < 0 && shift >= -20 ? -shift : 0;
    scale.offset = (int32_t)((UINT32_C(1) << scale.right >> 1) + ((uint32_t)zero << scale.right));
    return scale;
}

/* zero + rescale(acc) within int8, for scales with `right` > 0. Doubling saturates beyond 2^30, where results are
 * beyond int8 with and without it. */
static inline int32_t ep_rescale_dsp(int32_t acc, const ep_scale_dsp *scale)
{
    const int32_t t = ep_smmulr(ep_qadd(acc, acc), scale->multiplier);
    return ep_ssat8((t + (scale->offset + (t >> 31))) >> scale->right);
}

/* The same for any scale. */
static inline int32_t ep_rescale_any_dsp(int32_t acc, int32_t multiplier, int32_t shift, int32_t zero)
{
    return ep_clamp_s8(zero + ep_rescale(acc, multiplier, shift), -128, 127);
}

static inline int32_t ep_finish_dsp(int32_t acc, int32_t multiplier, int32_t shift, int32_t zero)
{
    const ep_scale_dsp scale = ep_make_scale_dsp(multiplier, shift, zero);
    return scale.right > 0 ? ep_rescale_dsp(acc, &scale) : ep_rescale_any_dsp(acc, multiplier, shift, zero);
}

#endif
