/* ep_gemm_s8 for EP_LAYOUT_NEON: weights [outputs / 4][depth / 16][4][16], the last eight of a run as [4][8]. Two
 * products are added in sixteen bits, which the exporter has proven to fit, and then go to the sums. */
#include "ep_lines.h"

#include <string.h>

#include "ep_requant.h"

#define WIDTH 4
#define STEP 8
#define PAIR 16

static inline int32_t packed_run(const ep_lines *where) { return (where->run + STEP - 1) / STEP * STEP; }

#if defined(EP_TARGET_NEON)

#include "ep_requant_neon.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-schedule-insns") /* which gathers loads until registers run out */
#endif

#define INLINE static inline __attribute__((always_inline))

typedef struct {
    ep_gemm_s8_args args;
    ep_lines where;
    ptrdiff_t block; /* bytes of the weights of four outputs */
    ep_finish_neon finish;
} job;

/* The last one to seven of a row of `run` bytes, then zeros: nothing behind the row is read. */
INLINE int8x8_t last_of(const int8_t *x, int32_t count, int32_t run)
{
    int8_t some[STEP] = {0};
    if (run >= STEP)
        return vreinterpret_s8_u64(vshl_u64(vreinterpret_u64_s8(vld1_s8(x + count - STEP)),
                                            vdup_n_s64(-8 * (STEP - count))));
    for (int32_t i = 0; i < count; i++) some[i] = x[i];
    return vld1_s8(some);
}

/* Eight products of each row with each of four outputs. */
INLINE void multiply8(const int8x8_t *value, const int8_t *w, int32_t rows, int32x4_t acc[4][4])
{
    const int8x8x4_t weights = vld1_s8_x4(w);
    for (int32_t r = 0; r < rows; r++)
        for (int32_t n = 0; n < WIDTH; n++)
            acc[r][n] = vpadalq_s16(acc[r][n], vmull_s8(value[r], weights.val[n]));
}

INLINE void multiply16(const int8x16_t *value, const int8_t *w, int32_t rows, int32x4_t acc[4][4])
{
    for (int32_t n = 0; n < WIDTH; n += 2) {
        const int8x16_t a = vld1q_s8(w + n * PAIR), b = vld1q_s8(w + n * PAIR + PAIR);
        for (int32_t r = 0; r < rows; r++) {
            const int16x8_t one = vmull_s8(vget_low_s8(value[r]), vget_low_s8(a));
            const int16x8_t two = vmull_s8(vget_low_s8(value[r]), vget_low_s8(b));
            acc[r][n] = vpadalq_s16(acc[r][n], vmlal_high_s8(one, value[r], a));
            acc[r][n + 1] = vpadalq_s16(acc[r][n + 1], vmlal_high_s8(two, value[r], b));
        }
    }
}

/* Sums of `rows` x `blocks` x 4, each in four parts; both are constants where this is inlined, at most 4 together. */
INLINE void sums(const job *j, const int8_t *x, int32_t rows, const int8_t *w, int32_t blocks, int tails,
                 int32x4_t acc[4][4][4])
{
    const ep_lines *where = &j->where;
    const ptrdiff_t step = where->row_step;
    for (int32_t b = 0; b < blocks; b++)
        for (int32_t r = 0; r < rows; r++)
            for (int32_t n = 0; n < WIDTH; n++) acc[b][r][n] = vdupq_n_s32(0);
    for (int32_t line = where->lines; line > 0; line--, x = ep_next_line(where, x)) {
        const int8_t *from = x;
        int32_t left = where->run;
        for (; left >= PAIR; left -= PAIR, from += PAIR, w += WIDTH * PAIR) {
            int8x16_t value[4];
            for (int32_t r = 0; r < rows; r++) value[r] = vld1q_s8(from + r * step);
            for (int32_t b = 0; b < blocks; b++) multiply16(value, w + b * j->block, rows, acc[b]);
        }
        if (!tails) continue;
        if (left > STEP) {
            int8x16_t value[4];
            for (int32_t r = 0; r < rows; r++) {
                const int8_t *at = from + r * step;
                value[r] = vcombine_s8(vld1_s8(at), last_of(at + STEP, left - STEP, where->run));
            }
            for (int32_t b = 0; b < blocks; b++) multiply16(value, w + b * j->block, rows, acc[b]);
        } else if (left > 0) {
            int8x8_t value[4];
            for (int32_t r = 0; r < rows; r++) {
                const int8_t *at = from + r * step;
                value[r] = left == STEP ? vld1_s8(at) : last_of(at, left, where->run);
            }
            for (int32_t b = 0; b < blocks; b++) multiply8(value, w + b * j->block, rows, acc[b]);
            w += WIDTH * STEP;
        }
    }
}

