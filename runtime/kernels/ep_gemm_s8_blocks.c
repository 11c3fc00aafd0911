/* ep_gemm_s8 for EP_LAYOUT_BLOCKS16X4: sixteen outputs at a time, four products of each in one step. */
#include "ep_gemm_s8.h"

#include <string.h>

#include "ep_requant.h"

#define WIDTH 16
#define STEP 4

static inline int32_t steps_of(const ep_gemm_s8_args *args) { return (args->depth + STEP - 1) / STEP; }

static inline const int8_t *block_of(const ep_gemm_s8_args *args, int32_t first)
{
    return args->weights + (ptrdiff_t)first * steps_of(args) * STEP;
}

#if defined(EP_TARGET_AVX512VNNI)

#include "ep_requant_avx512.h"

/* Four inputs counted from -128, in all lanes. */
static inline __m512i four(const int8_t *x)
{
    int32_t word;
    memcpy(&word, x, sizeof word);
    return _mm512_xor_si512(_mm512_set1_epi32(word), _mm512_set1_epi8((char)0x80));
}

static inline __m512i last(const int8_t *x, int32_t count)
{
    int8_t word[STEP] = {0};
    memcpy(word, x, (size_t)count);
    return four(word);
}

/* `rows` x `blocks` sums of sixteen; both are constants where this is inlined. */
static inline __attribute__((always_inline)) void tile(const ep_gemm_s8_args *args, const ep_rows *where,
                                                       const int8_t *x, int32_t rows, int32_t first,
                                                       int32_t blocks, int8_t *y)
{
    const int32_t whole = where->run / STEP, rest = where->run % STEP;
    const ptrdiff_t step = where->row_step;
    const ptrdiff_t stride = (ptrdiff_t)steps_of(args) * STEP * WIDTH;
    const int8_t *w = block_of(args, first);
    __m512i acc[8][4];
    for (int32_t b = 0; b < blocks; b++)
        for (int32_t r = 0; r < rows; r++) acc[r][b] = _mm512_loadu_si512(args->bias + first + b * WIDTH);
    for (int32_t line = 0; line < where->lines; line++) {
        const int8_t *from = x + line * where->line_step;
        for (int32_t k = 0; k < whole; k++, w += STEP * WIDTH) {
            __m512i weights[4];
            for (int32_t b = 0; b < blocks; b++) weights[b] = _mm512_loadu_si512(w + b * stride);
            for (int32_t r = 0; r < rows; r++) {
                const __m512i value = four(from + r * step + k * STEP);
                for (int32_t b = 0; b < blocks; b++) acc[r][b] = _mm512_dpbusd_epi32(acc[r][b], value, weights[b]);
            }
        }
    }
    if (rest > 0)
        for (int32_t r = 0; r < rows; r++) {
            const __m512i value = last(x + r * step + whole * STEP, rest);
            for (int32_t b = 0; b < blocks; b++)
                acc[r][b] = _mm512_dpbusd_epi32(acc[r][b], value, _mm512_loadu_si512(w + b * stride));
        }
    for (int32_t b = 0; b < blocks; b++) {
        const int32_t n = first + b * WIDTH, left = args->outputs - n;
        const __mmask16 mask = (__mmask16)(left >= WIDTH ? 0xFFFF : (1 << left) - 1);
        const ep_scale_avx512 scale = ep_load_scale_avx512(args->multiplier + n, args->shift + n);
        for (int32_t r = 0; r < rows; r++)
            ep_store_avx512(&scale, acc[r][b], args->zero, args->low, args->high, mask,
                            y + (ptrdiff_t)r * args->outputs + n);
    }
}

static inline __attribute__((always_inline)) void rows_of(const ep_gemm_s8_args *args, const ep_rows *where,
                                                          const int8_t *x, int32_t rows, int8_t *y)
{
    const int32_t blocks = (args->outputs + WIDTH - 1) / WIDTH, most = rows > 4 ? 2 : 4;
    int32_t b = 0;
    for (; b + most <= blocks; b += most) tile(args, where, x, rows, b * WIDTH, most, y);
    if (most == 4 && b + 2 <= blocks) {
        tile(args, where, x, rows, b * WIDTH, 2, y);
        b += 2;
    }
    if (b < blocks) tile(args, where, x, rows, b * WIDTH, 1, y);
}

/* A run that is no multiple of four stands alone. */
void ep_gemm_rows_s8(const ep_gemm_s8_args *args, const ep_rows *where, const int8_t *x, int32_t rows, int8_t *y)
{
    const ptrdiff_t step = where->row_step, outputs = args->outputs;
    const int32_t all = rows;
    for (; rows >= 8; rows -= 8, x += 8 * step, y += 8 * outputs) rows_of(args, where, x, 8, y);
    if (rows > 0 && all >= 8) { /* some rows twice, which is faster than the last ones one by one */
        rows_of(args, where, x - (8 - rows) * step, 8, y - (8 - rows) * outputs);
        return;
    }
    for (; rows >= 4; rows -= 4, x += 4 * step, y += 4 * outputs) rows_of(args, where, x, 4, y);
    for (; rows > 0; rows--, x += step, y += outputs) rows_of(args, where, x, 1, y);
}

#else

static void block(const ep_gemm_s8_args *args, const ep_rows *where, const int8_t *x, int32_t first, int8_t *y)
{
    const int8_t *w = block_of(args, first);
    const int32_t left = args->outputs - first, count = left < WIDTH ? left : WIDTH;
    int32_t acc[WIDTH];
    for (int32_t n = 0; n < WIDTH; n++) acc[n] = args->bias[first + n];
    for (int32_t k = 0; k < args->depth; k++) {
        const int32_t value = x[k / where->run * where->line_step + k % where->run] + 128;
        const int8_t *lane = w + (ptrdiff_t)(k / STEP) * STEP * WIDTH + k % STEP;
        for (int32_t n = 0; n < WIDTH; n++) acc[n] += value * lane[n * STEP];
    }
    for (int32_t n = 0; n < count; n++) {
        int32_t value = ep_rescale(acc[n], args->multiplier[first + n], args->shift[first + n]);
        y[first + n] = ep_clamp_s8(args->zero + value, args->low, args->high);
    }
}

void ep_gemm_rows_s8(const ep_gemm_s8_args *args, const ep_rows *where, const int8_t *x, int32_t rows, int8_t *y)
{
    for (int32_t r = 0; r < rows; r++)
        for (int32_t first = 0; first < args->outputs; first += WIDTH)
            block(args, where, x + r * where->row_step, first, y + (ptrdiff_t)r * args->outputs);
}

#endif

void ep_gemm_s8(const ep_gemm_s8_args *args, const int8_t *x, int32_t rows, int8_t *y)
{
    const ep_rows where = {1, args->depth, 0, args->depth};
    ep_gemm_rows_s8(args, &where, x, rows, y);
}
