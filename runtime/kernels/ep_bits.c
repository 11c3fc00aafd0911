#include "ep_bits.h"

#if defined(EP_TARGET_AVX2)
#include <immintrin.h>
#elif defined(EP_TARGET_NEON)
#include <arm_neon.h>
#elif defined(EP_TARGET_SMLAD)
#include <arm_acle.h>
#include <string.h>
#endif

/* Bit n of the word that `count` tests give, 1 where a number is less than its zero. */
#define PACK_SOME(x, zero_of, count)                                                           \
    do {                                                                                       \
        uint32_t word = 0;                                                                     \
        for (int32_t n = 0; n < (count); n++) word |= (uint32_t)((x)[n] < (zero_of)) << n;     \
        return word;                                                                           \
    } while (0)

static uint32_t some_f32(const float *x, float zero, int32_t count) { PACK_SOME(x, zero, count); }
static uint32_t some_f32_each(const float *x, const float *zeros, int32_t count) { PACK_SOME(x, zeros[n], count); }
static uint32_t some_s8(const int8_t *x, int32_t zero, int32_t count) { PACK_SOME(x, zero, count); }
static uint32_t some_s8_each(const int8_t *x, const int8_t *zeros, int32_t count) { PACK_SOME(x, zeros[n], count); }

#if defined(EP_TARGET_AVX2)

static inline uint32_t eight(const float *x, __m256 zero)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(x), zero, _CMP_LT_OQ));
}

static uint32_t whole_f32(const float *x, float zero)
{
    const __m256 z = _mm256_set1_ps(zero);
    return eight(x, z) | eight(x + 8, z) << 8 | eight(x + 16, z) << 16 | eight(x + 24, z) << 24;
}

static uint32_t whole_f32_each(const float *x, const float *zeros)
{
    uint32_t word = 0;
    for (int32_t n = 0; n < 32; n += 8) word |= eight(x + n, _mm256_loadu_ps(zeros + n)) << n;
    return word;
}

static uint32_t whole_s8(const int8_t *x, int32_t zero)
{
    const __m256i value = _mm256_loadu_si256((const __m256i *)(const void *)x);
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpgt_epi8(_mm256_set1_epi8((char)zero), value));
}

static uint32_t whole_s8_each(const int8_t *x, const int8_t *zeros)
{
    const __m256i value = _mm256_loadu_si256((const __m256i *)(const void *)x);
    const __m256i zero = _mm256_loadu_si256((const __m256i *)(const void *)zeros);
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpgt_epi8(zero, value));
}

#elif defined(EP_TARGET_NEON)

