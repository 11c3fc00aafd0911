/* Rows of a product that lie in an image or in a ring of its lines: what a convolution multiplies without gathering. */
#ifndef EP_LINES_H
#define EP_LINES_H

#include "ep_gemm_s8.h"

/* A row is `lines` runs of `run` bytes, `line_step` apart; rows are `row_step` apart. A line at `end` or behind lies
 * `ring` bytes before. Several lines have runs of whole steps of the layout's weights; one may have any. */
typedef struct {
    int32_t lines, run;
    ptrdiff_t line_step, row_step;
    const int8_t *end;
    ptrdiff_t ring;
} ep_lines;

static inline const int8_t *ep_next_line(const ep_lines *where, const int8_t *line)
{
    line += where->line_step;
    return line >= where->end ? line - where->ring : line;
}

/* Rows that lie one behind the other. */
static inline ep_lines ep_dense_rows(const int8_t *x, int32_t depth, int32_t rows)
{
    ep_lines where;
    where.lines = 1;
    where.run = depth;
    where.line_step = 0;
    where.row_step = depth;
    where.end = x + (ptrdiff_t)rows * depth;
    where.ring = 0;
    return where;
}

/* ep_gemm_s8 on such rows. */
void ep_gemm_lines_s8(const ep_gemm_s8_args *args, const ep_lines *where, const int8_t *x, int32_t rows, int8_t *y);

#endif
