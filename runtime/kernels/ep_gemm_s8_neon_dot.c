/* ep_gemm_s8 for EP_LAYOUT_NEON_DOT: weights [outputs / 16][depth / 4][16][4], the last block of 8 outputs if no more
 * are left; four products of each output in one step. */
#include "ep_lines.h"

#include <string.h>

#include "ep_requant.h"

#define WIDE 16
#define NARROW 8
#define STEP 4

static inline ptrdiff_t packed_depth(const ep_lines *where)
{
    return (ptrdiff_t)where->lines * ((where->run + STEP - 1) / STEP * STEP);
}

#if defined(EP_TARGET_DOTPROD)

#include "ep_requant_neon.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-schedule-insns") /* which gathers loads until registers run out */
#endif

#define INLINE static inline __attribute__((always_inline))

typedef struct {
    ep_gemm_s8_args args;
    ep_lines where;
    ep_finish_neon finish;
} job;

/* One step of four products for all rows; `rows`, `vectors` and the lane are constants where this is inlined. Few rows
 * leave registers for four vectors of weights at once. */
#define DOT(lane)                                                                                          \
    do {                                                                                                   \
        const int8_t *at = w + (lane)*vectors * 16;                                                        \
        if (rows <= 2 && vectors == 4) {                                                                   \
            const int8x16x4_t four = vld1q_s8_x4(at);                                                      \
            for (int32_t r = 0; r < rows; r++)                                                             \
                for (int32_t v = 0; v < 4; v++)                                                            \
                    acc[r][v] = vdotq_laneq_s32(acc[r][v], four.val[v], value[r], lane);                   \
            break;                                                                                         \
        }                                                                                                  \
        for (int32_t v = 0; v < vectors; v += 2) {                                                         \
            const int8x16_t first = vld1q_s8(at + v * 16), second = vld1q_s8(at + v * 16 + 16);            \
            for (int32_t r = 0; r < rows; r++) {                                                           \
                acc[r][v] = vdotq_laneq_s32(acc[r][v], first, value[r], lane);                             \
                acc[r][v + 1] = vdotq_laneq_s32(acc[r][v + 1], second, value[r], lane);                    \
            }                                                                                              \
        }                                                                                                  \
    } while (0)

INLINE int8x16_t word_of(const int8_t *x)
{
    int32_t word;
    memcpy(&word, x, sizeof word);
    return vreinterpretq_s8_s32(vdupq_n_s32(word));
}

/* The last one to three of a row of `run` bytes, then zeros: nothing behind the row is read. */
INLINE int8x16_t last_of(const int8_t *x, int32_t count, int32_t run)
{
    uint32_t word = 0;
    if (run >= STEP) {
        memcpy(&word, x + count - STEP, sizeof word);
        word >>= 8 * (STEP - count);
    } else {
        for (int32_t i = 0; i < count; i++) word |= (uint32_t)(uint8_t)x[i] << 8 * i;
    }
    return vreinterpretq_s8_u32(vdupq_n_u32(word));
}

/* `rows` x `vectors` sums of four, from the outputs' bias on. */
INLINE void sums(const job *j, const int8_t *x, int32_t rows, const int8_t *w, int32_t vectors, int tails,
                 const int32_t *bias, int32x4_t acc[8][4])
{
    const ep_lines *where = &j->where;
    const ptrdiff_t step = where->row_step;
    EP_FORGET(bias);
    for (int32_t v = 0; v < vectors; v++)
        for (int32_t r = 0; r < rows; r++) acc[r][v] = vld1q_s32(bias + 4 * v);
    for (int32_t line = where->lines; line > 0; line--, x = ep_next_line(where, x)) {
        const int8_t *from = x;
        int32_t left = where->run;
        int8x16_t value[8];
        for (; left >= 16; left -= 16, from += 16) {
            for (int32_t r = 0; r < rows; r++) value[r] = vld1q_s8(from + r * step);
            DOT(0);
            DOT(1);
            DOT(2);
            DOT(3);
            w += vectors * 64;
        }
        if (!tails) continue;
        if (left >= 8) {
            for (int32_t r = 0; r < rows; r++) value[r] = vcombine_s8(vld1_s8(from + r * step), vdup_n_s8(0));
            DOT(0);
            DOT(1);
            w += vectors * 32;
            left -= 8;
            from += 8;
        }
        if (left >= STEP) {
            for (int32_t r = 0; r < rows; r++) value[r] = word_of(from + r * step);
            DOT(0);
            w += vectors * 16, left -= STEP, from += STEP;
        }
        if (left > 0) {
            for (int32_t r = 0; r < rows; r++) value[r] = last_of(from + r * step, left, where->run);
            DOT(0);
        }
    }
}

