/* Softmax along the last axis, float. */
#ifndef EP_SOFTMAX_F32_H
#define EP_SOFTMAX_F32_H

#include "ep_base.h"

typedef struct {
    int32_t rows, count;
    float beta;
} ep_softmax_f32_args;

void ep_softmax_f32(const ep_softmax_f32_args *args, const float *x, float *y);
void ep_log_softmax_f32(const ep_softmax_f32_args *args, const float *x, float *y);

#endif