/* Bit n of two halves from masks of 16 bytes each. */
static inline uint32_t word_of(uint8x16_t low, uint8x16_t high)
{
    static const uint8_t places[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t place = vld1q_u8(places);
    uint8x16_t sum = vpaddq_u8(vandq_u8(low, place), vandq_u8(high, place));
    sum = vpaddq_u8(sum, sum);
    sum = vpaddq_u8(sum, sum);
    return vgetq_lane_u32(vreinterpretq_u32_u8(sum), 0);
}

static inline uint8x16_t narrow(uint32x4_t a, uint32x4_t b, uint32x4_t c, uint32x4_t d)
{
    const uint16x8_t low = vuzp1q_u16(vreinterpretq_u16_u32(a), vreinterpretq_u16_u32(b));
    const uint16x8_t high = vuzp1q_u16(vreinterpretq_u16_u32(c), vreinterpretq_u16_u32(d));
    return vuzp1q_u8(vreinterpretq_u8_u16(low), vreinterpretq_u8_u16(high));
}

static inline uint8x16_t sixteen(const float *x, float32x4_t zero)
{
    return narrow(vcltq_f32(vld1q_f32(x), zero), vcltq_f32(vld1q_f32(x + 4), zero),
                  vcltq_f32(vld1q_f32(x + 8), zero), vcltq_f32(vld1q_f32(x + 12), zero));
}

static uint32_t whole_f32(const float *x, float zero)
{
    const float32x4_t z = vdupq_n_f32(zero);
    return word_of(sixteen(x, z), sixteen(x + 16, z));
}

static inline uint8x16_t sixteen_each(const float *x, const float *z)
{
    return narrow(vcltq_f32(vld1q_f32(x), vld1q_f32(z)), vcltq_f32(vld1q_f32(x + 4), vld1q_f32(z + 4)),
                  vcltq_f32(vld1q_f32(x + 8), vld1q_f32(z + 8)), vcltq_f32(vld1q_f32(x + 12), vld1q_f32(z + 12)));
}

static uint32_t whole_f32_each(const float *x, const float *zeros)
{
    return word_of(sixteen_each(x, zeros), sixteen_each(x + 16, zeros + 16));
}

static uint32_t whole_s8(const int8_t *x, int32_t zero)
{
    const int8x16_t z = vdupq_n_s8((int8_t)zero);
    return word_of(vcltq_s8(vld1q_s8(x), z), vcltq_s8(vld1q_s8(x + 16), z));
}

static uint32_t whole_s8_each(const int8_t *x, const int8_t *zeros)
{
    return word_of(vcltq_s8(vld1q_s8(x), vld1q_s8(zeros)), vcltq_s8(vld1q_s8(x + 16), vld1q_s8(zeros + 16)));
}

#else

static uint32_t whole_f32(const float *x, float zero) { return some_f32(x, zero, 32); }
static uint32_t whole_f32_each(const float *x, const float *zeros) { return some_f32_each(x, zeros, 32); }
#if defined(EP_TARGET_SMLAD)
/* Four at a time: flags of x >= zero choose between nothing and the bit's place, bytes are added. */
static uint32_t whole_s8(const int8_t *x, int32_t zero)
{
    const uint32_t zeros = (uint32_t)(uint8_t)zero * UINT32_C(0x01010101);
    uint32_t word = 0;
    for (int32_t n = 0; n < 32; n += 4) {
        uint32_t four;
        memcpy(&four, x + n, sizeof four);
        (void)__ssub8(four, zeros);
        word |= __usad8(__sel(0, UINT32_C(0x08040201)), 0) << n;
    }
    return word;
}
#else
static uint32_t whole_s8(const int8_t *x, int32_t zero) { return some_s8(x, zero, 32); }
#endif
static uint32_t whole_s8_each(const int8_t *x, const int8_t *zeros) { return some_s8_each(x, zeros, 32); }

#endif

/* Rows of few channels: some rows in one word, taken apart. */
static int32_t *apart(uint32_t word, int32_t channels, int32_t *y)
{
    const uint32_t mask = (UINT32_C(1) << channels) - 1;
    for (int32_t left = 32; left > 0; left -= channels, word >>= channels) *y++ = (int32_t)(word & mask);
    return y;
}

/* All rows: whole words, then what is left of a row. */
#define PACK_ROWS(kind)                                                                                         \
    do {                                                                                                        \
        const int32_t rest = args->channels % 32;                                                               \
        int32_t r = 0;                                                                                          \
        if (rest == args->channels && 32 % rest == 0 && !args->zeros)                                           \
            for (const int32_t rows = 32 / rest; r + rows <= args->rows; r += rows, x += 32)                    \
                y = apart(whole_##kind(x, args->zero), rest, y);                                                \
        for (; r < args->rows; r++) {                                                              \
            int32_t c = 0;                                                                                      \
            for (; c + 32 <= args->channels; c += 32, x += 32)                                                  \
                *y++ = (int32_t)(args->zeros ? whole_##kind##_each(x, args->zeros + c) : whole_##kind(x, args->zero)); \
            if (rest == 0) continue;                                                                            \
            *y++ = (int32_t)(args->zeros ? some_##kind##_each(x, args->zeros + c, rest)                         \
                                         : some_##kind(x, args->zero, rest));                                   \
            x += rest;                                                                                          \
        }                                                                                                       \
    } while (0)

void ep_bits_pack_f32(const ep_bits_pack_f32_args *args, const float *x, int32_t *y) { PACK_ROWS(f32); }
void ep_bits_pack_s8(const ep_bits_pack_s8_args *args, const int8_t *x, int32_t *y) { PACK_ROWS(s8); }

#define UNPACK_ROWS(type)                                                                       \
    do {                                                                                        \
        const type plus = (type)args->plus, minus = (type)args->minus;                          \
        for (int32_t r = 0; r < args->rows; r++)                                                \
            for (int32_t left = args->channels; left > 0; left -= 32) {                         \
                const uint32_t word = (uint32_t)*x++;                                           \
                const int32_t count = left < 32 ? left : 32;                                    \
                for (int32_t n = 0; n < count; n++) *y++ = word >> n & 1 ? minus : plus;        \
            }                                                                                   \
    } while (0)

void ep_bits_unpack_f32(const ep_bits_unpack_f32_args *args, const int32_t *x, float *y) { UNPACK_ROWS(float); }
void ep_bits_unpack_s8(const ep_bits_unpack_s8_args *args, const int32_t *x, int8_t *y) { UNPACK_ROWS(int8_t); }
