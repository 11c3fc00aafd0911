/* Results of sixteen outputs in one vector; see ep_bfinish.h. */
#ifndef EP_BFINISH_AVX512_H
#define EP_BFINISH_AVX512_H

#include <immintrin.h>

#include "ep_bfinish.h"

typedef struct {
    __m512 multiplier, bias;
    __m512i products, low, high;
    __mmask16 mask;
} ep_bvalues_avx512;

static inline ep_bvalues_avx512 ep_load_bvalues_avx512(const ep_bconv2d_args *args, int32_t products, int32_t first,
                                                       int32_t count)
{
    ep_bvalues_avx512 v;
    v.mask = (__mmask16)(count >= 16 ? 0xFFFF : (1 << count) - 1);
    v.multiplier = _mm512_maskz_loadu_ps(v.mask, args->multiplier + first);
    v.bias = _mm512_maskz_loadu_ps(v.mask, args->bias + first);
    v.products = _mm512_set1_epi32(products);
    v.low = _mm512_set1_epi32(args->low);
    v.high = _mm512_set1_epi32(args->high);
    return v;
}

static inline __m512 ep_bvalue_avx512(const ep_bvalues_avx512 *v, const int32_t *differing)
{
    const __m512i d = _mm512_maskz_loadu_epi32(v->mask, differing);
    __m512i sum = _mm512_sub_epi32(v->products, _mm512_add_epi32(d, d));
    sum = _mm512_min_epi32(_mm512_max_epi32(sum, v->low), v->high);
    return _mm512_add_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), v->multiplier), v->bias);
}

/* clamp(half_to_even(value / scale) + zero), what is no number as 0: ep_round_s8.h. */
static inline __m128i ep_bround_avx512(__m512 value, __m512 scale, __m512i zero)
{
    const __m512 far = _mm512_set1_ps(1024.0f), near = _mm512_set1_ps(-1024.0f);
    __m512 steps = _mm512_div_ps(value, scale);
    steps = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(steps, steps, _CMP_ORD_Q), steps);
    steps = _mm512_min_ps(_mm512_max_ps(steps, near), far);
    return _mm512_cvtsepi32_epi8(_mm512_add_epi32(_mm512_cvtps_epi32(steps), zero));
}

#endif
