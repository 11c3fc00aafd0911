/* Sum, mean, largest and smallest value over some axes. `kept` walks the result, `reduced` what becomes one value. */
#ifndef EP_REDUCE_H
#define EP_REDUCE_H

#include "ep_requant.h"
#include "ep_strides.h"

typedef struct {
    ep_strides kept;    /* x, -, -, y; the last axis too */
    ep_strides reduced; /* x */
    int32_t count;      /* elements that become one */
} ep_reduce_args;

typedef struct {
    ep_reduce_args axes;
    int32_t in_zero;
    ep_scale scale; /* of the sum: a mean's holds 1 / count */
    int32_t zero, low, high;
} ep_sum_s8_args;

void ep_sum_s8(const ep_sum_s8_args *args, const int8_t *x, int8_t *y);
void ep_max_s8(const ep_reduce_args *args, const int8_t *x, int8_t *y);
void ep_min_s8(const ep_reduce_args *args, const int8_t *x, int8_t *y);
void ep_sum_f32(const ep_reduce_args *args, const float *x, float *y);
void ep_mean_f32(const ep_reduce_args *args, const float *x, float *y);
void ep_max_f32(const ep_reduce_args *args, const float *x, float *y);
void ep_min_f32(const ep_reduce_args *args, const float *x, float *y);

#endif
