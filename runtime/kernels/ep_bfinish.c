#include "ep_bfinish.h"

#include "ep_round_s8.h"

#if defined(EP_TARGET_AVX512VNNI)
#include "ep_bfinish_avx512.h"
#elif defined(EP_TARGET_AVX2)
#include <immintrin.h>
#elif defined(EP_TARGET_NEON)
#include <arm_neon.h>
#elif defined(EP_TARGET_MVE)
#include <arm_mve.h>
#endif

/* Bit n: products - 2 differing[n] < threshold[n]; vectors make all bits, those beyond `count` are of no use. */

#if defined(EP_TARGET_AVX512VNNI)

static uint32_t all_bits(int32_t products, const int32_t *differing, const int32_t *threshold, int32_t count)
{
    const __m512i base = _mm512_set1_epi32(products);
    uint32_t word = 0;
    for (int32_t n = 0; n < count; n += 16) {
        const __m512i d = _mm512_loadu_si512(differing + n), t = _mm512_loadu_si512(threshold + n);
        const __mmask16 less = _mm512_cmplt_epi32_mask(_mm512_sub_epi32(base, _mm512_add_epi32(d, d)), t);
        word |= (uint32_t)less << n;
    }
    return word;
}

#elif defined(EP_TARGET_AVX2)

static uint32_t all_bits(int32_t products, const int32_t *differing, const int32_t *threshold, int32_t count)
{
    const __m256i base = _mm256_set1_epi32(products);
    uint32_t word = 0;
    for (int32_t n = 0; n < count; n += 8) {
        const __m256i d = _mm256_loadu_si256((const __m256i *)(const void *)(differing + n));
        const __m256i t = _mm256_loadu_si256((const __m256i *)(const void *)(threshold + n));
        const __m256i sign = _mm256_sub_epi32(_mm256_sub_epi32(base, _mm256_add_epi32(d, d)), t);
        word |= (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(sign)) << n;
    }
    return word;
}

#elif defined(EP_TARGET_NEON)

/* All ones where the bit is 1, for eight outputs. */
static inline uint16x8_t eight(int32x4_t base, const int32_t *d, const int32_t *t)
{
    const uint32x4_t low = vcgtq_s32(vaddq_s32(vshlq_n_s32(vld1q_s32(d), 1), vld1q_s32(t)), base);
    const uint32x4_t high = vcgtq_s32(vaddq_s32(vshlq_n_s32(vld1q_s32(d + 4), 1), vld1q_s32(t + 4)), base);
    return vuzp1q_u16(vreinterpretq_u16_u32(low), vreinterpretq_u16_u32(high));
}

static inline uint8x16_t sixteen(int32x4_t base, const int32_t *d, const int32_t *t)
{
    const uint16x8_t low = eight(base, d, t), high = eight(base, d + 8, t + 8);
    return vuzp1q_u8(vreinterpretq_u8_u16(low), vreinterpretq_u8_u16(high));
}

