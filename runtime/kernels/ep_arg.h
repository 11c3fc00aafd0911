/* Position of the largest or smallest value along an axis, of equal ones the first: [outer][size][inner]. */
#ifndef EP_ARG_H
#define EP_ARG_H

#include "ep_base.h"

typedef struct {
    int32_t outer, size, inner;
} ep_arg_args;

void ep_arg_max_f32(const ep_arg_args *args, const float *x, int64_t *y);
void ep_arg_min_f32(const ep_arg_args *args, const float *x, int64_t *y);
void ep_arg_max_s8(const ep_arg_args *args, const int8_t *x, int64_t *y);
void ep_arg_min_s8(const ep_arg_args *args, const int8_t *x, int64_t *y);

#endif
