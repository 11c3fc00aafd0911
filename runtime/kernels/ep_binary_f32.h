/* Functions of two floats, with broadcasting and the clamp of a fused activation. */
#ifndef EP_BINARY_F32_H
#define EP_BINARY_F32_H

#include "ep_strides.h"

typedef struct {
    ep_strides strides; /* a, b, -, y */
    float low, high;
} ep_binary_f32_args;

void ep_add_f32(const ep_binary_f32_args *args, const float *a, const float *b, float *y);
void ep_sub_f32(const ep_binary_f32_args *args, const float *a, const float *b, float *y);
void ep_mul_f32(const ep_binary_f32_args *args, const float *a, const float *b, float *y);
void ep_div_f32(const ep_binary_f32_args *args, const float *a, const float *b, float *y);
void ep_maximum_f32(const ep_binary_f32_args *args, const float *a, const float *b, float *y);
void ep_minimum_f32(const ep_binary_f32_args *args, const float *a, const float *b, float *y);
void ep_squared_difference_f32(const ep_binary_f32_args *args, const float *a, const float *b, float *y);
void ep_prelu_f32(const ep_binary_f32_args *args, const float *a, const float *b, float *y);
void ep_pow_f32(const ep_binary_f32_args *args, const float *a, const float *b, float *y);

#endif
