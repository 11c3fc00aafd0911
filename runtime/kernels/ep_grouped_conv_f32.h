/* Convolution [N, H, W, C] -> [N, H', W', O] whose outputs read a group of the channels each: the channels of a group are
 * gathered into rows, rows multiplied by its weights. */
#ifndef EP_GROUPED_CONV_F32_H
#define EP_GROUPED_CONV_F32_H

#include "ep_gemm_f32.h"
#include "ep_window.h"

typedef struct {
    ep_window window;     /* channels: of one group */
    ep_gemm_f32_args gemm; /* of the first group; arrays of the others lie behind */
    int32_t groups;
    int32_t rows;         /* gathered at once */
    int32_t weights_step; /* elements from group to group: of weights */
    int32_t outputs_step; /* and of arrays of one value an output */
} ep_grouped_conv_f32_args;

/* `rows` holds args->rows * (gemm.depth + gemm.outputs) elements. */
void ep_grouped_conv_f32(const ep_grouped_conv_f32_args *args, const float *x, float *y, float *rows);

#endif
