/* ep_gemm_s8 for EP_LAYOUT_BLOCKS16X4: sixteen outputs at a time, four products of each in one step. */
#include "ep_gemm_s8.h"

#include <string.h>

#include "ep_x86.h"

#define WIDTH 16
#define STEP 4

static inline int32_t steps_of(const ep_rows *where) { return (where->run + STEP - 1) / STEP; }

/* Bytes of the weights of sixteen outputs. */
static inline ptrdiff_t block_bytes(const ep_rows *where)
{
    return (ptrdiff_t)where->lines * where->columns * steps_of(where) * STEP * WIDTH;
}

static inline const int8_t *next_line(const ep_rows *where, const int8_t *line)
{
    line += where->line_step;
    return line >= where->end ? line - where->ring : line;
}

#if defined(EP_X_LANES)

#define MOST_ROWS (2 * EP_X_ROWS) /* of a tile with one block */

EP_INLINE ep_x_inputs last_of(const int8_t *x, int32_t count, uint32_t flip)
{
    int8_t word[STEP] = {0};
    memcpy(word, x, (size_t)count);
    return ep_x_four(word, flip);
}

/* Compilers would hold a distance for each row, more than there are registers. */
#define KEEP_POINTER(p) __asm__("" : "+r"(p))

/* `rows` x `blocks` sums of sixteen, both constants: four rows from each of the pointers. */
EP_INLINE void add_steps(const int8_t *x, ptrdiff_t row, int32_t steps, uint32_t flip, const int8_t *w,
                         ptrdiff_t stride, int32_t rows, int32_t blocks, ep_x (*acc)[4])
{
    const int8_t *from[MOST_ROWS / 4];
    EP_UNROLL for (int32_t q = 0; 4 * q < rows; q++) from[q] = x + 4 * q * row;
    for (int32_t k = 0; k < steps; k++, w += STEP * WIDTH) {
        ep_x_weights weights[4];
        EP_UNROLL for (int32_t b = 0; b < blocks; b++) {
            weights[b] = ep_x_load_weights(w + b * stride);
            ep_x_keep(weights[b]);
        }
        EP_UNROLL for (int32_t q = 0; 4 * q < rows; q++) KEEP_POINTER(from[q]);
        EP_UNROLL for (int32_t r = 0; r < rows; r++) {
            const ep_x_inputs value = ep_x_four(from[r / 4] + r % 4 * row, flip);
            EP_UNROLL for (int32_t b = 0; b < blocks; b++) {
                acc[r][b] = ep_x_dot(acc[r][b], value, weights[b]);
                ep_x_keep(acc[r][b]);
            }
        }
        EP_UNROLL for (int32_t q = 0; 4 * q < rows; q++) from[q] += STEP;
    }
}

EP_INLINE void add_rest(const int8_t *x, ptrdiff_t row, int32_t count, uint32_t flip, const int8_t *w,
                        ptrdiff_t stride, int32_t rows, int32_t blocks, ep_x (*acc)[4])
{
    EP_UNROLL for (int32_t r = 0; r < rows; r++) {
        const ep_x_inputs value = last_of(x + r * row, count, flip);
        EP_UNROLL for (int32_t b = 0; b < blocks; b++)
            acc[r][b] = ep_x_dot(acc[r][b], value, ep_x_load_weights(w + b * stride));
    }
}

/* Four sums as bytes to where they belong: number `at` and the next of those counted row by row. */
EP_INLINE void put(const ep_gemm_s8_args *args, const ep_x_limits *limits, int32_t first, int32_t at, int32_t rows,
                   int32_t blocks, const ep_x *four, int8_t *y)
{
    const ep_x_bytes bytes = ep_x_narrow(four[0], four[1], four[2], four[3], limits);
    const ptrdiff_t outputs = args->outputs;
    if (blocks * WIDTH == outputs && at + 4 <= rows * blocks) {
        ep_x_store(y + at * WIDTH, bytes);
        return;
    }
#define PART(part)                                                                                               \
    if (at + (part) < rows * blocks) {                                                                           \
        const int32_t n = first + (at + (part)) % blocks * WIDTH;                                                \
        ep_x_store_part(y + (at + (part)) / blocks * outputs + n, bytes, part, args->outputs - n);               \
    }
    PART(0) PART(1) PART(2) PART(3)
#undef PART
}

EP_INLINE void finish(const ep_gemm_s8_args *args, int shrinks, int32_t first, int32_t rows, int32_t blocks,
                      ep_x (*acc)[4], int8_t *y)
{
    const ep_x_limits limits = ep_x_load_limits(args->zero, args->low, args->high);
    EP_UNROLL for (int32_t b = 0; b < blocks; b++) {
        const int32_t *multiplier = args->multiplier + first + b * WIDTH, *shift = args->shift + first + b * WIDTH;
        if (shrinks) {
            const ep_x_scale scale = ep_x_load_scale(multiplier, shift);
            EP_UNROLL for (int32_t r = 0; r < rows; r++) acc[r][b] = ep_x_rescale(acc[r][b], &scale);
        } else {
            EP_UNROLL for (int32_t r = 0; r < rows; r++) acc[r][b] = ep_x_rescale_any(acc[r][b], multiplier, shift);
        }
    }
    EP_UNROLL for (int32_t at = 0; at < rows * blocks; at += 4) {
        ep_x four[4];
        EP_UNROLL for (int32_t i = 0; i < 4; i++) {
            const int32_t from = at + i < rows * blocks ? at + i : at;
            four[i] = acc[from / blocks][from % blocks];
        }
        put(args, &limits, first, at, rows, blocks, four, y);
    }
}

