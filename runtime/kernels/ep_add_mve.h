/* Sums of int8 neighbours with Helium: factors stay in scalar registers, of which vectors would need too many. Only for
 * targets with MVE. */
#ifndef EP_ADD_MVE_H
#define EP_ADD_MVE_H

#include <arm_mve.h>

#include "ep_add_s8.h"

/* `acc` times a factor below 1. Negative numbers are lowered by one before the rounding shift, by 0 where there is
 * none: then half goes away from zero. */
static inline int32x4_t ep_scaled_mve(int32x4_t acc, int32_t multiplier, int32_t shift, int32_t lowers)
{
    acc = vqrdmulhq_n_s32(acc, multiplier);
    return vrshlq_n_s32(vmlaq_n_s32(acc, vshrq_n_s32(acc, 31), lowers), shift);
}

static inline int ep_sums_fit_mve(const ep_add_s8_args *args)
{
    return args->sign > 0 && args->scale_a.shift <= 0 && args->scale_b.shift <= 0 && args->scale_y.shift < 0;
}

/* Whole vectors of `count` elements; gives how many elements that are. Not inlined: it needs all registers. */
static __attribute__((noinline)) int32_t ep_sums_mve(const ep_add_s8_args *args, const int8_t *a, const int8_t *b,
                                                     int32_t count, int8_t *y)
{
    const int32_t multiplier_a = args->scale_a.multiplier, shift_a = args->scale_a.shift, lowers_a = shift_a < 0;
    const int32_t multiplier_b = args->scale_b.multiplier, shift_b = args->scale_b.shift, lowers_b = shift_b < 0;
    const int32_t multiplier = args->scale_y.multiplier, shift = args->scale_y.shift;
    const int32x4_t zero_a = vdupq_n_s32(args->zero_a * (1 << 20)), zero_b = vdupq_n_s32(args->zero_b * (1 << 20));
    const int32x4_t zero = vdupq_n_s32(args->zero), low = vdupq_n_s32(args->low), high = vdupq_n_s32(args->high);
    for (int32_t left = count / 4; left > 0; left--, a += 4, b += 4, y += 4) {
        const int32x4_t first = vsubq_s32(vshlq_n_s32(vldrbq_s32(a), 20), zero_a);
        const int32x4_t second = vsubq_s32(vshlq_n_s32(vldrbq_s32(b), 20), zero_b);
        int32x4_t sum = vaddq_s32(ep_scaled_mve(first, multiplier_a, shift_a, lowers_a),
                                  ep_scaled_mve(second, multiplier_b, shift_b, lowers_b));
        sum = vqrdmulhq_n_s32(sum, multiplier);
        sum = vaddq_s32(vrshlq_n_s32(vaddq_s32(sum, vshrq_n_s32(sum, 31)), shift), zero);
        vstrbq_s32(y, vminq_s32(vmaxq_s32(sum, low), high));
    }
    return count / 4 * 4;
}

#endif
