/* ep_requant.h on vectors of four accumulators; the same integers after the clamp. Only for targets with NEON. */
#ifndef EP_REQUANT_NEON_H
#define EP_REQUANT_NEON_H

#include <arm_neon.h>

#include "ep_requant.h"

/* Compilers know no more where it points to: they would keep many addresses beside it instead of this one. */
#define EP_FORGET(pointer) __asm__("" : "+r"(pointer))

/* Of one layer. The rounding shift of NEON rounds half up, so negative numbers are lowered by one before it: then half
 * goes away from zero. Where nothing is shifted out they are not. */
typedef struct {
    int8x16_t low, high;
    int16x8_t zero;
    int shrinks; /* every factor is below 1/2: each lane is shifted to the right */
} ep_finish_neon;

static inline ep_finish_neon ep_load_finish_neon(int32_t zero, int32_t low, int32_t high, const int32_t *shift,
                                                 int32_t count)
{
    ep_finish_neon f;
    int32x4_t most = vdupq_n_s32(-32);
    int32_t n = 0;
    f.low = vdupq_n_s8((int8_t)low);
    f.high = vdupq_n_s8((int8_t)high);
    f.zero = vdupq_n_s16((int16_t)zero);
    for (; n + 16 <= count; n += 16) {
        const int32x4x4_t by = vld1q_s32_x4(shift + n);
        most = vmaxq_s32(vmaxq_s32(most, by.val[0]), by.val[1]);
        most = vmaxq_s32(vmaxq_s32(most, by.val[2]), by.val[3]);
    }
    for (; n + 4 <= count; n += 4) most = vmaxq_s32(most, vld1q_s32(shift + n));
    for (; n < count; n++) most = vmaxq_s32(most, vdupq_n_s32(shift[n]));
    f.shrinks = vmaxvq_s32(most) < 0;
    return f;
}

/* For shifts below 0. */
static inline int32x4_t ep_shrink_neon(int32x4_t acc, int32x4_t multiplier, int32x4_t shift)
{
    const int32x4_t high = vqrdmulhq_s32(acc, multiplier);
    return vrshlq_s32(vsraq_n_s32(high, high, 31), shift);
}

/* For all shifts. Beyond +-2^30 results differ from the scalar ones and saturate in any int8 like those. */
static inline int32x4_t ep_rescale_neon(int32x4_t acc, int32x4_t multiplier, int32x4_t shift)
{
    const int32x4_t none = vdupq_n_s32(0), right = vminq_s32(shift, none);
    const int32x4_t high = vqrdmulhq_s32(vqshlq_s32(acc, vmaxq_s32(shift, none)), multiplier);
    return vrshlq_s32(vsraq_n_s32(high, vandq_s32(high, right), 31), right);
}

static inline int16x8_t ep_halve_neon(const ep_finish_neon *f, int32x4_t a, int32x4_t b)
{
    return vqaddq_s16(vqmovn_high_s32(vqmovn_s32(a), b), f->zero);
}

/* Sixteen rescaled values as int8, zero point added, clamped. */
static inline int8x16_t ep_narrow_neon(const ep_finish_neon *f, int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d)
{
    const int8x8_t first = vqmovn_s16(ep_halve_neon(f, a, b));
    const int8x16_t all = vqmovn_high_s16(first, ep_halve_neon(f, c, d));
    return vminq_s8(vmaxq_s8(all, f->low), f->high);
}

/* Eight of them. */
static inline int8x8_t ep_narrow8_neon(const ep_finish_neon *f, int32x4_t a, int32x4_t b)
{
    const int8x8_t all = vqmovn_s16(ep_halve_neon(f, a, b));
    return vmin_s8(vmax_s8(all, vget_low_s8(f->low)), vget_low_s8(f->high));
}

/* Rescales, narrows and stores eight sums, or the first `left` of them. */
static inline void ep_put8_neon(const ep_finish_neon *f, const int32x4_t multiplier[2], const int32x4_t shift[2],
                                int32x4_t low, int32x4_t high, int32_t left, int8_t *y)
{
    int8x8_t values;
    int8_t some[8];
    if (f->shrinks) {
        low = ep_shrink_neon(low, multiplier[0], shift[0]);
        high = ep_shrink_neon(high, multiplier[1], shift[1]);
    } else {
        low = ep_rescale_neon(low, multiplier[0], shift[0]);
        high = ep_rescale_neon(high, multiplier[1], shift[1]);
    }
    values = ep_narrow8_neon(f, low, high);
    if (left >= 8) {
        vst1_s8(y, values);
        return;
    }
    vst1_s8(some, values);
    for (int32_t n = 0; n < left; n++) y[n] = some[n];
}

#endif
