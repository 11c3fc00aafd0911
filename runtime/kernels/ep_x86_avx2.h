/* ep_x86.h with AVX2, and its dot products where the processor has them (AVX-VNNI). */
#ifndef EP_X86_AVX2_H
#define EP_X86_AVX2_H

#include <immintrin.h>
#include <string.h>

#include "ep_vec_avx2.h"

#define EP_X_LANES 16
#define EP_X_ROWS 4
#define EP_X_BLOCKS 1

typedef struct {
    __m256i a, b;
} ep_x;

typedef ep_x ep_x_bytes;

#if defined(__AVXVNNI__)
typedef __m256i ep_x_words;
#else
/* Bytes 0 and 2 of each lane, and bytes 1 and 3, as int16: products of bytes in pairs do not fit in sixteen bits. */
typedef struct {
    __m256i even, odd;
} ep_x_words;
#endif

typedef ep_x_words ep_x_four_bytes;

typedef struct {
    ep_x_words a, b;
} ep_x_inputs;

typedef ep_x_inputs ep_x_weights;

typedef struct {
    __m256i even, odd, add, add_odd, right;
} ep_x_half_scale;

typedef struct {
    ep_x_half_scale a, b;
} ep_x_scale;

typedef struct {
    __m256i zero, low, high;
} ep_x_limits;

#define ep_x_keep(x) ((void)(x))

static inline __m256i ep_x_at(const void *from) { return _mm256_loadu_si256((const __m256i *)from); }

static inline ep_x ep_x_load(const int32_t *from)
{
    ep_x x;
    x.a = ep_x_at(from);
    x.b = ep_x_at(from + 8);
    return x;
}

#if defined(__AVXVNNI__)

static inline ep_x_words ep_x_unsigned(__m256i bytes) { return bytes; }

static inline ep_x_words ep_x_signed(__m256i bytes) { return bytes; }

static inline __m256i ep_x_dot_half(__m256i acc, ep_x_words inputs, ep_x_words weights)
{
    return _mm256_dpbusd_avx_epi32(acc, inputs, weights);
}

#else

static inline ep_x_words ep_x_unsigned(__m256i bytes)
{
    ep_x_words w;
    w.even = _mm256_and_si256(bytes, _mm256_set1_epi16(255));
    w.odd = _mm256_srli_epi16(bytes, 8);
    return w;
}

static inline ep_x_words ep_x_signed(__m256i bytes)
{
    ep_x_words w;
    w.even = _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8);
    w.odd = _mm256_srai_epi16(bytes, 8);
    return w;
}

static inline __m256i ep_x_dot_half(__m256i acc, ep_x_words inputs, ep_x_words weights)
{
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(inputs.even, weights.even));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(inputs.odd, weights.odd));
}

#endif

static inline ep_x_weights ep_x_load_weights(const int8_t *from)
{
    ep_x_weights w;
    w.a = ep_x_signed(ep_x_at(from));
    w.b = ep_x_signed(ep_x_at(from + 32));
    return w;
}

/* Four bytes in all lanes; those of `flip` turned. */
static inline ep_x_inputs ep_x_four(const int8_t *from, uint32_t flip)
{
    uint32_t word;
    ep_x_inputs i;
    memcpy(&word, from, sizeof word);
    i.a = ep_x_unsigned(_mm256_set1_epi32((int32_t)(word ^ flip)));
    i.b = i.a;
    return i;
}

static inline ep_x ep_x_dot(ep_x acc, ep_x_inputs inputs, ep_x_weights weights)
{
    acc.a = ep_x_dot_half(acc.a, inputs.a, weights.a);
    acc.b = ep_x_dot_half(acc.b, inputs.b, weights.b);
    return acc;
}

/* As in ep_x86_avx512.h. */
static inline ep_x_half_scale ep_x_load_half_scale(const int32_t *multiplier, const int32_t *shift)
{
    const __m256i one = _mm256_set1_epi64x(1), half = _mm256_set1_epi64x(INT64_C(1) << 30);
    const __m256i right = _mm256_sub_epi32(_mm256_setzero_si256(), ep_x_at(shift));
    const __m256i by = _mm256_add_epi32(right, _mm256_set1_epi32(30));
    ep_x_half_scale s;
    s.even = ep_x_at(multiplier);
    s.odd = _mm256_srli_epi64(s.even, 32);
    s.add = _mm256_add_epi64(half, _mm256_sllv_epi64(one, _mm256_and_si256(by, _mm256_set1_epi64x(63))));
    s.add_odd = _mm256_add_epi64(half, _mm256_sllv_epi64(one, _mm256_srli_epi64(by, 32)));
    s.right = _mm256_sub_epi32(right, _mm256_set1_epi32(1));
    return s;
}

static inline ep_x_scale ep_x_load_scale(const int32_t *multiplier, const int32_t *shift)
{
    ep_x_scale s;
    s.a = ep_x_load_half_scale(multiplier, shift);
    s.b = ep_x_load_half_scale(multiplier + 8, shift + 8);
    return s;
}

