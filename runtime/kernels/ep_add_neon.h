/* Sums of int8 neighbours with NEON, sixteen at a time. Only for targets with it. */
#ifndef EP_ADD_NEON_H
#define EP_ADD_NEON_H

#include "ep_add_s8.h"
#include "ep_requant_neon.h"

/* One side counts by exactly a half, as the one with the larger scale does: its product needs no rounding. */
static inline int ep_is_half_neon(ep_scale scale) { return scale.multiplier == INT32_C(1) << 30 && scale.shift == 0; }

static inline int ep_sums_fit_neon(const ep_add_s8_args *args)
{
    return args->sign > 0 && args->scale_y.shift < 0 &&
           ((ep_is_half_neon(args->scale_a) && args->scale_b.shift <= 0) ||
            (ep_is_half_neon(args->scale_b) && args->scale_a.shift <= 0));
}

/* Sums of four: (half << 12) of one side, the product of the other, both times 2^20 before. */
static inline __attribute__((always_inline)) int32x4_t ep_sum_neon(int32x4_t half, int32x4_t other, int32x4_t by,
                                                                   int32x4_t to, int shrinks, int32x4_t by_y,
                                                                   int32x4_t to_y)
{
    other = shrinks ? ep_shrink_neon(other, by, to) : vqrdmulhq_s32(other, by);
    return ep_shrink_neon(vaddq_s32(half, other), by_y, to_y);
}

static inline __attribute__((always_inline)) int32_t ep_loop_neon(const ep_add_s8_args *args, ep_scale scale,
                                                                  const int8_t *half, int32_t zero_half,
                                                                  const int8_t *other, int32_t zero_other,
                                                                  int32_t count, int shrinks, int8_t *y)
{
    const ep_finish_neon f = ep_load_finish_neon(args->zero, args->low, args->high, &args->scale_y.shift, 1);
    const int16x8_t zero_a = vdupq_n_s16((int16_t)(zero_half * 128)), zero_b = vdupq_n_s16((int16_t)(zero_other * 128));
    const int32x4_t by = vdupq_n_s32(scale.multiplier), to = vdupq_n_s32(scale.shift);
    const int32x4_t by_y = vdupq_n_s32(args->scale_y.multiplier), to_y = vdupq_n_s32(args->scale_y.shift);
    int32_t i = 0;
    for (; i + 16 <= count; i += 16) {
        const int8x16_t a = vld1q_s8(half + i), b = vld1q_s8(other + i);
        const int16x8_t a0 = vsubq_s16(vshll_n_s8(vget_low_s8(a), 7), zero_a);
        const int16x8_t a1 = vsubq_s16(vshll_high_n_s8(a, 7), zero_a);
        const int16x8_t b0 = vsubq_s16(vshll_n_s8(vget_low_s8(b), 7), zero_b);
        const int16x8_t b1 = vsubq_s16(vshll_high_n_s8(b, 7), zero_b);
        const int32x4_t s0 = ep_sum_neon(vshll_n_s16(vget_low_s16(a0), 12), vshll_n_s16(vget_low_s16(b0), 13), by, to,
                                         shrinks, by_y, to_y);
        const int32x4_t s1 = ep_sum_neon(vshll_high_n_s16(a0, 12), vshll_high_n_s16(b0, 13), by, to, shrinks, by_y,
                                         to_y);
        const int32x4_t s2 = ep_sum_neon(vshll_n_s16(vget_low_s16(a1), 12), vshll_n_s16(vget_low_s16(b1), 13), by, to,
                                         shrinks, by_y, to_y);
        const int32x4_t s3 = ep_sum_neon(vshll_high_n_s16(a1, 12), vshll_high_n_s16(b1, 13), by, to, shrinks, by_y,
                                         to_y);
        vst1q_s8(y + i, ep_narrow_neon(&f, s0, s1, s2, s3));
    }
    return i;
}

/* Whole vectors of `count` elements; gives how many elements that are. */
static inline int32_t ep_sums_neon(const ep_add_s8_args *args, const int8_t *a, const int8_t *b, int32_t count,
                                   int8_t *y)
{
    const int first = ep_is_half_neon(args->scale_a);
    const ep_scale scale = first ? args->scale_b : args->scale_a;
    const int8_t *half = first ? a : b, *other = first ? b : a;
    const int32_t zero_half = first ? args->zero_a : args->zero_b, zero_other = first ? args->zero_b : args->zero_a;
    if (scale.shift < 0) return ep_loop_neon(args, scale, half, zero_half, other, zero_other, count, 1, y);
    return ep_loop_neon(args, scale, half, zero_half, other, zero_other, count, 0, y);
}

#endif
