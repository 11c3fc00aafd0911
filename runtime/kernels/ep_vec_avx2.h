/* ep_vec.h with AVX2: eight lanes. */
#ifndef EP_VEC_AVX2_H
#define EP_VEC_AVX2_H

#include <immintrin.h>

#include "ep_requant.h"

#define EP_VEC_LANES 8

typedef __m256i ep_vec;

typedef struct {
    __m256i even, odd;   /* multipliers, as 64-bit lanes take them */
    __m256i left;        /* how far to the left, 30 at most: more saturates the same */
    __m256i most;        /* 2^30 >> left; lanes that do not grow have the largest integer */
    __m256i right, last; /* how far to the right: the last place alone, after half was added */
    __m256i shrinks;     /* lanes that are shifted to the right, all ones */
    int grows;           /* some lane has a factor of 1 or more */
} ep_vec_scale;

static inline ep_vec ep_vec_set1(int32_t value) { return _mm256_set1_epi32(value); }

static inline ep_vec ep_vec_load_s8(const int8_t *x)
{
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)x));
}

static inline ep_vec ep_vec_load_s32(const int32_t *x)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)x);
}

static inline ep_vec ep_vec_add(ep_vec a, ep_vec b) { return _mm256_add_epi32(a, b); }

static inline ep_vec ep_vec_sub(ep_vec a, ep_vec b) { return _mm256_sub_epi32(a, b); }

static inline ep_vec ep_vec_mul(ep_vec a, ep_vec b) { return _mm256_mullo_epi32(a, b); }

static inline ep_vec ep_vec_max(ep_vec a, ep_vec b) { return _mm256_max_epi32(a, b); }

static inline ep_vec ep_vec_min(ep_vec a, ep_vec b) { return _mm256_min_epi32(a, b); }

static inline ep_vec ep_vec_shl(ep_vec a, int n) { return _mm256_sll_epi32(a, _mm_cvtsi32_si128(n)); }

static inline ep_vec_scale ep_vec_scale_of(__m256i multiplier, __m256i shift)
{
    const __m256i zero = _mm256_setzero_si256(), one = _mm256_set1_epi32(1);
    const __m256i right = _mm256_max_epi32(_mm256_sub_epi32(zero, shift), zero);
    const __m256i grows = _mm256_cmpgt_epi32(shift, zero);
    ep_vec_scale s;
    s.even = multiplier;
    s.odd = _mm256_srli_epi64(multiplier, 32);
    s.left = _mm256_min_epi32(_mm256_max_epi32(shift, zero), _mm256_set1_epi32(30));
    s.most = _mm256_blendv_epi8(_mm256_set1_epi32(INT32_MAX),
                                _mm256_srlv_epi32(_mm256_set1_epi32(1 << 30), s.left), grows);
    s.last = _mm256_min_epi32(right, one);
    s.right = _mm256_sub_epi32(right, s.last);
    s.shrinks = _mm256_cmpgt_epi32(zero, shift);
    s.grows = _mm256_movemask_epi8(grows) != 0;
    return s;
}

static inline ep_vec_scale ep_vec_scale_set1(int32_t multiplier, int32_t shift)
{
    return ep_vec_scale_of(_mm256_set1_epi32(multiplier), _mm256_set1_epi32(shift));
}

static inline ep_vec_scale ep_vec_scale_load(const int32_t *multiplier, const int32_t *shift)
{
    return ep_vec_scale_of(ep_vec_load_s32(multiplier), ep_vec_load_s32(shift));
}

/* acc << left within +-2^30; the other lanes as they are. */
static inline ep_vec ep_vec_grow(ep_vec acc, const ep_vec_scale *s)
{
    const __m256i least = _mm256_xor_si256(s->most, _mm256_set1_epi32(-1));
    const __m256i low = _mm256_sub_epi32(least, _mm256_cmpgt_epi32(s->left, _mm256_setzero_si256()));
    acc = _mm256_max_epi32(_mm256_min_epi32(acc, s->most), low);
    return _mm256_sllv_epi32(acc, s->left);
}

/* t / 2^right, half away from zero: negative numbers are lowered by one, then half goes up. */
static inline ep_vec ep_vec_rescale(ep_vec acc, const ep_vec_scale *s)
{
    const __m256i half = _mm256_set1_epi64x(INT64_C(1) << 30);
    __m256i even, odd, high;
    if (s->grows) acc = ep_vec_grow(acc, s);
    even = _mm256_add_epi64(_mm256_mul_epi32(acc, s->even), half);
    odd = _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(acc, 32), s->odd), half);
    high = _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_slli_epi64(odd, 1), 0xAA);
    high = _mm256_add_epi32(high, _mm256_and_si256(_mm256_srai_epi32(high, 31), s->shrinks));
    high = _mm256_add_epi32(_mm256_srav_epi32(high, s->right), s->last);
    return _mm256_srav_epi32(high, s->last);
}

static inline void ep_vec_store_s8(int8_t *to, ep_vec value, int32_t zero, int32_t low, int32_t high)
{
    __m128i halves;
    value = _mm256_add_epi32(value, _mm256_set1_epi32(zero));
    value = _mm256_max_epi32(value, _mm256_set1_epi32(low));
    value = _mm256_min_epi32(value, _mm256_set1_epi32(high));
    halves = _mm_packs_epi32(_mm256_castsi256_si128(value), _mm256_extracti128_si256(value, 1));
    _mm_storel_epi64((__m128i *)(void *)to, _mm_packs_epi16(halves, halves));
}

#endif