/* The first `count` of sixteen values. */
static __attribute__((noinline)) void put_some(int8_t *y, int8x16_t values, int32_t count)
{
    int8_t all[16];
    vst1q_s8(all, values);
    for (int32_t n = 0; n < count; n++) y[n] = all[n];
}

/* Rescales sums where they lie. */
INLINE void rescale(const job *j, int32_t first, int32_t rows, int32_t vectors, int32x4_t acc[8][4])
{
    const int32_t *multiplier = j->args.multiplier + first, *shift = j->args.shift + first;
    EP_FORGET(multiplier);
    EP_FORGET(shift);
    for (int32_t v = 0; v < vectors; v++) {
        const int32x4_t by = vld1q_s32(multiplier + 4 * v), to = vld1q_s32(shift + 4 * v);
        for (int32_t r = 0; r < rows; r++)
            acc[r][v] = j->finish.shrinks ? ep_shrink_neon(acc[r][v], by, to) : ep_rescale_neon(acc[r][v], by, to);
    }
}

/* Sixteen outputs of `rows` rows, at most four. */
INLINE void wide(const job *j, const int8_t *x, int32_t rows, int32_t first, const int8_t *w, int tails, int8_t *y)
{
    const ptrdiff_t outputs = j->args.outputs;
    const int32_t left = j->args.outputs - first;
    int32x4_t acc[8][4];
    sums(j, x, rows, w, 4, tails, j->args.bias + first, acc);
    rescale(j, first, rows, 4, acc);
    y += first;
    for (int32_t r = 0; r < rows; r++, y += outputs) {
        const int8x16_t values = ep_narrow_neon(&j->finish, acc[r][0], acc[r][1], acc[r][2], acc[r][3]);
        if (left >= WIDE)
            vst1q_s8(y, values);
        else
            put_some(y, values, left);
    }
}

/* The last eight outputs, or fewer, of `rows` rows: one, or an even number. */
INLINE void narrow(const job *j, const int8_t *x, int32_t rows, int32_t first, const int8_t *w, int8_t *y)
{
    const ptrdiff_t outputs = j->args.outputs;
    const int32_t left = j->args.outputs - first;
    int32x4_t acc[8][4];
    sums(j, x, rows, w, 2, 1, j->args.bias + first, acc);
    rescale(j, first, rows, 2, acc);
    y += first;
    for (int32_t r = 0; r < rows; r += 2) {
        const int32_t next = rows > 1 ? r + 1 : r;
        const int8x16_t both = ep_narrow_neon(&j->finish, acc[r][0], acc[r][1], acc[next][0], acc[next][1]);
        if (left >= NARROW) {
            vst1_s8(y + r * outputs, vget_low_s8(both));
            if (rows > 1) vst1_s8(y + next * outputs, vget_high_s8(both));
        } else {
            put_some(y + r * outputs, both, left);
            if (rows > 1) put_some(y + next * outputs, vextq_s8(both, both, 8), left);
        }
    }
}

