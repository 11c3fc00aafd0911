/* ep_requant.h on sixteen accumulators at a time; the same integers. Only for targets with AVX-512. */
#ifndef EP_REQUANT_AVX512_H
#define EP_REQUANT_AVX512_H

#include <immintrin.h>

#include "ep_requant.h"

typedef struct {
    __m512i even, odd;         /* multipliers, as 64-bit lanes take them */
    __m512i left, right;       /* how far; one of them is 0 */
    __m512i mask, threshold;   /* of what is shifted out, and half of it */
    __mmask16 grows;           /* lanes with a factor of 1 or more */
} ep_scale_avx512;

static inline ep_scale_avx512 ep_load_scale_avx512(const int32_t *multiplier, const int32_t *shift)
{
    ep_scale_avx512 s;
    const __m512i zero = _mm512_setzero_si512(), one = _mm512_set1_epi32(1), by = _mm512_loadu_si512(shift);
    s.even = _mm512_loadu_si512(multiplier);
    s.odd = _mm512_srli_epi64(s.even, 32);
    s.left = _mm512_max_epi32(by, zero);
    s.right = _mm512_max_epi32(_mm512_sub_epi32(zero, by), zero);
    s.mask = _mm512_sub_epi32(_mm512_sllv_epi32(one, s.right), one);
    s.threshold = _mm512_srli_epi32(s.mask, 1);
    s.grows = _mm512_cmpgt_epi32_mask(by, zero);
    return s;
}

/* acc << left, where it stays within +-2^30: beyond, the result saturates in any case. */
static inline __m512i ep_grow_avx512(const ep_scale_avx512 *s, __m512i acc)
{
    const __m512i limit = _mm512_set1_epi32(1 << 30), most = _mm512_srav_epi32(limit, s->left);
    const __m512i least = _mm512_sub_epi32(_mm512_setzero_si512(), most);
    acc = _mm512_mask_min_epi32(acc, s->grows, acc, most);
    acc = _mm512_mask_max_epi32(acc, s->grows, acc, least);
    return _mm512_sllv_epi32(acc, s->left);
}

static inline __m512i ep_rescale_avx512(const ep_scale_avx512 *s, __m512i acc)
{
    const __m512i half = _mm512_set1_epi64(INT64_C(1) << 30), zero = _mm512_setzero_si512();
    __m512i even, odd, high;
    __mmask16 up;
    if (s->grows) acc = ep_grow_avx512(s, acc);
    even = _mm512_add_epi64(_mm512_mul_epi32(acc, s->even), half);
    odd = _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(acc, 32), s->odd), half);
    high = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 31), _mm512_slli_epi64(odd, 1));
    up = _mm512_cmpgt_epi32_mask(
        _mm512_and_si512(high, s->mask),
        _mm512_sub_epi32(s->threshold, _mm512_srai_epi32(_mm512_min_epi32(high, zero), 31)));
    high = _mm512_srav_epi32(high, s->right);
    return _mm512_mask_add_epi32(high, up, high, _mm512_set1_epi32(1));
}

static inline void ep_store_avx512(const ep_scale_avx512 *s, __m512i acc, int32_t zero, int32_t low, int32_t high,
                                   __mmask16 mask, int8_t *y)
{
    __m512i value = _mm512_add_epi32(ep_rescale_avx512(s, acc), _mm512_set1_epi32(zero));
    value = _mm512_max_epi32(value, _mm512_set1_epi32(low));
    value = _mm512_min_epi32(value, _mm512_set1_epi32(high));
    if (mask == 0xFFFF)
        _mm_storeu_si128((void *)y, _mm512_cvtepi32_epi8(value));
    else
        _mm_mask_storeu_epi8(y, mask, _mm512_cvtepi32_epi8(value));
}

#endif
