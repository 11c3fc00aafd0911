/* Rows of a product for EP_LAYOUT_MVE, wherever they lie: sixteen elements of four outputs are one step of the weights. */
#ifndef EP_GEMM_STEPS_H
#define EP_GEMM_STEPS_H

#include "ep_gemm_s8.h"

#define EP_STEP_OUTPUTS 4
#define EP_STEP_DEPTH 16

/* ep_gemm_s8 on rows of args->depth elements that are `row_step` bytes apart; they may overlap. Weights lie as
 * [outputs / 4][steps][4][16], filled up with 0. If the depth is no multiple of 16 its first elements, as many as are
 * too many, are the first step: [depth % 16 elements, zeros]. */
void ep_gemm_steps_s8(const ep_gemm_s8_args *args, const int8_t *x, ptrdiff_t row_step, int32_t rows, int8_t *y);

#endif
