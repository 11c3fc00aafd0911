/* Rows of int8 times packed int8 weights: the inner loop of convolutions and dense layers. */
#ifndef EP_GEMM_S8_H
#define EP_GEMM_S8_H

#include "ep_base.h"

#define EP_SCALE_WORDS 4

/* y[r][n] = clamp(zero + rescale(bias[n] + sum_k x[r][k] w[n][k])); the input's zero point is in the bias, counted from
 * where the layout counts inputs. Arrays of one value an output are as long as the layout fills up outputs. */
typedef struct {
    int32_t depth;   /* K */
    int32_t outputs; /* N */
    const int8_t *weights;
#if EP_LAYOUT == EP_LAYOUT_SMLAD
    const int32_t *scales; /* EP_SCALE_WORDS an output: bias, multiplier, offset, right; see ep_requant_dsp.h */
#else
    const int32_t *bias;
    const int32_t *multiplier;
    const int32_t *shift;
#endif
    int32_t zero, low, high;
} ep_gemm_s8_args;

void ep_gemm_s8(const ep_gemm_s8_args *args, const int8_t *x, int32_t rows, int8_t *y);

#if EP_LAYOUT == EP_LAYOUT_BLOCKS16X4
/* Where rows lie: each is `lines` x `columns` runs of `run` bytes, with weights of whole steps of four for each run.
 * A line at `end` or behind lies `ring` bytes before. Runs that are no whole steps are read up to three bytes too far
 * where `slack` is set, and stand alone where it is not. Inputs are turned by `flip`: 0 where they count from -128. */
typedef struct {
    int32_t lines, columns, run, slack;
    ptrdiff_t line_step, column_step, row_step;
    const int8_t *end;
    ptrdiff_t ring;
    uint32_t flip;
} ep_rows;

#define EP_FLIP UINT32_C(0x80808080)

/* ep_gemm_s8 on rows that lie in an image or in a ring of its lines. */
void ep_gemm_rows_s8(const ep_gemm_s8_args *args, const ep_rows *where, const int8_t *x, int32_t rows, int8_t *y);
#endif

#if EP_LAYOUT == EP_LAYOUT_SMLAD
/* ep_gemm_s8 on 1 to 4 rows of int16: word 4 p + r holds elements p of row r, in the order of ep_dsp.h. All four rows
 * are read, the depth is filled up to whole words of bytes. */
void ep_gemm_pairs_s8(const ep_gemm_s8_args *args, const int32_t *pairs, int32_t count, int8_t *y);
#endif

#endif
