/* ep_bdots for EP_LAYOUT_BLOCKS16X4: sixteen outputs in the lanes of vectors. */
#include "ep_bdots_lanes.h"

#if defined(__AVX512F__) && defined(__AVX512VPOPCNTDQ__) && EP_BITS_LANES == 16

#include <immintrin.h>

/* `pixels` x `blocks` of sixteen; both are constants where this is inlined. */
static inline __attribute__((always_inline)) void tile(const ep_bits_shape *s, const uint32_t *filters,
                                                       const uint32_t *const *x, int32_t pixels, int32_t blocks,
                                                       int32_t (*differing)[EP_BITS_GROUP])
{
    const ptrdiff_t block = (ptrdiff_t)s->words * EP_BITS_LANES;
    __m512i sums[EP_BITS_PIXELS][2];
    for (int32_t p = 0; p < pixels; p++)
        for (int32_t b = 0; b < blocks; b++) sums[p][b] = _mm512_setzero_si512();
    for (int32_t line = 0; line < s->lines; line++)
        for (int32_t tap = 0; tap < s->taps; tap++) {
            const ptrdiff_t at = line * s->line_step + tap * s->tap_step;
            const uint32_t *w = filters + (ptrdiff_t)(line * s->filter_line + tap * s->filter_tap) * EP_BITS_LANES;
            for (int32_t k = 0; k < s->run; k++, w += EP_BITS_LANES) {
                __m512i filter[2];
                for (int32_t b = 0; b < blocks; b++) filter[b] = _mm512_loadu_si512(w + b * block);
                for (int32_t p = 0; p < pixels; p++) {
                    const __m512i word = _mm512_set1_epi32((int32_t)x[p][at + k]);
                    for (int32_t b = 0; b < blocks; b++) {
                        const __m512i ones = _mm512_popcnt_epi32(_mm512_xor_si512(word, filter[b]));
                        sums[p][b] = _mm512_add_epi32(sums[p][b], ones);
                    }
                }
            }
        }
    for (int32_t p = 0; p < pixels; p++)
        for (int32_t b = 0; b < blocks; b++) _mm512_storeu_si512(differing[p] + b * EP_BITS_LANES, sums[p][b]);
}

#elif defined(EP_TARGET_AVX2) && EP_BITS_LANES == 16

#include <immintrin.h>

/* Ones of each byte, by a table of four bits. */
static inline __m256i ones_of(__m256i v)
{
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
                                           0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i mask = _mm256_set1_epi8(15);
    const __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(v, mask));
    const __m256i high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(v, 4), mask));
    return _mm256_add_epi8(low, high);
}

#define BYTES_HOLD 31 /* words whose ones a byte can count */

/* Bytes of each lane of 32 bits added to it. */
static inline __m256i wide(__m256i sums, __m256i bytes)
{
    const __m256i pairs = _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* `pixels` x sixteen outputs, half by half; `pixels` is a constant where this is inlined. */
static inline __attribute__((always_inline)) void half(const ep_bits_shape *s, const uint32_t *filters,
                                                       const uint32_t *const *x, int32_t pixels, int32_t first,
                                                       int32_t (*differing)[EP_BITS_GROUP])
{
    __m256i sums[4], bytes[4];
    for (int32_t p = 0; p < pixels; p++) sums[p] = _mm256_setzero_si256();
    for (int32_t line = 0; line < s->lines; line++)
        for (int32_t tap = 0; tap < s->taps; tap++) {
            const ptrdiff_t at = line * s->line_step + tap * s->tap_step;
            const uint32_t *w = filters + (ptrdiff_t)(line * s->filter_line + tap * s->filter_tap) * EP_BITS_LANES;
            for (int32_t k = 0; k < s->run;) {
                const int32_t stop = s->run - k < BYTES_HOLD ? s->run : k + BYTES_HOLD;
                for (int32_t p = 0; p < pixels; p++) bytes[p] = _mm256_setzero_si256();
                for (; k < stop; k++, w += EP_BITS_LANES) {
                    const __m256i filter = _mm256_loadu_si256((const __m256i *)(const void *)w);
                    for (int32_t p = 0; p < pixels; p++) {
                        const __m256i word = _mm256_set1_epi32((int32_t)x[p][at + k]);
                        bytes[p] = _mm256_add_epi8(bytes[p], ones_of(_mm256_xor_si256(word, filter)));
                    }
                }
                for (int32_t p = 0; p < pixels; p++) sums[p] = wide(sums[p], bytes[p]);
            }
        }
    for (int32_t p = 0; p < pixels; p++)
        _mm256_storeu_si256((__m256i *)(void *)(differing[p] + first), sums[p]);
}

static inline __attribute__((always_inline)) void tile(const ep_bits_shape *s, const uint32_t *filters,
                                                       const uint32_t *const *x, int32_t pixels, int32_t blocks,
                                                       int32_t (*differing)[EP_BITS_GROUP])
{
    const ptrdiff_t block = (ptrdiff_t)s->words * EP_BITS_LANES;
    for (int32_t b = 0; b < blocks; b++)
        for (int32_t h = 0; h < EP_BITS_LANES; h += 8)
            for (int32_t p = 0; p < pixels; p += 4)
                half(s, filters + b * block + h, x + p, pixels < 4 ? pixels : 4, b * EP_BITS_LANES + h, differing + p);
}

#else
#define EP_BDOTS_PLAIN
#endif

#if defined(EP_BDOTS_PLAIN)

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, int32_t first, int32_t outputs,
              const uint32_t *const *x, int32_t pixels, int32_t (*differing)[EP_BITS_GROUP])
{
    ep_bdots_plain(shape, filters, first, outputs, x, pixels, differing);
}

#else

static inline __attribute__((always_inline)) void some(const ep_bits_shape *s, const uint32_t *filters,
                                                       const uint32_t *const *x, int32_t pixels, int32_t outputs,
                                                       int32_t (*differing)[EP_BITS_GROUP])
{
    if (outputs > EP_BITS_LANES)
        tile(s, filters, x, pixels, 2, differing);
    else
        tile(s, filters, x, pixels, 1, differing);
}

void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, int32_t first, int32_t outputs,
              const uint32_t *const *x, int32_t pixels, int32_t (*differing)[EP_BITS_GROUP])
{
    const uint32_t *from = ep_bits_filter(shape, filters, first, shape->begin);
    if (pixels == EP_BITS_PIXELS) {
        some(shape, from, x, EP_BITS_PIXELS, outputs, differing);
        return;
    }
    if (pixels >= 4) {
        some(shape, from, x, 4, outputs, differing);
        x += 4, differing += 4, pixels -= 4;
    }
    for (; pixels >= 2; pixels -= 2, x += 2, differing += 2) some(shape, from, x, 2, outputs, differing);
    if (pixels > 0) some(shape, from, x, 1, outputs, differing);
}

#endif
