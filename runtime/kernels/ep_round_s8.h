/* Real steps to int8: y = clamp(half_to_even(steps) + zero); what is no number becomes the zero point.
 *
 * Where the processor rounds so in one instruction, that is what it does: processors start in the mode "to nearest,
 * ties to even", and nothing here changes it. */
#ifndef EP_ROUND_S8_H
#define EP_ROUND_S8_H

#include "ep_base.h"

#if defined(EP_TARGET_AVX2)
#include <immintrin.h>
#elif defined(EP_TARGET_NEON)
#include <arm_neon.h>
#endif

static inline int8_t ep_round_plain(float steps, int32_t zero)
{
    int32_t whole, odd, value;
    float rest;
    steps = steps == steps ? steps : 0.0f;
    steps = steps < -1024.0f ? -1024.0f : steps;
    steps = steps > 1024.0f ? 1024.0f : steps;
    whole = (int32_t)steps;
    rest = steps - (float)whole;
    odd = whole & 1;
    value = whole + ((rest > 0.5f) | ((rest == 0.5f) & odd)) - ((rest < -0.5f) | ((rest == -0.5f) & odd)) + zero;
    value = value < -128 ? -128 : value;
    return (int8_t)(value > 127 ? 127 : value);
}

#if defined(EP_TARGET_AVX2)

/* y[n] of values[n] / scale. */
static inline void ep_round_s8(const float *values, float scale, int32_t zero, int32_t count, int8_t *y)
{
    const __m256 s = _mm256_set1_ps(scale), far = _mm256_set1_ps(1024.0f), near = _mm256_set1_ps(-1024.0f);
    const __m256i z = _mm256_set1_epi32(zero);
    int32_t n = 0;
    for (; n + 8 <= count; n += 8) {
        __m256 steps = _mm256_div_ps(_mm256_loadu_ps(values + n), s);
        __m256i whole;
        __m128i halves;
        steps = _mm256_and_ps(steps, _mm256_cmp_ps(steps, steps, _CMP_ORD_Q));
        whole = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(steps, near), far));
        whole = _mm256_add_epi32(whole, z);
        halves = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
        _mm_storel_epi64((__m128i *)(void *)(y + n), _mm_packs_epi16(halves, halves));
    }
    for (; n < count; n++) y[n] = ep_round_plain(values[n] / scale, zero);
}

#elif defined(EP_TARGET_NEON)

static inline int16x4_t ep_round_four(float32x4_t steps, int32x4_t zero)
{
    return vqmovn_s32(vqaddq_s32(vcvtnq_s32_f32(steps), zero));
}

static inline void ep_round_s8(const float *values, float scale, int32_t zero, int32_t count, int8_t *y)
{
    const float32x4_t s = vdupq_n_f32(scale);
    const int32x4_t z = vdupq_n_s32(zero);
    int32_t n = 0;
    for (; n + 8 <= count; n += 8) {
        const int16x4_t low = ep_round_four(vdivq_f32(vld1q_f32(values + n), s), z);
        const int16x4_t high = ep_round_four(vdivq_f32(vld1q_f32(values + n + 4), s), z);
        vst1_s8(y + n, vqmovn_s16(vcombine_s16(low, high)));
    }
    for (; n < count; n++) y[n] = ep_round_plain(values[n] / scale, zero);
}

#elif defined(__GNUC__) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M' && \
    defined(__ARM_FP) && (__ARM_FP & 4) && defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_QBIT)

static inline void ep_round_s8(const float *values, float scale, int32_t zero, int32_t count, int8_t *y)
{
    for (int32_t n = 0; n < count; n++) {
        float steps = values[n] / scale;
        int32_t value;
        __asm__("vcvtr.s32.f32 %0, %0\n\t"
                "vmov %1, %0\n\t"
                "qadd %1, %1, %2\n\t"
                "ssat %1, #8, %1\n\t"
                : "+t"(steps), "=&r"(value)
                : "r"(zero));
        y[n] = (int8_t)value;
    }
}

#else

static inline void ep_round_s8(const float *values, float scale, int32_t zero, int32_t count, int8_t *y)
{
    for (int32_t n = 0; n < count; n++) y[n] = ep_round_plain(values[n] / scale, zero);
}

#endif

#endif