INLINE int32x4_t finish(const job *j, const int32x4_t parts[4], int32_t first)
{
    const ep_gemm_s8_args *args = &j->args;
    const int32x4_t by = vld1q_s32(args->multiplier + first), to = vld1q_s32(args->shift + first);
    int32x4_t acc = vpaddq_s32(vpaddq_s32(parts[0], parts[1]), vpaddq_s32(parts[2], parts[3]));
    acc = vaddq_s32(acc, vld1q_s32(args->bias + first));
    return j->finish.shrinks ? ep_shrink_neon(acc, by, to) : ep_rescale_neon(acc, by, to);
}

/* The first `count` of the `width` values of each row. */
static __attribute__((noinline)) void put_some(int8_t *y, ptrdiff_t outputs, int8x16_t values, int32_t rows,
                                               int32_t width, int32_t count)
{
    int8_t some[16];
    vst1q_s8(some, values);
    for (int32_t r = 0; r < rows; r++)
        for (int32_t n = 0; n < count; n++) y[r * outputs + n] = some[r * width + n];
}

/* Four outputs of four rows, eight of two, or sixteen of one: sixteen results lie beside each other in that order. */
INLINE void tile(const job *j, const int8_t *x, int32_t rows, int32_t first, int32_t blocks, int tails, int8_t *y)
{
    const ptrdiff_t outputs = j->args.outputs;
    const int32_t left = j->args.outputs - first, width = WIDTH * blocks;
    int32x4_t acc[4][4][4], all[4];
    int8x16_t values;
    sums(j, x, rows, j->args.weights + first / WIDTH * j->block, blocks, tails, acc);
    for (int32_t r = 0; r < rows; r++)
        for (int32_t b = 0; b < blocks; b++) all[r * blocks + b] = finish(j, acc[b][r], first + b * WIDTH);
    for (int32_t i = rows * blocks; i < 4; i++) all[i] = all[0];
    values = ep_narrow_neon(&j->finish, all[0], all[1], all[2], all[3]);
    y += first;
    if (left >= width && rows == 1 && blocks == 4) {
        vst1q_s8(y, values);
    } else if (left >= width && rows == 2 && blocks == 2) {
        vst1_s8(y, vget_low_s8(values));
        vst1_s8(y + outputs, vget_high_s8(values));
    } else if (left >= width && blocks == 1) {
        const int32x4_t words = vreinterpretq_s32_s8(values);
        int32_t word = vgetq_lane_s32(words, 0);
        memcpy(y, &word, sizeof word);
        if (rows > 1) {
            word = vgetq_lane_s32(words, 1);
            memcpy(y + outputs, &word, sizeof word);
        }
        if (rows > 2) {
            word = vgetq_lane_s32(words, 2);
            memcpy(y + 2 * outputs, &word, sizeof word);
            word = vgetq_lane_s32(words, 3);
            memcpy(y + 3 * outputs, &word, sizeof word);
        }
    } else {
        put_some(y, outputs, values, rows, width, left < width ? left : width);
    }
}