/* Blocks of sixteen outputs. */
static void all_wide(const job *all, const int8_t *x, int32_t rows, int32_t first, const int8_t *w, int8_t *y)
{
    const job held = *all, *j = &held;
    const ptrdiff_t step = j->where.row_step, outputs = j->args.outputs;
    if (j->where.run % 16 == 0)
        for (; rows >= 4; rows -= 4, x += 4 * step, y += 4 * outputs) wide(j, x, 4, first, w, 0, y);
    for (; rows >= 4; rows -= 4, x += 4 * step, y += 4 * outputs) wide(j, x, 4, first, w, 1, y);
    for (; rows >= 2; rows -= 2, x += 2 * step, y += 2 * outputs) wide(j, x, 2, first, w, 1, y);
    if (rows > 0) wide(j, x, 1, first, w, 1, y);
}

static void all_narrow(const job *all, const int8_t *x, int32_t rows, int32_t first, const int8_t *w, int8_t *y)
{
    const job held = *all, *j = &held;
    const ptrdiff_t step = j->where.row_step, outputs = j->args.outputs;
    for (; rows >= 8; rows -= 8, x += 8 * step, y += 8 * outputs) narrow(j, x, 8, first, w, y);
    for (; rows >= 2; rows -= 2, x += 2 * step, y += 2 * outputs) narrow(j, x, 2, first, w, y);
    if (rows > 0) narrow(j, x, 1, first, w, y);
}

void ep_gemm_lines_s8(const ep_gemm_s8_args *args, const ep_lines *where, const int8_t *x, int32_t rows, int8_t *y)
{
    const ptrdiff_t depth = packed_depth(where);
    job j;
    j.args = *args;
    j.where = *where;
    j.finish = ep_load_finish_neon(args->zero, args->low, args->high, args->shift, args->outputs);
    for (int32_t first = 0; first < args->outputs; first += WIDE) {
        const int8_t *w = args->weights + first * depth;
        if (args->outputs - first > NARROW)
            all_wide(&j, x, rows, first, w, y);
        else
            all_narrow(&j, x, rows, first, w, y);
    }
}

#else

static void block(const ep_gemm_s8_args *args, const ep_lines *where, const int8_t *x, int32_t first, int8_t *y)
{
    const int32_t left = args->outputs - first, width = left > NARROW ? WIDE : NARROW;
    const int8_t *w = args->weights + first * packed_depth(where);
    int32_t acc[WIDE];
    for (int32_t n = 0; n < width; n++) acc[n] = args->bias[first + n];
    for (int32_t line = 0; line < where->lines; line++, x = ep_next_line(where, x)) {
        for (int32_t k = 0; k < where->run; k++) {
            const int8_t *lane = w + (ptrdiff_t)(k / STEP) * STEP * width + k % STEP;
            for (int32_t n = 0; n < width; n++) acc[n] += x[k] * lane[n * STEP];
        }
        w += (ptrdiff_t)((where->run + STEP - 1) / STEP) * STEP * width;
    }
    for (int32_t n = 0; n < width && n < left; n++) {
        const int32_t value = ep_rescale(acc[n], args->multiplier[first + n], args->shift[first + n]);
        y[first + n] = ep_clamp_s8(args->zero + value, args->low, args->high);
    }
}

void ep_gemm_lines_s8(const ep_gemm_s8_args *args, const ep_lines *where, const int8_t *x, int32_t rows, int8_t *y)
{
    for (int32_t r = 0; r < rows; r++)
        for (int32_t first = 0; first < args->outputs; first += WIDE)
            block(args, where, x + r * where->row_step, first, y + (ptrdiff_t)r * args->outputs);
}

#endif

void ep_gemm_s8(const ep_gemm_s8_args *args, const int8_t *x, int32_t rows, int8_t *y)
{
    const ep_lines where = ep_dense_rows(x, args->depth, rows);
    ep_gemm_lines_s8(args, &where, x, rows, y);
}
