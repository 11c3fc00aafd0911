/* Convolution [N, H, W, C] -> [N, H', W', O] whose outputs read a group of the channels each: the channels of a group are
 * gathered into rows, rows multiplied by its weights. */
#ifndef EP_GROUPED_CONV_S8_H
#define EP_GROUPED_CONV_S8_H

#include "ep_gemm_s8.h"
#include "ep_window.h"

typedef struct {
    ep_window window;     /* channels: of one group */
    ep_gemm_s8_args gemm; /* of the first group; arrays of the others lie behind */
    int32_t pad_value; /* the input's zero point */
    int32_t groups;
    int32_t rows;         /* gathered at once */
    int32_t weights_step; /* elements from group to group: of weights */
    int32_t outputs_step; /* and of arrays of one value an output */
} ep_grouped_conv_s8_args;

/* `rows` holds args->rows * (gemm.depth + gemm.outputs) elements. */
void ep_grouped_conv_s8(const ep_grouped_conv_s8_args *args, const int8_t *x, int8_t *y, int8_t *rows);

#endif