static uint32_t all_bits(int32_t products, const int32_t *differing, const int32_t *threshold, int32_t count)
{
    static const uint8_t places[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const int32x4_t base = vdupq_n_s32(products);
    const uint8x16_t place = vld1q_u8(places);
    const uint8x16_t low = vandq_u8(sixteen(base, differing, threshold), place);
    uint8x16_t sum, high = vdupq_n_u8(0);
    if (count > 16) high = vandq_u8(sixteen(base, differing + 16, threshold + 16), place);
    sum = vpaddq_u8(low, high);
    sum = vpaddq_u8(sum, sum);
    sum = vpaddq_u8(sum, sum);
    return vgetq_lane_u32(vreinterpretq_u32_u8(sum), 0);
}

#elif defined(EP_TARGET_MVE)

static uint32_t all_bits(int32_t products, const int32_t *differing, const int32_t *threshold, int32_t count)
{
    const int32x4_t base = vdupq_n_s32(products);
    const uint32x4_t first = vidupq_n_u32(0, 1);
    uint32x4_t places = vshlq_u32(vdupq_n_u32(1), vreinterpretq_s32_u32(first));
    uint32_t word = 0;
    for (int32_t n = 0; n < count; n += 4) {
        const int32x4_t d = vld1q_s32(differing + n), t = vld1q_s32(threshold + n);
        const mve_pred16_t less = vcmpgtq_s32(vaddq_s32(vshlq_n_s32(d, 1), t), base);
        word = vaddvaq_p_u32(word, places, less);
        places = vshlq_n_u32(places, 4);
    }
    return word;
}

#else

static uint32_t all_bits(int32_t products, const int32_t *differing, const int32_t *threshold, int32_t count)
{
    uint32_t word = 0;
    for (int32_t n = 0; n < count; n++) {
        const uint32_t sign = (uint32_t)(ep_bits_sum(products, differing[n]) - threshold[n]);
        word = word >> 1 | (sign & UINT32_C(0x80000000));
    }
    return word >> (EP_BITS_GROUP - count);
}

#endif

void ep_bfinish_bits(const ep_bcounts *c, const int32_t (*differing)[EP_BITS_GROUP])
{
    const int32_t *threshold = c->args->threshold + c->first;
    const uint32_t mask = UINT32_MAX >> (EP_BITS_GROUP - c->count);
    for (int32_t p = 0; p < c->pixels; p++) {
        const uint32_t word = all_bits(c->products, differing[p], threshold, c->count);
        ((int32_t *)(void *)c->y[p])[c->first / EP_BITS_GROUP] = (int32_t)(word & mask);
    }
}

/* Half away from zero, by adding half in float. */
static inline int8_t rounded(float steps, int32_t zero)
{
    int32_t value;
    steps = steps > -1024.0f ? steps : -1024.0f;
    steps = steps < 1024.0f ? steps : 1024.0f;
    value = (int32_t)(steps < 0.0f ? steps - 0.5f : steps + 0.5f) + zero;
    value = value < -128 ? -128 : value;
    return (int8_t)(value > 127 ? 127 : value);
}

static void away_from_zero(const ep_bcounts *c, const float *values, int8_t *y)
{
    for (int32_t n = 0; n < c->count; n++) y[n] = rounded(values[n] / c->args->scale, c->args->zero);
}

#if defined(EP_TARGET_AVX512VNNI)

void ep_bfinish_f32(const ep_bcounts *c, const int32_t (*differing)[EP_BITS_GROUP])
{
    for (int32_t n = 0; n < c->count; n += 16) {
        const ep_bvalues_avx512 v = ep_load_bvalues_avx512(c->args, c->products, c->first + n, c->count - n);
        for (int32_t p = 0; p < c->pixels; p++) {
            float *to = (float *)(void *)c->y[p] + c->first + n;
            _mm512_mask_storeu_ps(to, v.mask, ep_bvalue_avx512(&v, differing[p] + n));
        }
    }
}

void ep_bfinish_s8(const ep_bcounts *c, const int32_t (*differing)[EP_BITS_GROUP])
{
    const __m512 scale = _mm512_set1_ps(c->args->scale);
    const __m512i zero = _mm512_set1_epi32(c->args->zero);
    if (!c->args->to_even) {
        for (int32_t n = 0; n < c->count; n += 16) {
            const ep_bvalues_avx512 v = ep_load_bvalues_avx512(c->args, c->products, c->first + n, c->count - n);
            for (int32_t p = 0; p < c->pixels; p++) {
                float values[16];
                ep_bcounts part = *c;
                part.count = c->count - n < 16 ? c->count - n : 16;
                _mm512_storeu_ps(values, ep_bvalue_avx512(&v, differing[p] + n));
                away_from_zero(&part, values, (int8_t *)c->y[p] + c->first + n);
            }
        }
        return;
    }
    for (int32_t n = 0; n < c->count; n += 16) {
        const ep_bvalues_avx512 v = ep_load_bvalues_avx512(c->args, c->products, c->first + n, c->count - n);
        for (int32_t p = 0; p < c->pixels; p++) {
            const __m128i bytes = ep_bround_avx512(ep_bvalue_avx512(&v, differing[p] + n), scale, zero);
            _mm_mask_storeu_epi8((int8_t *)c->y[p] + c->first + n, v.mask, bytes);
        }
    }
}

#else

static inline int32_t clamped(const ep_bconv2d_args *args, int32_t sum)
{
    sum = sum < args->low ? args->low : sum;
    return sum > args->high ? args->high : sum;
}

static inline void real_values(const ep_bcounts *c, const int32_t *differing, float *EP_RESTRICT y)
{
    const ep_bconv2d_args *args = c->args;
    const float *multiplier = args->multiplier + c->first, *bias = args->bias + c->first;
    const int32_t products = c->products, count = c->count;
    if (args->low == -EP_BITS_FAR && args->high == EP_BITS_FAR) {
        for (int32_t n = 0; n < count; n++) y[n] = (float)ep_bits_sum(products, differing[n]) * multiplier[n] + bias[n];
        return;
    }
    for (int32_t n = 0; n < count; n++)
        y[n] = (float)clamped(args, ep_bits_sum(products, differing[n])) * multiplier[n] + bias[n];
}

void ep_bfinish_f32(const ep_bcounts *c, const int32_t (*differing)[EP_BITS_GROUP])
{
    for (int32_t p = 0; p < c->pixels; p++) real_values(c, differing[p], (float *)(void *)c->y[p] + c->first);
}

void ep_bfinish_s8(const ep_bcounts *c, const int32_t (*differing)[EP_BITS_GROUP])
{
    float values[EP_BITS_GROUP];
    for (int32_t p = 0; p < c->pixels; p++) {
        int8_t *y = (int8_t *)c->y[p] + c->first;
        real_values(c, differing[p], values);
        if (c->args->to_even)
            ep_round_s8(values, c->args->scale, c->args->zero, c->count, y);
        else
            away_from_zero(c, values, y);
    }
}

#endif
