/* Sums of int8 neighbours with AVX-512, 64 at a time. Only for targets with its dot products.
 *
 * One side counts by exactly a half, as the one with the larger scale does: times 2^20, that is a shift. The other's
 * steps v have nine bits, its multiplier is m = 2^16 mh + ml, so that both roundings of its side are
 *
 *     floor((2^5 mh v + floor((ml v + 2^10 + 2^(right + 10) - [v < 0] 2^11) / 2^11)) / 2^right)
 *
 * in 32 bits. The upper word of a negative v is -1: a dot product of words takes away what belongs to the sign. */
#ifndef EP_ADD_AVX512_H
#define EP_ADD_AVX512_H

#include "ep_add_s8.h"
#include "ep_x86.h"

#define EP_ADD_MOST_RIGHT 20

typedef struct {
    __m512i zero, low, high; /* low: ml beside what a sign takes away; high: 2^5 mh */
    __m512i add, right;
} ep_add_side_avx512;

static inline int ep_is_half_avx512(ep_scale scale) { return scale.multiplier == INT32_C(1) << 30 && scale.shift == 0; }

static inline int ep_side_fits_avx512(ep_scale scale) { return scale.shift <= 0 && scale.shift >= -EP_ADD_MOST_RIGHT; }

static inline int ep_sums_fit_avx512(const ep_add_s8_args *args)
{
    return args->sign > 0 && args->scale_y.shift < 0 &&
           ((ep_is_half_avx512(args->scale_a) && ep_side_fits_avx512(args->scale_b)) ||
            (ep_is_half_avx512(args->scale_b) && ep_side_fits_avx512(args->scale_a)));
}

static inline ep_add_side_avx512 ep_add_side_of_avx512(ep_scale scale, int32_t zero)
{
    const int32_t right = -scale.shift, high = (int32_t)(((int64_t)scale.multiplier + (1 << 15)) >> 16);
    const int32_t low = (int32_t)(scale.multiplier - (int64_t)high * (1 << 16)), sign = right > 0 ? 1 << 11 : 0;
    ep_add_side_avx512 s;
    s.zero = _mm512_set1_epi32(zero);
    s.low = _mm512_set1_epi32((int32_t)((uint32_t)sign << 16 | (uint16_t)low));
    s.high = _mm512_set1_epi32(high * (1 << 5));
    s.add = _mm512_set1_epi32((1 << 10) + (right > 0 ? 1 << (right + 10) : 0));
    s.right = _mm512_set1_epi32(right);
    return s;
}

EP_INLINE ep_x ep_sum_avx512(const int8_t *half, const int8_t *other, const ep_add_side_avx512 *s, __m512i zero_half)
{
    const __m512i steps = _mm512_sub_epi32(ep_vec_load_s8(other), s->zero);
    const __m512i low = _mm512_srai_epi32(_mm512_dpwssd_epi32(s->add, steps, s->low), 11);
    const __m512i side = _mm512_srav_epi32(_mm512_add_epi32(_mm512_mullo_epi32(steps, s->high), low), s->right);
    return _mm512_add_epi32(_mm512_sub_epi32(_mm512_slli_epi32(ep_vec_load_s8(half), 19), zero_half), side);
}

/* `clamped`, a constant: results below the zero point do not count. */
EP_INLINE int32_t ep_loop_avx512(const ep_add_side_avx512 *side, __m512i zero_half, const ep_x_scale *scale,
                                 const ep_x_limits *limits, int clamped, const int8_t *half, const int8_t *other,
                                 int32_t count, int8_t *y)
{
    int32_t i = 0;
    for (; i + 64 <= count; i += 64) {
        ep_x sum[4];
        EP_UNROLL for (int32_t q = 0; q < 4; q++) {
            sum[q] = ep_sum_avx512(half + i + 16 * q, other + i + 16 * q, side, zero_half);
            sum[q] = clamped ? ep_x_rescale_clamped(sum[q], scale) : ep_x_rescale(sum[q], scale);
        }
        ep_x_store(y + i, ep_x_narrow(sum[0], sum[1], sum[2], sum[3], limits));
    }
    return i;
}

/* Whole vectors of `count` elements; gives how many elements that are. */
static inline int32_t ep_sums_avx512(const ep_add_s8_args *args, const int8_t *a, const int8_t *b, int32_t count,
                                     int8_t *y)
{
    const int first = ep_is_half_avx512(args->scale_a);
    const int8_t *half = first ? a : b, *other = first ? b : a;
    const __m512i zero_half = _mm512_set1_epi32((first ? args->zero_a : args->zero_b) * (1 << 19));
    const ep_add_side_avx512 side = first ? ep_add_side_of_avx512(args->scale_b, args->zero_b)
                                          : ep_add_side_of_avx512(args->scale_a, args->zero_a);
    const ep_x_limits limits = ep_x_load_limits(args->zero, args->low, args->high);
    int32_t multiplier[EP_X_LANES], shift[EP_X_LANES];
    ep_x_scale scale;
    for (int32_t n = 0; n < EP_X_LANES; n++) {
        multiplier[n] = args->scale_y.multiplier;
        shift[n] = args->scale_y.shift;
    }
    scale = ep_x_load_scale(multiplier, shift);
    if (args->low >= args->zero) return ep_loop_avx512(&side, zero_half, &scale, &limits, 1, half, other, count, y);
    return ep_loop_avx512(&side, zero_half, &scale, &limits, 0, half, other, count, y);
}

#endif