typedef struct {
    const ep_gemm_s8_args *args;
    const ep_rows *where;
    int shrinks;
} job;

/* `ring`, a constant: rows have slack, and their inputs count from -128. */
EP_INLINE void tile(const job *j, int ring, const int8_t *x, int32_t first, int8_t *y, int32_t rows, int32_t blocks)
{
    const ep_rows *where = j->where;
    const uint32_t flip = ring ? 0 : where->flip;
    const int32_t whole = ring || where->slack ? steps_of(where) : where->run / STEP;
    const int32_t rest = ring ? 0 : where->run - whole * STEP;
    const ptrdiff_t stride = block_bytes(where), step = where->row_step;
    const int8_t *w = j->args->weights + first / WIDTH * stride;
    ep_x acc[MOST_ROWS][4];
    EP_UNROLL for (int32_t b = 0; b < blocks; b++)
        EP_UNROLL for (int32_t r = 0; r < rows; r++) acc[r][b] = ep_x_load(j->args->bias + first + b * WIDTH);
    for (int32_t line = 0; line < where->lines; line++, x = next_line(where, x))
        for (int32_t c = 0; c < where->columns; c++, w += whole * STEP * WIDTH)
            add_steps(x + c * where->column_step, step, whole, flip, w, stride, rows, blocks, acc);
    if (rest > 0)
        add_rest(x - where->line_step + whole * STEP, step, rest, flip, w, stride, rows, blocks, acc);
    finish(j->args, j->shrinks, first, rows, blocks, acc, y);
}

/* All outputs of `rows` rows, a constant. */
EP_INLINE void rows_of(const job *j, int ring, const int8_t *x, int8_t *y, int32_t rows)
{
    const int32_t blocks = (j->args->outputs + WIDTH - 1) / WIDTH;
    int32_t b = 0;
    if (EP_X_BLOCKS > 1) {
        if (rows <= EP_X_ROWS / 2)
            for (; b + 2 * EP_X_BLOCKS <= blocks; b += 2 * EP_X_BLOCKS) tile(j, ring, x, b * WIDTH, y, rows, 2 * EP_X_BLOCKS);
        for (; b + EP_X_BLOCKS <= blocks; b += EP_X_BLOCKS) tile(j, ring, x, b * WIDTH, y, rows, EP_X_BLOCKS);
    }
    for (; b < blocks; b++) tile(j, ring, x, b * WIDTH, y, rows, 1);
}

EP_INLINE void some_rows(const job *j, int ring, const int8_t *x, int32_t rows, int8_t *y)
{
    switch (rows) {
    case 1: rows_of(j, ring, x, y, 1); break;
    case 2: rows_of(j, ring, x, y, 2); break;
    case 3: rows_of(j, ring, x, y, 3); break;
    case 4: rows_of(j, ring, x, y, 4); break;
#if EP_X_ROWS > 4
    case 5: rows_of(j, ring, x, y, 5); break;
    case 6: rows_of(j, ring, x, y, 6); break;
    case 7: rows_of(j, ring, x, y, 7); break;
    case 8: rows_of(j, ring, x, y, 8); break;
#endif
    }
}

/* Rows are shared out so that no tile is much smaller than the others. */
EP_INLINE void all_rows(const job *j, int ring, const int8_t *x, int32_t rows, int8_t *y)
{
    const ptrdiff_t outputs = j->args->outputs, step = j->where->row_step;
    int32_t tiles;
    if (outputs <= WIDTH && EP_X_BLOCKS > 1)
        for (; rows >= MOST_ROWS; rows -= MOST_ROWS, x += MOST_ROWS * step, y += MOST_ROWS * outputs)
            tile(j, ring, x, 0, y, MOST_ROWS, 1);
    for (tiles = (rows + EP_X_ROWS - 1) / EP_X_ROWS; tiles > 0; tiles--) {
        const int32_t count = (rows + tiles - 1) / tiles;
        some_rows(j, ring, x, count, y);
        rows -= count;
        x += count * step;
        y += count * outputs;
    }
}

void ep_gemm_rows_s8(const ep_gemm_s8_args *args, const ep_rows *where, const int8_t *x, int32_t rows, int8_t *y)
{
    const job j = {args, where, ep_all_shrink(args->shift, args->outputs)};
    if (where->slack && where->flip == 0)
        all_rows(&j, 1, x, rows, y);
    else
        all_rows(&j, 0, x, rows, y);
}

#else

static void block(const ep_gemm_s8_args *args, const ep_rows *where, const int8_t *x, int32_t first, int8_t *y)
{
    const int8_t *w = args->weights + first / WIDTH * block_bytes(where);
    const int32_t left = args->outputs - first, count = left < WIDTH ? left : WIDTH;
    int32_t acc[WIDTH];
    for (int32_t n = 0; n < WIDTH; n++) acc[n] = args->bias[first + n];
    for (int32_t line = 0; line < where->lines; line++, x = next_line(where, x))
        for (int32_t c = 0; c < where->columns; c++, w += (ptrdiff_t)steps_of(where) * STEP * WIDTH)
            for (int32_t k = 0; k < where->run; k++) {
                const int32_t value = (uint8_t)(x[c * where->column_step + k] ^ (where->flip & 0xFF));
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
    const ep_rows where = {1, 1, args->depth, 0, 0, 0, args->depth, x + (ptrdiff_t)(rows + 1) * args->depth, 0, EP_FLIP};
    ep_gemm_rows_s8(args, &where, x, rows, y);
}