/* Four outputs of a multiple of four rows. */
static void four_rows(const job *all, const int8_t *x, int32_t rows, int32_t n, int8_t *y)
{
    const job held = *all, *j = &held;
    const ptrdiff_t step = 4 * j->where.row_step, outputs = (ptrdiff_t)4 * j->args.outputs;
    if (j->where.run % PAIR == 0)
        for (; rows > 0; rows -= 4, x += step, y += outputs) tile(j, x, 4, n, 1, 0, y);
    for (; rows > 0; rows -= 4, x += step, y += outputs) tile(j, x, 4, n, 1, 1, y);
}

static void two_rows(const job *all, const int8_t *x, int8_t *y)
{
    const job held = *all, *j = &held;
    int32_t n = 0;
    for (; n + WIDTH < j->args.outputs; n += 2 * WIDTH) tile(j, x, 2, n, 2, 1, y);
    if (n < j->args.outputs) tile(j, x, 2, n, 1, 1, y);
}

static void one_row(const job *all, const int8_t *x, int8_t *y)
{
    const job held = *all, *j = &held;
    int32_t n = 0;
    for (; n + 3 * WIDTH < j->args.outputs; n += 4 * WIDTH) tile(j, x, 1, n, 4, 1, y);
    for (; n < j->args.outputs; n += WIDTH) tile(j, x, 1, n, 1, 1, y);
}

void ep_gemm_lines_s8(const ep_gemm_s8_args *args, const ep_lines *where, const int8_t *x, int32_t rows, int8_t *y)
{
    const int32_t fours = rows / 4 * 4;
    job j;
    j.args = *args;
    j.where = *where;
    j.block = (ptrdiff_t)where->lines * packed_run(where) * WIDTH;
    j.finish = ep_load_finish_neon(args->zero, args->low, args->high, args->shift, args->outputs);
    if (fours > 0)
        for (int32_t n = 0; n < args->outputs; n += WIDTH) four_rows(&j, x, fours, n, y);
    x += fours * where->row_step;
    y += (ptrdiff_t)fours * args->outputs;
    if (rows - fours >= 2) {
        two_rows(&j, x, y);
        x += 2 * where->row_step;
        y += (ptrdiff_t)2 * args->outputs;
    }
    if (rows % 2) one_row(&j, x, y);
}

#else

static void block(const ep_gemm_s8_args *args, const ep_lines *where, const int8_t *x, int32_t first, int8_t *y)
{
    const int32_t run = packed_run(where), whole = run / PAIR * PAIR;
    const int8_t *w = args->weights + (ptrdiff_t)first * where->lines * run;
    int32_t acc[WIDTH];
    for (int32_t n = 0; n < WIDTH; n++) acc[n] = args->bias[first + n];
    for (int32_t line = 0; line < where->lines; line++, x = ep_next_line(where, x), w += WIDTH * run)
        for (int32_t k = 0; k < where->run; k++) {
            const int32_t step = k < whole ? PAIR : STEP;
            const int8_t *lane = w + k / PAIR * PAIR * WIDTH + k % PAIR;
            for (int32_t n = 0; n < WIDTH; n++) acc[n] += x[k] * lane[n * step];
        }
    for (int32_t n = 0; n < WIDTH && first + n < args->outputs; n++) {
        const int32_t value = ep_rescale(acc[n], args->multiplier[first + n], args->shift[first + n]);
        y[first + n] = ep_clamp_s8(args->zero + value, args->low, args->high);
    }
}

void ep_gemm_lines_s8(const ep_gemm_s8_args *args, const ep_lines *where, const int8_t *x, int32_t rows, int8_t *y)
{
    for (int32_t r = 0; r < rows; r++)
        for (int32_t first = 0; first < args->outputs; first += WIDTH)
            block(args, where, x + r * where->row_step, first, y + (ptrdiff_t)r * args->outputs);
}

#endif

void ep_gemm_s8(const ep_gemm_s8_args *args, const int8_t *x, int32_t rows, int8_t *y)
{
    const ep_lines where = ep_dense_rows(x, args->depth, rows);
    ep_gemm_lines_s8(args, &where, x, rows, y);
}