static inline __m256i ep_x_rescale_half(__m256i acc, const ep_x_half_scale *s)
{
    const __m256i sign = _mm256_set1_epi64x(INT64_C(1) << 31), next = _mm256_srli_epi64(acc, 32);
    __m256i even = _mm256_add_epi64(_mm256_mul_epi32(acc, s->even), s->add);
    __m256i odd = _mm256_add_epi64(_mm256_mul_epi32(next, s->odd), s->add_odd);
    even = _mm256_sub_epi64(even, _mm256_and_si256(acc, sign));
    odd = _mm256_sub_epi64(odd, _mm256_and_si256(next, sign));
    return _mm256_srav_epi32(_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA), s->right);
}

static inline ep_x ep_x_rescale(ep_x acc, const ep_x_scale *s)
{
    acc.a = ep_x_rescale_half(acc.a, &s->a);
    acc.b = ep_x_rescale_half(acc.b, &s->b);
    return acc;
}

static inline ep_x ep_x_rescale_any(ep_x acc, const int32_t *multiplier, const int32_t *shift)
{
    const ep_vec_scale a = ep_vec_scale_load(multiplier, shift), b = ep_vec_scale_load(multiplier + 8, shift + 8);
    acc.a = ep_vec_rescale(acc.a, &a);
    acc.b = ep_vec_rescale(acc.b, &b);
    return acc;
}

static inline ep_x_limits ep_x_load_limits(int32_t zero, int32_t low, int32_t high)
{
    ep_x_limits l;
    l.zero = _mm256_set1_epi16((int16_t)zero);
    l.low = _mm256_set1_epi8((char)low);
    l.high = _mm256_set1_epi8((char)high);
    return l;
}

static inline __m256i ep_x_pack(__m256i a, __m256i b, __m256i c, __m256i d, const ep_x_limits *l)
{
    const __m256i first = _mm256_adds_epi16(_mm256_packs_epi32(a, b), l->zero);
    const __m256i second = _mm256_adds_epi16(_mm256_packs_epi32(c, d), l->zero);
    return _mm256_min_epi8(_mm256_max_epi8(_mm256_packs_epi16(first, second), l->low), l->high);
}

static inline ep_x_bytes ep_x_unspread(ep_x a, ep_x b, ep_x c, ep_x d, const ep_x_limits *l)
{
    ep_x_bytes bytes;
    bytes.a = ep_x_pack(a.a, b.a, c.a, d.a, l);
    bytes.b = ep_x_pack(a.b, b.b, c.b, d.b, l);
    return bytes;
}

/* Bytes of a, then those of b, c, d. */
static inline ep_x_bytes ep_x_narrow(ep_x a, ep_x b, ep_x c, ep_x d, const ep_x_limits *l)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    ep_x_bytes bytes;
    bytes.a = _mm256_permutevar8x32_epi32(ep_x_pack(a.a, a.b, b.a, b.b, l), order);
    bytes.b = _mm256_permutevar8x32_epi32(ep_x_pack(c.a, c.b, d.a, d.b, l), order);
    return bytes;
}

static inline void ep_x_store(int8_t *to, ep_x_bytes bytes)
{
    _mm256_storeu_si256((__m256i *)(void *)to, bytes.a);
    _mm256_storeu_si256((__m256i *)(void *)(to + 32), bytes.b);
}

static inline void ep_x_store_first(int8_t *to, ep_x_bytes bytes, int32_t count)
{
    int8_t all[64];
    ep_x_store(all, bytes);
    memcpy(to, all, (size_t)(count < 64 ? count : 64));
}

/* The sixteen bytes number `part`, or the first `count` of them. */
static inline void ep_x_store_part(int8_t *to, ep_x_bytes bytes, int32_t part, int32_t count)
{
    int8_t all[64];
    ep_x_store(all, bytes);
    memcpy(to, all + 16 * part, (size_t)(count < 16 ? count : 16));
}

/* 64 bytes of four taps: of each byte, the four taps in one lane. */
static inline void ep_x_spread_half(const int8_t *const *tap, ptrdiff_t at, __m256i *to)
{
    const __m256i a = ep_x_at(tap[0] + at), b = ep_x_at(tap[1] + at);
    const __m256i c = ep_x_at(tap[2] + at), d = ep_x_at(tap[3] + at);
    const __m256i ab = _mm256_unpacklo_epi8(a, b), cd = _mm256_unpacklo_epi8(c, d);
    const __m256i ab_high = _mm256_unpackhi_epi8(a, b), cd_high = _mm256_unpackhi_epi8(c, d);
    to[0] = _mm256_unpacklo_epi16(ab, cd);
    to[1] = _mm256_unpackhi_epi16(ab, cd);
    to[2] = _mm256_unpacklo_epi16(ab_high, cd_high);
    to[3] = _mm256_unpackhi_epi16(ab_high, cd_high);
}

static inline void ep_x_spread(const int8_t *const *tap, ptrdiff_t at, ep_x_inputs *inputs)
{
    __m256i a[4], b[4];
    ep_x_spread_half(tap, at, a);
    ep_x_spread_half(tap, at + 32, b);
    for (int32_t q = 0; q < 4; q++) {
        inputs[q].a = ep_x_unsigned(a[q]);
        inputs[q].b = ep_x_unsigned(b[q]);
    }
}

#endif
