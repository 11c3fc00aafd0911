/* ep_vec.h with AVX-512: sixteen lanes. */
#ifndef EP_VEC_AVX512_H
#define EP_VEC_AVX512_H

#include <immintrin.h>

#include "ep_requant.h"

#define EP_VEC_LANES 16

typedef __m512i ep_vec;

typedef struct {
    __m512i even, odd;   /* multipliers, as 64-bit lanes take them */
    __m512i left;        /* how far to the left, 30 at most: more saturates the same */
    __m512i right, last; /* how far to the right: the last place alone, after half was added */
    __mmask16 grows;     /* lanes with a factor of 1 or more */
    __mmask16 shrinks;   /* lanes that are shifted to the right */
} ep_vec_scale;

static inline ep_vec ep_vec_set1(int32_t value) { return _mm512_set1_epi32(value); }

static inline ep_vec ep_vec_load_s8(const int8_t *x)
{
    return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)x));
}

static inline ep_vec ep_vec_load_s32(const int32_t *x) { return _mm512_loadu_si512(x); }

static inline ep_vec ep_vec_add(ep_vec a, ep_vec b) { return _mm512_add_epi32(a, b); }

static inline ep_vec ep_vec_sub(ep_vec a, ep_vec b) { return _mm512_sub_epi32(a, b); }

static inline ep_vec ep_vec_mul(ep_vec a, ep_vec b) { return _mm512_mullo_epi32(a, b); }

static inline ep_vec ep_vec_max(ep_vec a, ep_vec b) { return _mm512_max_epi32(a, b); }

static inline ep_vec ep_vec_min(ep_vec a, ep_vec b) { return _mm512_min_epi32(a, b); }

static inline ep_vec ep_vec_shl(ep_vec a, int n) { return _mm512_sll_epi32(a, _mm_cvtsi32_si128(n)); }

static inline ep_vec_scale ep_vec_scale_of(__m512i multiplier, __m512i shift)
{
    const __m512i zero = _mm512_setzero_si512(), one = _mm512_set1_epi32(1);
    const __m512i right = _mm512_max_epi32(_mm512_sub_epi32(zero, shift), zero);
    ep_vec_scale s;
    s.even = multiplier;
    s.odd = _mm512_srli_epi64(multiplier, 32);
    s.left = _mm512_min_epi32(_mm512_max_epi32(shift, zero), _mm512_set1_epi32(30));
    s.last = _mm512_min_epi32(right, one);
    s.right = _mm512_sub_epi32(right, s.last);
    s.grows = _mm512_cmpgt_epi32_mask(shift, zero);
    s.shrinks = _mm512_cmpgt_epi32_mask(zero, shift);
    return s;
}

static inline ep_vec_scale ep_vec_scale_set1(int32_t multiplier, int32_t shift)
{
    return ep_vec_scale_of(_mm512_set1_epi32(multiplier), _mm512_set1_epi32(shift));
}

static inline ep_vec_scale ep_vec_scale_load(const int32_t *multiplier, const int32_t *shift)
{
    return ep_vec_scale_of(_mm512_loadu_si512(multiplier), _mm512_loadu_si512(shift));
}

/* acc << left within +-2^30. */
static inline ep_vec ep_vec_grow(ep_vec acc, const ep_vec_scale *s)
{
    const __m512i most = _mm512_srlv_epi32(_mm512_set1_epi32(1 << 30), s->left);
    const __m512i least = _mm512_sub_epi32(_mm512_setzero_si512(), most);
    acc = _mm512_mask_min_epi32(acc, s->grows, acc, most);
    acc = _mm512_mask_max_epi32(acc, s->grows, acc, least);
    return _mm512_sllv_epi32(acc, s->left);
}

/* t / 2^right, half away from zero: negative numbers are lowered by one, then half goes up. */
static inline ep_vec ep_vec_rescale(ep_vec acc, const ep_vec_scale *s)
{
    const __m512i half = _mm512_set1_epi64(INT64_C(1) << 30);
    __m512i even, odd, high;
    if (s->grows) acc = ep_vec_grow(acc, s);
    even = _mm512_add_epi64(_mm512_mul_epi32(acc, s->even), half);
    odd = _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(acc, 32), s->odd), half);
    high = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 31), _mm512_slli_epi64(odd, 1));
    high = _mm512_mask_add_epi32(high, s->shrinks, high, _mm512_srai_epi32(high, 31));
    high = _mm512_add_epi32(_mm512_srav_epi32(high, s->right), s->last);
    return _mm512_srav_epi32(high, s->last);
}

static inline void ep_vec_store_s8(int8_t *to, ep_vec value, int32_t zero, int32_t low, int32_t high)
{
    value = _mm512_add_epi32(value, _mm512_set1_epi32(zero));
    value = _mm512_max_epi32(value, _mm512_set1_epi32(low));
    value = _mm512_min_epi32(value, _mm512_set1_epi32(high));
    _mm_storeu_si128((__m128i *)(void *)to, _mm512_cvtepi32_epi8(value));
}

#endif
