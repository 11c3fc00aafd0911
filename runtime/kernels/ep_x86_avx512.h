/* ep_x86.h with AVX-512 and its dot products. */
#ifndef EP_X86_AVX512_H
#define EP_X86_AVX512_H

#include <immintrin.h>
#include <string.h>

#include "ep_vec_avx512.h"

#define EP_X_LANES 16
#define EP_X_ROWS 8   /* of a tile of products */
#define EP_X_BLOCKS 2 /* of sixteen outputs, beside so many rows */

typedef __m512i ep_x;
typedef __m512i ep_x_inputs;
typedef __m512i ep_x_weights;
typedef __m512i ep_x_bytes;

typedef struct {
    __m512i even, odd;     /* multipliers, as 64-bit lanes take them */
    __m512i add, add_odd;  /* half of both roundings */
    __m512i right;         /* beyond the 32 bits that the upper half of a product is shifted by itself */
} ep_x_scale;

typedef struct {
    __m512i zero, low, high;
} ep_x_limits;

/* In a register from here on: compilers would read weights again for each row, and move sums about. */
#define ep_x_keep(x) __asm__("" : "+v"(x))

static inline ep_x ep_x_load(const int32_t *from) { return _mm512_loadu_si512(from); }

static inline ep_x_weights ep_x_load_weights(const int8_t *from) { return _mm512_loadu_si512(from); }

/* Four bytes in all lanes; those of `flip` turned. */
static inline ep_x_inputs ep_x_four(const int8_t *from, uint32_t flip)
{
    uint32_t word;
    memcpy(&word, from, sizeof word);
    return _mm512_xor_si512(_mm512_set1_epi32((int32_t)word), _mm512_set1_epi32((int32_t)flip));
}

static inline ep_x ep_x_dot(ep_x acc, ep_x_inputs inputs, ep_x_weights weights)
{
    return _mm512_dpbusd_epi32(acc, inputs, weights);
}

/* With right = -shift: floor((acc m + 2^30 + 2^(right + 30) - [acc < 0] 2^31) / 2^(31 + right)) is both roundings at
 * once, since the floor of a floor is a floor. */
static inline ep_x_scale ep_x_load_scale(const int32_t *multiplier, const int32_t *shift)
{
    const __m512i one = _mm512_set1_epi64(1), half = _mm512_set1_epi64(INT64_C(1) << 30);
    const __m512i right = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_loadu_si512(shift));
    const __m512i by = _mm512_add_epi32(right, _mm512_set1_epi32(30));
    ep_x_scale s;
    s.even = _mm512_loadu_si512(multiplier);
    s.odd = _mm512_srli_epi64(s.even, 32);
    s.add = _mm512_add_epi64(half, _mm512_sllv_epi64(one, _mm512_and_si512(by, _mm512_set1_epi64(63))));
    s.add_odd = _mm512_add_epi64(half, _mm512_sllv_epi64(one, _mm512_srli_epi64(by, 32)));
    s.right = _mm512_sub_epi32(right, _mm512_set1_epi32(1));
    return s;
}

/* The upper words of both as they are then shifted. */
static inline ep_x ep_x_join(__m512i even, __m512i odd, const ep_x_scale *s)
{
    return _mm512_srav_epi32(_mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB), s->right);
}

static inline ep_x ep_x_rescale(ep_x acc, const ep_x_scale *s)
{
    const __m512i sign = _mm512_set1_epi64(INT64_C(1) << 31), next = _mm512_srli_epi64(acc, 32);
    const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(acc, s->even), s->add);
    const __m512i odd = _mm512_add_epi64(_mm512_mul_epi32(next, s->odd), s->add_odd);
    return ep_x_join(_mm512_sub_epi64(even, _mm512_and_si512(acc, sign)),
                     _mm512_sub_epi64(odd, _mm512_and_si512(next, sign)), s);
}

/* Without what negative numbers take away: they become one more at most, and 0 at most. */
static inline ep_x ep_x_rescale_clamped(ep_x acc, const ep_x_scale *s)
{
    const __m512i next = _mm512_srli_epi64(acc, 32);
    return ep_x_join(_mm512_add_epi64(_mm512_mul_epi32(acc, s->even), s->add),
                     _mm512_add_epi64(_mm512_mul_epi32(next, s->odd), s->add_odd), s);
}

static inline ep_x ep_x_rescale_any(ep_x acc, const int32_t *multiplier, const int32_t *shift)
{
    const ep_vec_scale s = ep_vec_scale_load(multiplier, shift);
    return ep_vec_rescale(acc, &s);
}

static inline ep_x_limits ep_x_load_limits(int32_t zero, int32_t low, int32_t high)
{
    ep_x_limits l;
    l.zero = _mm512_set1_epi16((int16_t)zero);
    l.low = _mm512_set1_epi8((char)low);
    l.high = _mm512_set1_epi8((char)high);
    return l;
}

static inline ep_x_bytes ep_x_unspread(ep_x a, ep_x b, ep_x c, ep_x d, const ep_x_limits *l)
{
    const __m512i first = _mm512_adds_epi16(_mm512_packs_epi32(a, b), l->zero);
    const __m512i second = _mm512_adds_epi16(_mm512_packs_epi32(c, d), l->zero);
    return _mm512_min_epi8(_mm512_max_epi8(_mm512_packs_epi16(first, second), l->low), l->high);
}

/* Bytes of a, then those of b, c, d. */
static inline ep_x_bytes ep_x_narrow(ep_x a, ep_x b, ep_x c, ep_x d, const ep_x_limits *l)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, ep_x_unspread(a, b, c, d, l));
}

static inline void ep_x_store(int8_t *to, ep_x_bytes bytes) { _mm512_storeu_si512(to, bytes); }

static inline void ep_x_store_first(int8_t *to, ep_x_bytes bytes, int32_t count)
{
    _mm512_mask_storeu_epi8(to, count >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1, bytes);
}

/* The sixteen bytes number `part`, or the first `count` of them. */
#define ep_x_store_part(to, bytes, part, count)                                                                    \
    do {                                                                                                           \
        if ((count) >= 16)                                                                                         \
            _mm_storeu_si128((__m128i *)(void *)(to), _mm512_extracti32x4_epi32(bytes, part));                     \
        else                                                                                                       \
            _mm_mask_storeu_epi8(to, (__mmask16)((1 << (count)) - 1), _mm512_extracti32x4_epi32(bytes, part));     \
    } while (0)

/* 64 bytes of four taps: of each byte, the four taps in one lane. */
static inline void ep_x_spread(const int8_t *const *tap, ptrdiff_t at, ep_x_inputs *inputs)
{
    const __m512i a = _mm512_loadu_si512(tap[0] + at), b = _mm512_loadu_si512(tap[1] + at);
    const __m512i c = _mm512_loadu_si512(tap[2] + at), d = _mm512_loadu_si512(tap[3] + at);
    const __m512i ab = _mm512_unpacklo_epi8(a, b), cd = _mm512_unpacklo_epi8(c, d);
    const __m512i ab_high = _mm512_unpackhi_epi8(a, b), cd_high = _mm512_unpackhi_epi8(c, d);
    inputs[0] = _mm512_unpacklo_epi16(ab, cd);
    inputs[1] = _mm512_unpackhi_epi16(ab, cd);
    inputs[2] = _mm512_unpacklo_epi16(ab_high, cd_high);
    inputs[3] = _mm512_unpackhi_epi16(ab_high, cd_high);
}

#endif
